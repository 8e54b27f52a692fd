"""Published selectors and kframes on held-out SynthScenes videos: the same candidates, scores and features for all.

    python -m kframes_training.evaluation.studies.contest --videos 120 --out runs/contest

Both ways: candidates only, and any frame with ends on cuts. Scores and features are nano's. "nano scores" reads its
clips from those same scores and writes nothing. Queries for what is not there are left out: no frame can be right.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.selectors.load import load_selector
from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.baselines.common import unit_rows
from kframes_training.evaluation.candidates import MeasuredVideo
from kframes_training.evaluation.cli import finish, measure
from kframes_training.evaluation.drawn import render_data
from kframes_training.evaluation.load import Setup, load_plan, make_clip_selector
from kframes_training.evaluation.loop import Plan
from kframes_training.evaluation.scorers import FrameScores, ModelScorer
from kframes_training.evaluation.selectors import NamedSelector, ScoreSelector
from kframes_training.evaluation.store import digest_weights
from kframes_training.evaluation.studies.reasons import measure_reasons, reasons_table
from kframes_training.evaluation.studies.synthscenes import add_drawn_options, place_outputs
from kframes_training.evaluation.tables import Table, budget_table, cost_table, difference_table, group_table
from kframes_training.nano.model import frame_tokens
from kframes_training.sources.datasets import Item

KS = (8, 16, 32, 64)
ONE, SEVERAL = "facts: one scene", "facts: several scenes"
BY_SPANS = ("1 span", "2 spans", "3 spans or more", "kind: order", "kind: holistic")
PUBLISHED = tuple(name for name in BASELINES if name != "oracle")
NANO = "nano"


class NanoScorer(ModelScorer):
    """nano's scores of the frames, with its vision tokens as features."""

    has_features = True

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """Features are of unit norm; there is none of the query."""
        pool = video.pool(self.candidates, self.size)
        if self not in pool.frames.cache:
            images = [frame.image for frame in pool.frames]
            patches = self.selector.processor.image_processor(images, return_tensors="pt")["pixel_values"]
            tokens = frame_tokens(self.selector.model, patches.view(len(images), -1, patches.shape[-1]))
            pool.frames.cache[self] = unit_rows(tokens.detach().numpy())
        return [replace(one, features=pool.frames.cache[self]) for one in super().score_all(video, items)]


def load_contest(candidates: int | None) -> Plan:
    """nano under three strategies and by its scores alone; every published selector; the oracle."""
    selector = load_selector(NANO, device="cpu")
    scorer = NanoScorer(selector, NANO, candidates)  # type: ignore[arg-type]
    scorer.settings["features"] = True
    count, size = scorer.candidates, scorer.size
    about = {"model": NANO, "weights": digest_weights(NANO)}
    auto = make_clip_selector(NANO, KFrames(selector, snap_to_cuts=True), about, count, size)
    made: list[NamedSelector] = [auto]
    for strategy in ("focused", "hybrid"):  # one memory: nano is asked once for all strategies
        kframes = KFrames(auto.memory, strategy=strategy, snap_to_cuts=True)
        made.append(make_clip_selector(f"nano {strategy}", kframes, about, count, size))
    scores = KFrames(load_selector(NANO, device="cpu", prediction="scores"), snap_to_cuts=True)
    made.append(make_clip_selector("nano scores", scores, {**about, "prediction": "scores"}, count, size))
    for name in PUBLISHED:
        made.append(ScoreSelector(name, BASELINES[name], name, False, 0, count, size, scorer.settings))
    rest = load_plan(Setup(["oracle"], KS, candidates=count)).selectors
    return Plan([*made, *rest], KS, scorer)


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables of a report of this study."""
    made = []
    for pool in report["pools"]:
        made += [budget_table(report, group, pool, name) for group in (ONE, SEVERAL) for name in ("kfr", "shr", "ukss")]
        made += [group_table(report, BY_SPANS, pool, "ukss", k) for k in (8, 32)]
        made += [difference_table(report, group, pool, ("ukss", "shr")) for group in (ONE, SEVERAL)]
    return [one for one in (*made, reasons_table(report), cost_table(report)) if one.rows]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_drawn_options(parser, 120)
    options = parser.parse_args(arguments)
    try:
        place_outputs(options)
        data = render_data(options.videos, options.split, options.files, workers=options.workers)
        data = replace(data, items=tuple(item for item in data.items if not item.absent))
        report = measure(
            data,
            partial(load_contest, options.candidates),
            options,
            "contest",
            [NANO],
            compared_groups=(ONE, SEVERAL),
            with_items=False,
            more=lambda rows: {"reasons": measure_reasons(rows, NANO)},
        )
    except ValueError as error:
        parser.error(str(error))
    finish(report, list_tables(report), options)


if __name__ == "__main__":
    main()
