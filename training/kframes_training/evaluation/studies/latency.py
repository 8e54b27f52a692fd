"""Seconds that a user waits for one query on a video: the first, and the next ones, by what nano predicts.

    python -m kframes_training.evaluation.studies.latency --videos 10 --out runs/latency

Every query is asked alone. The first pays for decoding the candidates and for the vision tower too.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.types import PREDICTION_KINDS
from kframes_training.evaluation.cli import finish, measure
from kframes_training.evaluation.drawn import render_data
from kframes_training.evaluation.load import make_clip_selector
from kframes_training.evaluation.loop import Plan
from kframes_training.evaluation.store import digest_weights
from kframes_training.evaluation.studies.synthscenes import add_drawn_options, place_outputs
from kframes_training.evaluation.tables import Table, cost_table


def load_predictions(model: str, candidates: int | None) -> Plan:
    """A model by all that it can predict; one query at a time."""
    made = []
    for prediction in PREDICTION_KINDS:
        selector = load_selector(model, device="cpu", prediction=prediction)
        kframes = KFrames(selector, candidates=candidates, snap_to_cuts=True)
        about = {"model": model, "weights": digest_weights(model), "prediction": prediction, "alone": True}
        made.append(make_clip_selector(prediction, kframes, about, kframes.candidates, kframes.candidate_size))
    return Plan(made, (8,), together=1)


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables of a report of this study."""
    rows = [[name, f"{one['first']:.3f}", f"{one['next']:.3f}"] for name, one in report["waits"].items()]
    title = f"Seconds until the clips are there, median of {report['data']['videos']} videos"
    return [Table(title, ["prediction", "first query on a video", "next query"], rows), cost_table(report)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_drawn_options(parser, 10)
    parser.add_argument("--model", default="nano", help="any model of transformers that kframes runs; default: nano")
    options = parser.parse_args(arguments)
    try:
        place_outputs(options)
        data = render_data(options.videos, options.split, options.files, with_questions=False, workers=options.workers)
        load = partial(load_predictions, options.model, options.candidates)
        report = measure(data, load, options, "latency", ["text"], compared_groups=(), with_items=False)
    except ValueError as error:
        parser.error(str(error))
    finish(report, list_tables(report), options)


if __name__ == "__main__":
    main()
