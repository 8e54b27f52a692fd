"""Selectors on held-out SynthScenes videos, decoded from real H.264 files: clips by kind of query, frames by k.

    python -m kframes_training.evaluation.studies.synthscenes --videos 500 --out runs/synthscenes

The bundled nano, uniform, scenes, random clips and the oracle; --checkpoint NAME=FOLDER adds others. What is shipped is
chosen with --split dev; the test split is for what is printed. OUT gets results.json, results.rows (a stopped run
continues from there) and tables/; video files are kept in OUT/videos.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kframes_training.evaluation.cli import add_run_options, finish, measure
from kframes_training.evaluation.drawn import render_data
from kframes_training.evaluation.load import Setup, load_plan
from kframes_training.evaluation.tables import (
    Table,
    budget_table,
    clips_table,
    cost_table,
    difference_table,
    group_table,
)

KS = (4, 8, 16, 32)
BASELINES = ("uniform", "scenes", "random", "oracle")
KINDS = ("needle", "attribute", "action", "order", "count", "holistic")
BY_KIND = (*(f"kind: {kind}" for kind in KINDS), "all")
LENGTHS = ("needle: < 3 min", "needle: 3-8 min", "needle: > 8 min")
ABSTENTION = ("kind: absent: known words", "kind: absent: unknown words", "absent", "kind: needle", "all")
CLIPS = ("iou", "R@0.3", "R@0.5", "R@0.7", "precision", "recall", "over")
NEEDLE = "kind: needle"


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables of a report of this study."""
    made = []
    for pool in report["pools"]:
        made.append(clips_table(report, NEEDLE, pool, CLIPS))
        made += [group_table(report, BY_KIND, pool, measure) for measure in ("iou", "R@0.5")]
        made.append(group_table(report, LENGTHS, pool, "iou"))
    made.append(group_table(report, ABSTENTION, "free", "empty", title="Queries answered with no clip, by kind"))
    made += [budget_table(report, group, "free", "ukss") for group in (NEEDLE, "all")]
    if report["data"]["answered"]:
        made += [budget_table(report, group, "free", "right") for group in ("facts: one scene", "all")]
    made += [difference_table(report, group, "free", ("iou", "ukss", "right")) for group in (NEEDLE, "all")]
    return [one for one in (*made, cost_table(report)) if one.rows]


def add_drawn_options(parser: argparse.ArgumentParser, videos: int) -> None:
    """The options of studies on drawn videos."""
    parser.add_argument("--videos", type=int, default=videos, help=f"how many of the split; default: {videos}")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="of the video files; default: OUT/videos")
    parser.add_argument("--candidates", type=int, help="T; default: what the model was trained for")
    add_run_options(parser)


def place_outputs(options: argparse.Namespace) -> None:
    """--out is a folder here: the report is its results.json, and the tables lie beside it."""
    folder = options.out
    options.files = folder / "videos" if options.files is None else options.files
    options.tables = folder / "tables" if options.tables is None else options.tables
    options.out = folder / "results.json"


def name_checkpoints(entries: Sequence[str]) -> list[str]:
    """NAME=FOLDER entries as names of selectors.

    Raises:
        ValueError: one is of another form, or has no kframes.json.
    """
    from kframes_plugin.mllm.checkpoint import FILE_NAME

    for entry in entries:
        name, equals, folder = entry.partition("=")
        if not name or not equals:
            raise ValueError(f"--checkpoint needs NAME=FOLDER; got {entry!r}")
        if not (Path(folder) / FILE_NAME).is_file():
            raise ValueError(f"{folder} has no {FILE_NAME}; give the folder of a trained checkpoint")
    return list(entries)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_drawn_options(parser, 500)
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FOLDER", help="may come often")
    parser.add_argument("--answerer", metavar="FOLDER", help="of a nano recipe; without it clips and frames alone")
    options = parser.parse_args(arguments)
    try:
        names = ["nano=nano", *name_checkpoints(options.checkpoint), *BASELINES]
        answerer = None if options.answerer is None else f"synthscenes:{options.answerer}"
        setup = Setup(names, KS, candidates=options.candidates, answerer=answerer, answer_size=192)
        place_outputs(options)
        data = render_data(
            options.videos, options.split, options.files, with_questions=answerer is not None, workers=options.workers
        )
        report = measure(
            data,
            partial(load_plan, setup),
            options,
            "synthscenes",
            ["uniform", "scenes"],
            compared_groups=(NEEDLE, "all"),
            with_items=False,
        )
    except ValueError as error:
        parser.error(str(error))
    finish(report, list_tables(report), options)


if __name__ == "__main__":
    main()
