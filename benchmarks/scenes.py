"""Cuts of ours and of PySceneDetect's detectors against true cuts: recall, precision at 0.5 s, speed.

    python benchmarks/footage/fetch.py clips
    python benchmarks/scenes.py clips [--haystack LONG.mp4 ...] [--out OUT.json]

The folder has a MANIFEST.json with the true cuts of its files; a haystack has its truth beside it (LONG.json). All
detectors get the same frames. Cuts in spans marked gradual or ambiguous are not scored: found there is neither right
nor wrong. Nothing here is random. Needs the "bench" extra.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from kframes_plugin.clips.scenes import detect_cuts
from kframes_plugin.types import Frame, Span
from kframes_plugin.video import OpenVideo

TOLERANCE = 0.5  # seconds
BESIDE = 0.05  # seconds around a span that is not scored: about one frame
MIN_SCENE = 0.5  # seconds; what PySceneDetect's detectors get instead of their 15 frames
SIZE = 128  # long side of the frames, pixels

Detector = Callable[[Sequence[Frame]], list[float]]


@dataclass(frozen=True)
class Truth:
    """A video and its cuts, seconds; ``unscored`` are the gradual and ambiguous spans."""

    path: Path
    cuts: list[float]
    unscored: list[Span]


@dataclass
class Score:
    """Counts over videos."""

    right: int = 0
    missed: int = 0
    wrong: int = 0
    frames: int = 0
    seconds: float = 0.0

    @property
    def recall(self) -> float:
        """Share of the true cuts that were found; 1 where there are none."""
        return self.right / max(1, self.right + self.missed) if self.right + self.missed else 1.0

    @property
    def precision(self) -> float:
        """Share of the found cuts that are true; 1 where none was found."""
        return self.right / max(1, self.right + self.wrong) if self.right + self.wrong else 1.0


def truths_of(folder: Path, haystacks: Sequence[Path] = ()) -> Iterator[tuple[str, Truth]]:
    """(group, truth) of all videos: "film" (4 frames a second), "clips", and the name of each haystack."""
    for item in json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["items"]:
        spans = [(start, end) for start, end in item["gradual_s"] + item["ambiguous_s"]]
        group = "film" if item["duration"] > 300 else "clips"
        yield group, Truth(folder / item["file"], item["cuts_s"], spans)
    for path in haystacks:
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        spans = [(start, end) for start, end in truth["gradual"] + truth["ambiguous"]]
        yield path.stem, Truth(path, [cut["t"] for cut in truth["cuts"]], spans)


def add_score(score: Score, found: Sequence[float], truth: Truth) -> None:
    """Match each true cut with the nearest cut found, one to one, and count."""
    left = list(found)
    for cut in truth.cuts:
        if any(start <= cut <= end for start, end in truth.unscored):
            continue
        near = [time for time in left if abs(time - cut) <= TOLERANCE + 1e-9]
        if near:
            left.remove(min(near, key=lambda time: abs(time - cut)))
            score.right += 1
        else:
            score.missed += 1
    score.wrong += sum(all(not a - BESIDE <= time <= b + BESIDE for a, b in truth.unscored) for time in left)


def ours(frames: Sequence[Frame]) -> list[float]:
    """kframes_plugin.clips.scenes at its defaults."""
    return [cut.time for cut in detect_cuts(iter(frames))]


def pyscenedetect(make: Callable[[], Any]) -> Detector:
    """A detector of PySceneDetect, fed frame by frame with the true time stamps."""
    from scenedetect import FrameTimecode
    from scenedetect.common import Timecode

    def detect(frames: Sequence[Frame]) -> list[float]:
        detector, found = make(), []
        rate = max(1.0, (len(frames) - 1) / max(frames[-1].timestamp, 1e-3))
        for frame in frames:
            time = FrameTimecode(Timecode(round(frame.timestamp * 90000), Fraction(1, 90000)), fps=rate)
            found += detector.process_frame(time, np.ascontiguousarray(np.asarray(frame.image)[:, :, ::-1]))
        found += detector.post_process(time)
        return [cut.seconds for cut in found]

    return detect


def all_detectors() -> dict[str, Detector]:
    """Ours and PySceneDetect's, by name."""
    from scenedetect.detectors import AdaptiveDetector, ContentDetector, HistogramDetector

    theirs = {kind.__name__: kind for kind in (ContentDetector, AdaptiveDetector, HistogramDetector)}
    made = {
        name: pyscenedetect(lambda kind=kind: kind(min_scene_len=MIN_SCENE))  # type: ignore[misc]
        for name, kind in theirs.items()
    }
    return {"ours": ours, **made}


def measure(
    truths: Iterator[tuple[str, Truth]], detectors: dict[str, Detector], size: int = SIZE
) -> dict[str, dict[str, Score]]:
    """{detector: {group: score}}; groups as in :func:`truths_of` and "all MANIFEST"."""
    scores: dict[str, dict[str, Score]] = {name: {} for name in detectors}
    for group, truth in truths:
        with OpenVideo(truth.path) as video:
            frames = list(video.frames(size=size))  # 30 KB each; kept, so that decoding is not timed
        groups = [group, "all MANIFEST"] if group in ("film", "clips") else [group]
        for name, detect in detectors.items():
            start = process_time()
            found = detect(frames)
            seconds = process_time() - start
            for score in (scores[name].setdefault(group, Score()) for group in groups):
                add_score(score, found, truth)
                score.frames += len(frames)
                score.seconds += seconds
    return scores


def report(scores: dict[str, dict[str, Score]]) -> str:
    """A Markdown table."""
    rows = [
        "| detector | videos | true cuts | recall | precision | missed | wrong | frames / CPU-s |",
        "|" + "---|" * 8,
    ]
    for name, groups in scores.items():
        for group, s in sorted(groups.items()):
            speed = s.frames / max(s.seconds, 1e-9)
            rows.append(
                f"| {name} | {group} | {s.right + s.missed} | {s.recall:.3f} | {s.precision:.3f} | {s.missed} | "
                f"{s.wrong} | {speed:.0f} |"
            )
    return "\n".join(rows)


def main() -> None:
    """Print the table; write all counts as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--haystack", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    scores = measure(truths_of(args.folder, args.haystack), all_detectors())
    print(report(scores))
    if args.out:
        here = Path(__file__).parent
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here)
        facts = {
            "commit": commit.stdout.strip() or None,
            "versions": {name: version(name) for name in ("kframes", "scenedetect", "opencv-python", "av", "numpy")},
            "python": platform.python_version(),
            "device": f"{platform.machine()} CPU, {platform.system()}",
            "seed": None,
            "settings": {"tolerance_s": TOLERANCE, "min_scene_s": MIN_SCENE, "size": SIZE},
            "scores": {
                name: {
                    group: {**asdict(score), "recall": score.recall, "precision": score.precision}
                    for group, score in groups.items()
                }
                for name, groups in scores.items()
            },
        }
        args.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
