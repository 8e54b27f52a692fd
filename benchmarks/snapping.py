"""Ends of clips before and after ``snap_to_cuts``: seconds from the true cut, on real footage.

    python benchmarks/footage/fetch.py clips && python benchmarks/snapping.py clips [--out OUT.json]

The folder has a MANIFEST.json with the true cuts of its files. Every scene that a candidate shows is given as who sees
only the candidates would give it: from its first candidate to the first behind it. Ends of the video are not scored.
Nothing here is random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from kframes_training.evaluation.provenance import about_this_run

from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.types import Candidates, Clip, Span
from kframes_plugin.video import OpenVideo

SPACINGS = (1.5, 3.0, 6.0, 10.0)  # seconds between candidates
SIZE = 224  # long side of the candidates, pixels
NEAR = 0.3  # seconds


def at_candidates(scene: Span, candidates: Candidates) -> Clip | None:
    """The scene at the candidates; None if none shows it."""
    inside = [frame for frame in candidates if scene[0] <= frame.timestamp < scene[1]]
    return Clip(inside[0].timestamp, inside[-1].end) if inside else None


def errors(clip: Clip, scene: Span, duration: float) -> list[float]:
    """Seconds between each end of a clip and the cut there."""
    return [abs(found - true) for found, true in zip((clip.start, clip.end), scene, strict=True) if 0 < true < duration]


def measure(path: Path, cuts: Sequence[float], spacing: float) -> dict[str, Any]:
    """All scenes of one file."""
    with OpenVideo(path) as video:
        candidates = video.candidates(max(2, round(video.duration / spacing)), size=SIZE)
        scenes = list(pairwise([0.0, *cuts, video.duration]))
        given = [(scene, clip) for scene in scenes if (clip := at_candidates(scene, candidates))]
        before, start = video.frames_decoded, process_time()
        found = [snap_to_cuts([clip], candidates, video, size=SIZE)[0] for _, clip in given]
        seconds = process_time() - start
        return {
            "clips": len(given),
            "before": [error for scene, clip in given for error in errors(clip, scene, video.duration)],
            "after": [
                error
                for (scene, _), clip in zip(given, found, strict=True)
                for error in errors(clip, scene, video.duration)
            ],
            "frames": video.frames_decoded - before,
            "seconds": seconds,
        }


def run(folder: Path) -> list[dict[str, Any]]:
    """One row for every spacing of the candidates."""
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    files = [(folder / item["file"], item["cuts_s"]) for item in manifest["items"] if item.get("cuts_s")]
    rows = []
    for spacing in SPACINGS:
        parts = [measure(path, cuts, spacing) for path, cuts in files]
        before, after = (np.array([error for part in parts for error in part[key]]) for key in ("before", "after"))
        clips = sum(part["clips"] for part in parts)
        rows.append(
            {
                "spacing": spacing,
                "clips": clips,
                "ends": len(after),
                "mean_before": float(before.mean()),
                "mean_after": float(after.mean()),
                "near_before": float((before < NEAR).mean()),
                "near_after": float((after < NEAR).mean()),
                "frames_a_clip": sum(part["frames"] for part in parts) / clips,
                "seconds_a_clip": sum(part["seconds"] for part in parts) / clips,
            }
        )
    return rows


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """Markdown."""
    head = (
        "| candidates every | ends of clips | error at candidates, s | on cuts | within .3 s at candidates | on cuts | "
        "frames decoded, a clip | CPU s, a clip |\n|---|---|---|---|---|---|---|---|"
    )
    lines = [
        f"| {row['spacing']:g} s | {row['ends']} | {row['mean_before']:.2f} | {row['mean_after']:.2f} | "
        f"{row['near_before']:.2f} | {row['near_after']:.2f} | {row['frames_a_clip']:.0f} | "
        f"{row['seconds_a_clip']:.3f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = {"benchmark": "snapping", **about_this_run(), "seed": None, "rows": run(arguments.folder)}
    print(table(report["rows"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
