"""Selectors on real footage: queries on the clips of a folder, and on long films assembled from them.

    python benchmarks/footage/fetch.py clips && python benchmarks/haystack.py clips haystacks
    python -m kframes_training.evaluation.studies.footage clips --haystacks haystacks --out runs/footage

lite as it comes against uniform, scenes, the oracle, and every published selector on lite's scores and features, all
from the same candidates. --selectors adds others, for instance similar=openclip:ARCH/WEIGHTS.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kframes_plugin.selectors.lite.selector import CANDIDATES, LiteSelector
from kframes_training.evaluation.baselines import BASELINES, BLIND
from kframes_training.evaluation.cli import add_run_options, finish, measure
from kframes_training.evaluation.evidence import ScreenTextSelector
from kframes_training.evaluation.load import Setup, load_plan
from kframes_training.evaluation.loop import Plan
from kframes_training.evaluation.scorers import load_scorer
from kframes_training.evaluation.selectors import ClipSelector, ScoreSelector
from kframes_training.evaluation.studies.synthscenes import place_outputs
from kframes_training.evaluation.tables import Table, budget_table, cost_table
from kframes_training.sources.datasets import Data, Item

KS = (8, 16, 32, 64)
GROUPS = ("clips under a minute", "long videos", "haystacks", "haystacks, several spans")
WITH_TEXT = " + text on screen"
PUBLISHED = tuple(name for name in BASELINES if name not in (*BLIND, "oracle"))


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


def load_footage(selectors: Sequence[str], candidates: int, device: str | None, ocr: bool) -> Plan:
    """The selectors named, those with scores also with text on screen, and every published one on lite's scores."""
    plan = load_plan(Setup(selectors, KS, candidates=candidates, device=device))
    loaded = [one.memory.selector for one in plan.selectors if isinstance(one, ClipSelector)]
    lite = next((one for one in loaded if isinstance(one, LiteSelector)), None)  # frames are then read once
    scorer = load_scorer("lite", candidates=candidates, known={} if lite is None else {"lite": lite})
    published = [
        ScoreSelector(f"{name} on lite", BASELINES[name], name, False, 0, candidates, scorer.size, scorer.settings)
        for name in PUBLISHED
    ]
    looks = [
        one
        for one in plan.selectors
        if ocr and isinstance(one, ClipSelector) and hasattr(one.memory.selector, "scores")
    ]
    read = [ScreenTextSelector(f"{one.name}{WITH_TEXT}", one.kframes, one.settings) for one in looks]
    return Plan([*plan.selectors, *read, *published], KS, scorer)


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
    parser.add_argument("--selectors", default="lite=lite,uniform,scenes,oracle", help="as for kframes eval")
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--device", help="cpu, cuda ...; automatic by default")
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ocr", action="store_true", help="selectors with scores also with text on screen")
    add_run_options(parser)
    options = parser.parse_args(arguments)
    try:
        place_outputs(options)
        load = partial(load_footage, options.selectors.split(","), options.candidates, options.device, options.ocr)
        data = read_footage(options.folder, options.haystacks)
        against = ["mdp3 on lite", "aks on lite", *(["lite"] if options.ocr else [])]
        report = measure(
            data, load, options, "footage", against, compared_groups=("all", "of: haystacks"), with_items=False
        )
    except ValueError as error:
        parser.error(str(error))
    finish(report, list_tables(report), options)


if __name__ == "__main__":
    main()
