"""Selectors on real footage: queries on the clips of a folder, and on haystacks assembled from them.

    python -m kframes_training.evaluation.studies.footage CLIPS --haystacks FOLDER --out runs/footage

CLIPS holds MANIFEST.json; ``benchmarks/haystack.py`` assembles haystacks. What runs offline: uniform; scenes; the
published selectors by novelty, a score that does not read the query (how far a candidate's colours are from the mean of
the video), so they show what the algorithms do without relevance; nano, which knows drawn scenes only and refuses; and
the oracle. --selectors adds others, for instance similar=openclip:ARCH/WEIGHTS.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kframes_training.evaluation.baselines import BASELINES, BLIND
from kframes_training.evaluation.baselines.common import Floats, unit_rows
from kframes_training.evaluation.candidates import MeasuredVideo, Size
from kframes_training.evaluation.cli import add_run_options, finish, measure
from kframes_training.evaluation.data import Data, Item
from kframes_training.evaluation.load import Setup, load_plan
from kframes_training.evaluation.loop import Plan
from kframes_training.evaluation.scorers import FrameScores
from kframes_training.evaluation.selectors import ScoreSelector
from kframes_training.evaluation.studies.synthscenes import place_outputs
from kframes_training.evaluation.tables import Table, budget_table, cost_table

KS = (8, 16, 32, 64)
CANDIDATES = 256
GROUPS = ("clips under a minute", "long videos", "haystacks", "haystacks, several spans")
BY_NOVELTY = tuple(name for name in BASELINES if name not in (*BLIND, "oracle"))


class NoveltyScorer:
    """How far a candidate's colours are from the mean of the video; the query is not read."""

    has_features = True
    size: Size = 64

    def __init__(self, candidates: int) -> None:
        self.candidates = candidates
        self.settings: dict[str, Any] = {"scorer": "novelty", "candidates": candidates}

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """The same scores for all items; features are the colours."""
        pool = video.pool(self.candidates, self.size)
        colours = measure_colours([np.asarray(frame.image.resize((32, 32))) for frame in pool.frames])
        mean = colours.mean(0)
        novelty = 1 - colours @ mean / np.linalg.norm(mean)
        return [FrameScores(pool.times, novelty, colours, cost=pool.cost)] * len(items)


def measure_colours(pictures: Sequence[Any]) -> Floats:
    """(n, 4 x 4 x 27) colour histograms of 4 x 4 blocks of 32 x 32 RGB pictures, of unit norm."""
    rows = []
    for picture in pictures:
        codes = (picture // 86 * [9, 3, 1]).sum(-1)  # 3 levels a channel
        blocks = codes.reshape(4, 8, 4, 8).swapaxes(1, 2).reshape(16, 64)
        rows.append(np.concatenate([np.bincount(block, minlength=27) for block in blocks]))
    return unit_rows(np.array(rows, np.float64))


def read_footage(folder: Path, haystacks: Path | None) -> Data:
    """All queries on the clips and the haystacks; those that nothing answers are absent.

    Raises:
        ValueError: the folder has no MANIFEST.json.
    """
    manifest = folder / "MANIFEST.json"
    if not manifest.is_file():
        raise ValueError(f"{folder} has no MANIFEST.json; name the folder of the clips")
    items: list[Item] = []
    for clip in json.loads(manifest.read_text(encoding="utf-8"))["items"]:
        if clip["derived_from"] is None:
            group = "clips under a minute" if clip["duration"] < 60 else "long videos"
            items += _make_items(folder / clip["file"], group, clip["queries"], [])
    for file in sorted(haystacks.glob("*.json")) if haystacks else ():
        truth = json.loads(file.read_text(encoding="utf-8"))
        items += _make_items(file.with_suffix(".mp4"), "haystacks", truth["queries"], truth["negative_queries"])
    return Data("footage", tuple(items))


def _make_items(video: Path, group: str, queries: Sequence[Mapping[str, Any]], negative: Sequence[str]) -> list[Item]:
    items = []
    for number, one in enumerate(queries):
        scenes = tuple(((float(start), float(end)),) for start, end in one["clips"])
        groups = {"of": group} | ({"spans": f"{group}, several spans"} if len(scenes) > 1 else {})
        items.append(Item(f"{video.stem}/{number}", video, one["query"], scenes=scenes, groups=groups))
    return items + [
        Item(f"{video.stem}/no {text}", video, text, absent=True, groups={"of": group}) for text in negative
    ]


def load_footage(selectors: Sequence[str], candidates: int, device: str | None) -> Plan:
    """The selectors named, and every published one by novelty."""
    plan = load_plan(Setup(selectors, KS, candidates=candidates, device=device))
    scorer = NoveltyScorer(candidates)
    novel = [
        ScoreSelector(f"{name} by novelty", BASELINES[name], name, False, 0, candidates, scorer.size, scorer.settings)
        for name in BY_NOVELTY
    ]
    return Plan([*plan.selectors, *novel], KS, scorer)


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables of a report of this study."""
    groups = [f"{'spans' if 'several' in group else 'of'}: {group}" for group in GROUPS]
    made = [
        budget_table(report, group, pool, name)
        for pool in report["pools"]
        for group in groups
        for name in ("shr", "ukss")
    ]
    return [one for one in (*made, cost_table(report)) if one.rows]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the clips and MANIFEST.json")
    parser.add_argument("--haystacks", type=Path, help="folder of assembled haystacks with their truth")
    parser.add_argument("--selectors", default="uniform,scenes,nano=nano,oracle", help="as for kframes eval")
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--device", help="cpu, cuda ...; automatic by default")
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    add_run_options(parser)
    options = parser.parse_args(arguments)
    try:
        place_outputs(options)
        load = partial(load_footage, options.selectors.split(","), options.candidates, options.device)
        data = read_footage(options.folder, options.haystacks)
        report = measure(data, load, options, "footage", ["uniform"], compared_groups=("all",), with_items=False)
    except ValueError as error:
        parser.error(str(error))
    finish(report, list_tables(report), options)


if __name__ == "__main__":
    main()
