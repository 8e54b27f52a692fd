"""Selectors on held-out SynthScenes videos, decoded from real H.264 files: clips by kind of query, answers by k.

    python -m kframes_training.evaluation.synthscenes --videos 500 --checkpoint "stage 2 alone=runs/a/final" \\
        --checkpoint "stages 1+2=runs/b/final" --checkpoint "stages 1+2+3=runs/c/final" \\
        --answerer runs/c/answerer/final --out runs/eval --workers 2 --ablations

OUT gets ``records.jsonl`` (one line a video and selector; a stopped run goes on where it was), ``results.json`` and
``tables.md``; the video files are kept in OUT/videos. All selectors see the same candidates.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kframes_plugin.mllm.checkpoint import FILE_NAME, CheckpointSettings
from kframes_training.evaluation.bench import Settings
from kframes_training.evaluation.contenders import Contender, ablations, main_contenders
from kframes_training.evaluation.latency import latencies
from kframes_training.evaluation.report import report_of
from kframes_training.evaluation.running import run
from kframes_training.evaluation.tables import markdown
from kframes_training.sources.synthscenes import SPLITS

UNTRAINED = CheckpointSettings(candidates=64, frame_size=112)  # where no checkpoint says otherwise


def named(entries: Sequence[str]) -> dict[str, str]:
    """NAME=FOLDER entries; ValueError where one is none, a name comes twice, or the folder has no kframes.json."""
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, folder = entry.partition("=")
        if not equals or not name or name in found:
            raise ValueError(f"--checkpoint needs NAME=FOLDER, every name once; got {entry!r}")
        if not (Path(folder) / FILE_NAME).is_file():
            raise ValueError(f"{folder} has no {FILE_NAME}; give the folder of a trained checkpoint")
        found[name] = folder
    return found


def settings_of(checkpoints: Mapping[str, str]) -> CheckpointSettings:
    """What all checkpoints were trained for; ValueError where they would not see the same candidates."""
    found = {name: CheckpointSettings.load(Path(folder) / FILE_NAME) for name, folder in checkpoints.items()}
    asked = {name: (one.candidates, one.frame_size) for name, one in found.items()}
    if len(set(asked.values())) > 1:
        raise ValueError(f"all checkpoints must see the same candidates; (T, size) of their kframes.json: {asked}")
    return next(iter(found.values()), UNTRAINED)


def planned(options: argparse.Namespace) -> tuple[dict[str, str], list[Contender], list[Contender], Settings]:
    """Checkpoints, contenders, ablations and settings that the arguments ask for; ValueError where they cannot be."""
    checkpoints = named(options.checkpoint)
    trained = settings_of(checkpoints)
    if options.videos < 1 or options.workers < 1 or (options.candidates or 1) < 1:
        raise ValueError("--videos, --workers and --candidates must be at least 1")
    predictions = {
        name: CheckpointSettings.load(Path(folder) / FILE_NAME).prediction for name, folder in checkpoints.items()
    }
    contenders = main_contenders(checkpoints, options.candidates or trained.candidates, predictions)
    options.best = options.best or next(reversed(checkpoints), None)
    best = next((one for one in contenders if one.name == options.best and one.name in checkpoints), None)
    if best is None and (options.best or options.ablations):
        raise ValueError(
            f"--best must name a --checkpoint, one of {', '.join(checkpoints) or 'none'}; got {options.best}"
        )
    settings = Settings(options.out / "videos", options.split, trained.frame_size, options.answerer)
    return checkpoints, contenders, ablations(best) if best and options.ablations else [], settings


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--videos", type=int, default=500, help="how many of the split")
    add("--split", choices=("dev", "test"), default="test")
    add(
        "--checkpoint",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="may come often, in the order of training",
    )
    add("--best", help="name of the checkpoint for comparisons and ablations; default: the last one")
    add("--answerer", metavar="FOLDER", help="of the frozen answerer; without it clips alone are measured")
    add("--candidates", type=int, help="T; default: what the checkpoints were trained for")
    add("--ablations", action="store_true", help="the best checkpoint with one thing changed at a time")
    add("--workers", type=int, default=1, help="processes, one a core")
    add("--out", type=Path, required=True, metavar="FOLDER")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the tables."""
    made = parser()
    options = made.parse_args(arguments)
    try:
        checkpoints, contenders, ablated, settings = planned(options)
    except ValueError as error:
        made.error(str(error))
    seeds, everyone = SPLITS[options.split][: options.videos], [*contenders, *ablated]
    records = run(options.out, seeds, everyone, settings, list(checkpoints.values()), workers=options.workers)
    report = report_of(records, contenders, ablated, list(checkpoints), options.best, settings)
    if ablated:
        report["latency"] = latencies(checkpoints[options.best], seeds[:10], settings, ablated[0].candidates)
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.out / "tables.md").write_text(markdown(report), encoding="utf-8")
    sys.stdout.write(markdown(report))


if __name__ == "__main__":
    main()
