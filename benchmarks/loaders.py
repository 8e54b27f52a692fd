"""CPU seconds of kframes against the usual loaders: short and long videos, four codecs, candidates and keyframes.

    python benchmarks/footage/fetch.py clips
    python benchmarks/loaders.py clips videos --out loaders.json

Videos of 2, 10 and 60 minutes are made where they lack (long_videos.py: 426 x 240, I-frames where each encoder puts
them by itself). Of each, every loader takes 256 frames, and 8. "scan_1_fps" decodes everything and takes a frame a
second, as AKS does before it chooses. Every loader runs in a process of its own; imports are not counted.
Prints ratios to kframes as Markdown; writes JSON with commit, versions, device and seed. Nothing here is random.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from decode import NEEDS, READERS, about_this_run, cpu_seconds
from long_videos import ENCODERS, build

MINUTES = (2.0, 10.0, 60.0)
SIZE = (426, 240)
# frames taken, and the reader of kframes that takes them
TASKS = {"candidates": (256, "kframes"), "keyframes": (8, "kframes_keyframes")}
OURS = tuple(ours for _, ours in TASKS.values())
PEERS = ("qwen_vl_utils", "transformers", "torchcodec", "scan_1_fps")


def find_videos(clips: Path, folder: Path, codec: str, minutes: Sequence[float]) -> list[Path]:
    """The videos of one codec, made where they lack."""
    paths = [folder / f"{codec}_{length:g}min.{ENCODERS[codec][2]}" for length in minutes]
    if not all(path.exists() for path in paths):
        build(clips, folder, minutes, codec=codec, size=SIZE, gop=None)
    return paths


class Loader:
    """One reader of decode.py in a process of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[str] | None = None
        if name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None:
            command = [sys.executable, __file__, "--serve", name]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self, video: Path, count: int) -> dict[str, Any]:
        """Frames and CPU seconds, or why there are none."""
        if self._process is None:
            return {"skipped": f"{NEEDS[self.name]} is not installed"}
        if self._process.poll() is not None:
            return {"failed": f"its process ended with exit code {self._process.returncode}"}
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(video), count]), file=self._process.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"failed": "its process ended"}')
        return told

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.communicate()


def serve(name: str) -> None:
    """Answer one request a line, [video, count], from stdin."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        take = READERS[name]()
        for line in sys.stdin:
            video, count = json.loads(line)
            start = cpu_seconds()
            try:
                told: dict[str, Any] = {"frames": take(video, count), "cpu_s": round(cpu_seconds() - start, 3)}
            except Exception as error:  # noqa: BLE001 (whatever another library raises)
                told = {"failed": f"{type(error).__name__}: {error}"[:200]}
            print(json.dumps(told), file=answers, flush=True)


def measure(video: Path, loaders: Mapping[str, Loader]) -> Iterator[dict[str, Any]]:
    """One row for each task: CPU seconds by loader, or why there are none."""
    scan: dict[str, Any] = {}
    for task, (count, ours) in TASKS.items():
        row: dict[str, Any] = {"video": video.name, "task": task, "kframes": loaders[ours].take(video, count)}
        for peer in [name for name in PEERS if name in loaders]:
            if peer == "scan_1_fps":  # the same for any count
                scan = scan or loaders[peer].take(video, count)
                row[peer] = scan
            else:
                row[peer] = loaders[peer].take(video, count)
        yield row


def find_worst(rows: Sequence[Mapping[str, Any]]) -> str:
    """Where kframes gains least, as a sentence."""
    ratios = [
        (row[peer]["cpu_s"] / row["kframes"]["cpu_s"], peer, row)
        for row in rows
        for peer in PEERS
        if "cpu_s" in row.get(peer, {})
    ]
    if not ratios:
        return "No other loader was there."
    ratio, peer, row = min(ratios, key=lambda one: one[0])
    return f"Worst: {row['task']} of {row['video']}, {peer} takes {ratio:.2f} times the CPU of kframes."


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: CPU seconds of kframes, and of the others as multiples of them."""
    lines = ["| video | frames | kframes, CPU s | " + " | ".join(PEERS) + " |", "|---" * (3 + len(PEERS)) + "|"]
    for row in rows:
        ours = row["kframes"]["cpu_s"]
        cells = [_cell(row[peer], ours) if peer in row else "not measured" for peer in PEERS]
        count = TASKS[row["task"]][0]
        lines.append(f"| {row['video']} | {count} {row['task']} | {ours} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", find_worst(rows)])


def _cell(told: Mapping[str, Any], ours: float) -> str:
    if "cpu_s" in told:
        return f"{told['cpu_s'] / ours:.1f}"
    return "fails" if "failed" in told else "not installed"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that footage/fetch.py filled")
    parser.add_argument("videos", type=Path, help="folder of the long videos")
    parser.add_argument("--codecs", default=",".join(ENCODERS))
    parser.add_argument("--minutes", default=",".join(f"{length:g}" for length in MINUTES))
    parser.add_argument("--peers", default=",".join(PEERS), help="the other loaders")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    minutes = [float(part) for part in options.minutes.split(",")]
    loaders = {name: Loader(name) for name in (*OURS, *options.peers.split(","))}
    rows: list[dict[str, Any]] = []
    for codec in options.codecs.split(","):
        for video in find_videos(options.clips, options.videos, codec, minutes):
            rows += measure(video, loaders)
            if options.out:
                report = {"benchmark": "loaders", **about_this_run(0), "size": SIZE, "rows": rows}
                options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for loader in loaders.values():
        loader.close()
    print(table(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
