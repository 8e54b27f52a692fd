"""benchmarks/results/*.json -> benchmarks/RESULTS.md.

    python benchmarks/results.py [--results FOLDER] [--out FILE]

The numbers come from the JSON alone: nothing is measured here. What measures is named above every table. The results of
``python -m kframes_training.evaluation.studies.NAME --out RUN`` are RUN/results.json, kept here as NAME.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import decode
import decoders
import hours
import loaders
import scenes
import snapping
from kframes_training.evaluation.studies import conformance, contest, footage, latency, synthscenes
from kframes_training.evaluation.tables import WORDS, Table, list_failures, render

HERE = Path(__file__).parent
Report = Mapping[str, Any]


def of_study(list_tables: Callable[[Report], list[Table]], report: Report) -> str:
    """What a study measured: failures first, then its tables."""
    told = ["\n".join(list_failures(report)), WORDS] if "data" in report else []
    return "\n\n".join([*told, *map(render, list_tables(report))])


def of_decode(report: Report) -> str:
    """Candidates of a long video."""
    return decode._table(dict(report))


def of_decoders(report: Report) -> str:
    """Right frames on real clips, by decoder."""
    rows = list(report["rows"])
    return f"{decoders._summary(rows)}\n{decoders._differences(rows)}"


def of_loaders(report: Report) -> str:
    """CPU of other loaders as multiples of kframes', by codec and length."""
    return loaders.table(report["rows"])


def of_scenes(report: Report) -> str:
    """Hard cuts on real clips, by detector."""
    counts = ("right", "missed", "wrong", "frames", "seconds")
    return scenes.report(
        {
            name: {group: scenes.Score(**{key: score[key] for key in counts}) for group, score in groups.items()}
            for name, groups in report["scores"].items()
        }
    )


def of_hours(report: Report) -> str:
    """Needles in videos of hours, with and without a retriever."""
    return hours.table(report["rows"])


def of_snapping(report: Report) -> str:
    """Ends of clips at candidates and on cuts."""
    return snapping.table(report["rows"])


def of_peakclips(report: Report) -> str:
    """Labels against the truth, statistics beside the paper's, chapters, engines; parts not measured are left out."""
    parts = (("labels", _peakclips_labels), ("statistics", _peakclips_statistics), ("engines", _peakclips_engines))
    return "\n\n".join("\n".join(part(report)) for name, part in parts if name in report)


def _peakclips_labels(report: Report) -> list[str]:
    labels = report["labels"]
    measures = ("p1_iou", "p1_iou_present", "clips_iou", "scores_right", "score_error")
    truth, seeds = labels["truth"], labels["two_seeds"]
    return [
        f"{report['judged']} videos, {truth['oracle']['queries']} queries, labels against the truth; an annotator that "
        f"errs replaces {labels['noise']:.0%} of its scores; refined by nano's scores of frames, weights .8 and .2.",
        "",
        f"| annotator | {' | '.join(measures)} |",
        "|---" * (len(measures) + 1) + "|",
        *(f"| {name} | {' | '.join(f'{row[m]:.3f}' for m in measures)} |" for name, row in truth.items()),
        "",
        "| two seeds of it, against each other | p1_iou | clips_iou | same_class |",
        "|---|---|---|---|",
        *(
            f"| {n} | {row['p1_iou']:.3f} | {row['clips_iou']:.3f} | {row['same_class']:.3f} |"
            for n, row in seeds.items()
        ),
        "",
        "| chapters by | boundary F1 | chapters a video |",
        "|---|---|---|",
        *(f"| {method} | {row['f1']:.3f} | {row['chapters']:.2f} |" for method, row in report["chapters"].items()),
    ]


def _peakclips_statistics(report: Report) -> list[str]:
    stats, checked = report["statistics"], report["checked"]
    everything, nothing = checked["cover_everything"]["count"], checked["cover_nothing"]["count"]
    return [
        f"{stats['videos']} videos, {stats['hours']:.1f} hours, oracle, scenes from the true cuts: {checked['clips']} "
        f"clips, {checked['p1_clips']:.1%} of them P1; labels that cover everything {everything}, nothing {nothing}. "
        f"Clips last {_listed(checked['clip_seconds'])} s.",
        "",
        "| per video | built from H.264 files | scenes from the true cuts | paper |",
        "|---|---|---|---|",
        *(
            f"| {n} | {report['built']['per_video'][n]:.2f} | {value:.2f} | {stats['paper_per_video'][n]:.2f} |"
            for n, value in stats["per_video"].items()
        ),
    ]


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _peakclips_engines(report: Report) -> list[str]:
    engines = report["engines"]
    return [
        f"A build of {engines['videos']} videos ({engines['hours']} hours) from nothing, oracle, starts included; two "
        f"cores with other work (load {engines['load_before']} before):",
        "",
        "| engine | workers | seconds | same rows |",
        "|---|---|---|---|",
        *(f"| {row['engine']} | {row['workers']} | {row['seconds']} | {row['same']} |" for row in engines["rows"]),
    ]


SECTIONS: dict[str, tuple[str, str, Callable[[Report], str]]] = {
    **{
        name: (title, f"python -m kframes_training.evaluation.studies.{name}", partial(of_study, study.list_tables))
        for name, title, study in (
            ("synthscenes", "SynthScenes: clips and frames", synthscenes),
            ("contest", "Published selectors and kframes on the same candidates", contest),
            ("conformance", "Exactly k? Every selector on hard scores", conformance),
            ("latency", "Seconds that a user waits", latency),
            ("footage", "Real footage", footage),
        )
    },
    "decode": ("Candidate frames of a long video", "python benchmarks/decode.py", of_decode),
    "loaders": ("Loaders, codecs and lengths", "python benchmarks/loaders.py clips videos", of_loaders),
    "decoders": ("Decoders on real clips", "python benchmarks/decoders.py", of_decoders),
    "scenes": ("Scene cuts on real clips", "python benchmarks/scenes.py", of_scenes),
    "snapping": ("Ends of clips on real footage", "python benchmarks/snapping.py", of_snapping),
    "hours": ("Needles in videos of hours", "python benchmarks/hours.py clips", of_hours),
    "peakclips": ("PeakClips on SynthScenes", "python benchmarks/peakclips.py", of_peakclips),
}


def results(folder: Path) -> str:
    """The whole of RESULTS.md; a benchmark without a JSON file is left out."""
    parts = ["# Results\n\nMade by `python benchmarks/results.py` from the files in `benchmarks/results/`."]
    for name, (title, command, section) in SECTIONS.items():
        file = folder / f"{name}.json"
        if file.is_file():
            report = json.loads(file.read_text(encoding="utf-8"))
            parts.append(f"## {title}\n\n{about(command, report)}\n\n{section(report).strip()}")
    return "\n\n".join(parts) + "\n"


def about(command: str, report: Report) -> str:
    """Where a table comes from: command, commit, versions, device, seed."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version[:1].isdigit())
    device = report["device"]
    where = device if isinstance(device, str) else f"{device['cpu']}, {device['cpus']} cores, {device['system']}"
    seed = "nothing random" if report["seed"] is None else f"seed {report['seed']}"
    return f"`{command}`; commit {str(report['commit'])[:10]}; {versions}; {where}; {seed}."


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    options.out.write_text(results(options.results), encoding="utf-8")


if __name__ == "__main__":
    main()
