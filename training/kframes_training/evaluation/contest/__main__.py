"""Published selectors and kframes on held-out SynthScenes videos: the same candidates, scores and features for all.

    python -m kframes_training.evaluation.contest --videos 200 --out runs/contest --answerer runs/nano/answerer/final

OUT gets ``records.jsonl`` (one line a video; a stopped run goes on where it was), ``results.json`` and ``tables.md``.
The checkpoint is the bundled nano unless another is named.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from kframes_plugin.mllm.checkpoint import FILE_NAME, CheckpointSettings
from kframes_plugin.selectors.load import NANO
from kframes_training.evaluation.answering import TinyAnswerer
from kframes_training.evaluation.contest import summary
from kframes_training.evaluation.contest.measure import REASON_K, Contest, Record
from kframes_training.evaluation.contest.tables import markdown
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.reader import NanoReader
from kframes_training.evaluation.resuming import digest_of, digest_of_language, read_records
from kframes_training.evaluation.running import in_processes
from kframes_training.sources.synthscenes import SPLITS

KS, ANSWER_KS = (8, 16, 32, 64), (8, 16, 32)

_contest: Contest | None = None  # of this process


def _start(checkpoint: str, answerer: str | None, videos: Path, split: str) -> None:
    global _contest
    torch.set_num_threads(1)
    logging.getLogger("kframes").setLevel(logging.ERROR)
    frozen = TinyAnswerer(answerer) if answerer else None
    _contest = Contest(NanoReader(checkpoint), frozen, videos, split, KS, ANSWER_KS)


def _measure(seed: int) -> Record:
    assert _contest is not None
    return _contest.measure(seed)


def measured(seeds: Sequence[int], settings: tuple[Any, ...], workers: int) -> Iterator[Record]:
    """The records of the seeds, in any order."""
    if workers == 1 or len(seeds) < 2:
        _start(*settings)
        yield from map(_measure, seeds)
        return
    yield from in_processes(_measure, seeds, workers, _start, settings)


def run(options: argparse.Namespace) -> list[Record]:
    """One record a video; what OUT holds already is kept.

    Raises:
        ValueError: OUT holds a run with another checkpoint, answerer, split or other queries.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    now = {
        "checkpoint": digest_of(str(options.checkpoint)),
        "answerer": options.answerer and digest_of(options.answerer),
        "language": digest_of_language(options.split),
        "ks": [list(KS), list(ANSWER_KS)],
    }
    about, file = options.out / "run.json", options.out / "records.jsonl"
    if about.exists() and (before := json.loads(about.read_text(encoding="utf-8"))) != now:
        changed = [name for name in now if before.get(name) != now[name]]
        raise ValueError(f"{options.out} holds a run with another {', '.join(changed)}; choose another --out")
    about.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    seeds = SPLITS[options.split][: options.videos]
    done = {record["seed"]: record for record in read_records(file)}
    left = [seed for seed in seeds if seed not in done]
    settings = (str(options.checkpoint), options.answerer, options.files or options.out / "videos", options.split)
    with file.open("a", encoding="utf-8") as stream:
        for record in tqdm(measured(left, settings, options.workers), total=len(left), desc="videos", unit="video"):
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            done[record["seed"]] = record
    return [done[seed] for seed in seeds]


def report_of(records: Sequence[Record], options: argparse.Namespace) -> dict[str, Any]:
    """Everything the tables need."""
    values = summary.values_of(records)
    return {
        "benchmark": "contest",
        **about_this_run(),
        "split": options.split,
        "videos": len(records),
        "seconds": round(sum(record["duration"] for record in records), 1),
        "queries": sum(len(record["items"]) for record in records),
        "candidates": CheckpointSettings.load(options.checkpoint / FILE_NAME).candidates,
        "checkpoint": digest_of(str(options.checkpoint)),
        "ks": list(KS),
        "answer_ks": list(ANSWER_KS),
        "answerer": options.answerer is not None,
        "table": summary.table_of(values),
        "differences": summary.differences(values, KS, ANSWER_KS),
        "losses": summary.losses_of(records),
        "costs": summary.costs_of(records),
        "reasons": summary.reasons_of(records),
        "answers_with_reasons": summary.answers_with_reasons(values, REASON_K),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--videos", type=int, default=200, help="how many of the split")
    add("--split", choices=("dev", "test"), default="test")
    add("--checkpoint", type=Path, default=NANO, help="of nano's shape; default: the bundled one")
    add("--answerer", metavar="FOLDER", help="of the frozen answerer; without it frames alone are judged")
    add("--files", type=Path, metavar="FOLDER", help="of the video files, written where missing; default: OUT/videos")
    add("--workers", type=int, default=1, help="processes, one a core")
    add("--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if options.videos < 1 or options.workers < 1:
        parser.error("--videos and --workers must be at least 1")
    try:
        records = run(options)
    except ValueError as error:
        parser.error(str(error))
    report = report_of(records, options)
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.out / "tables.md").write_text(markdown(report), encoding="utf-8")
    sys.stdout.write(markdown(report))


if __name__ == "__main__":
    main()
