"""PyAV or decord? Speed, memory, right frames and errors on the real clips; the default is chosen from this.

    python benchmarks/footage/fetch.py clips && python benchmarks/decoders.py clips --out decoders.json

For every file: 16 evenly spread times; each loader gives the frames on screen then, at most 448 pixels wide, in a
process of its own (60 s at most). A frame is right when no frame of a plain sequential decode is closer to it.
Loaders: "pyav" and "decord" are OpenVideo's; "decord alone" is decord as people use it, by its own time stamps.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decode import about_this_run, cpu_seconds, peak_mb
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
COUNT = 16
LONG_SIDE = 448
LIMIT = 60  # seconds a file
LOADERS = ("pyav", "decord", "decord alone")


def by_open_video(decoder: Any) -> Callable[[str, int], tuple[list[float], list[Any]]]:
    import kframes_plugin.video.decord
    import kframes_plugin.video.pyav  # noqa: F401 (imported on use; here, so that it does not count)
    from kframes_plugin.video import OpenVideo

    def take(path: str, count: int) -> tuple[list[float], list[Any]]:
        with OpenVideo(path, decoder=decoder) as video:
            times = [(place + 0.5) * video.duration / count for place in range(count)]
            return times, [frame.image for frame in video.frames_at(times, size=LONG_SIDE)]

    return take


def by_decord_alone() -> Callable[[str, int], tuple[list[float], list[Any]]]:
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)

    def take(path: str, count: int) -> tuple[list[float], list[Any]]:
        height, width, _ = decord.VideoReader(path)[0].shape
        scale = min(1.0, LONG_SIDE / max(width, height))
        reader = decord.VideoReader(path, width=max(1, round(width * scale)), height=max(1, round(height * scale)))
        spans = reader.get_frame_timestamp(range(len(reader)))
        starts = spans[:, 0] - spans[0, 0]
        duration = float(spans[-1, 1] - spans[0, 0])
        times = [(place + 0.5) * duration / count for place in range(count)]
        ranks = np.searchsorted(starts, times, side="right") - 1
        return times, [Image.fromarray(picture) for picture in reader.get_batch(ranks).asnumpy()]

    return take


def run_loader(loader: str, path: str, out: Path) -> dict[str, Any]:
    """Run one loader in this process; its pictures go to ``out`` as (n, 24, 32, 3)."""
    take = by_decord_alone() if loader == "decord alone" else by_open_video(loader)
    before, cpu = peak_mb(), cpu_seconds()
    times, images = take(path, COUNT)
    result = {"cpu_s": round(cpu_seconds() - cpu, 3), "peak_mb": round(peak_mb()), "imports_mb": round(before)}
    np.savez(out, times=times, pictures=np.stack([_small(image) for image in images]))
    return result


def write_truth(path: str, out: Path) -> dict[str, Any]:
    """A plain sequential decode: time stamps and small pictures of every frame."""
    from kframes_plugin.video import OpenVideo

    with OpenVideo(path) as video:
        video.candidates(len(video.timestamps), size=32)  # asks for all, so that damage shows and is indexed
        frames = [(frame.timestamp, _small(frame.image)) for frame in video.frames(size=LONG_SIDE)]
    np.savez(out, times=[time for time, _ in frames], pictures=np.stack([picture for _, picture in frames]))
    return {"frames": len(frames)}


def _small(image: Any) -> Pictures:
    from PIL import Image

    return np.asarray(image.resize((32, 24), Image.Resampling.BOX))


def compare(truth: Any, given: Any) -> int:
    """How many of the given frames are the ones on screen."""
    right = 0
    ranks = np.searchsorted(truth["times"], given["times"], side="right") - 1
    every_one = truth["pictures"].astype(np.int16)
    for rank, picture in zip(ranks, given["pictures"], strict=True):
        apart = np.abs(every_one - picture.astype(np.int16)).mean(axis=(1, 2, 3))
        right += bool(apart[rank] <= apart.min() + 0.2)
    return right


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="folder of the clips, with their MANIFEST.json")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--only", default="", help="only files whose name contains this")
    parser.add_argument("--run", nargs=2, metavar=("LOADER", "NPZ"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.run:
        loader, out = options.run
        path = str(options.videos)
        print(json.dumps(write_truth(path, out) if loader == "truth" else run_loader(loader, path, out)))
        return
    rows = []
    manifest = json.loads((options.videos / "MANIFEST.json").read_text(encoding="utf-8"))
    for item in manifest["items"]:
        path = options.videos / item["file"]
        if path.exists() and options.only in item["file"]:
            rows.append({"file": item["file"], "codec": item.get("codec"), **measure(path)})
    report = {"benchmark": "decoders", **about_this_run(seed=0), "count": COUNT, "rows": rows}
    print(_summary(rows))
    print(_differences(rows))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(path: Path) -> dict[str, Any]:
    """Every loader on one file."""
    with tempfile.TemporaryDirectory() as folder:
        truth_file = Path(folder) / "truth.npz"
        result: dict[str, Any] = {"truth": _call("truth", path, truth_file)}
        for loader in LOADERS:
            out = Path(folder) / "out.npz"
            result[loader] = said = _call(loader, path, out)
            if "error" not in said and truth_file.exists():
                with np.load(truth_file) as truth, np.load(out) as given:
                    said["right"] = compare(truth, given)
    return result


def _call(loader: str, path: Path, out: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, str(path), "--run", loader, str(out)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {LIMIT} s"}
    if done.returncode < 0:
        return {"error": f"killed by signal {-done.returncode}"}
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if "Error" in line]
        said = (lines or ["failed"])[-1].split(": ", 1)[-1].replace(f"{path}: ", "")
        return {"error": re.sub(r"\[[^\]]*\] |/\S+\.cc:\d+: ", "", said)[:200]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _state(said: dict[str, Any]) -> str:
    if "error" in said:
        return "no answer" if "no answer" in said["error"] else "error"
    return "right" if said.get("right") == COUNT else "wrong"


def _summary(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| loader | all right | some wrong | error | no answer | CPU s (files that all read) | median peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    shared = [row for row in rows if all("error" not in row[loader] for loader in LOADERS)]
    for loader in LOADERS:
        states = [_state(row[loader]) for row in rows]
        counts = " | ".join(str(states.count(state)) for state in ("right", "wrong", "error", "no answer"))
        cpu = sum(row[loader]["cpu_s"] for row in shared)
        peak = statistics.median([row[loader]["peak_mb"] for row in shared]) if shared else 0
        lines.append(f"| {loader} | {counts} | {cpu:.1f} ({len(shared)}) | {peak:.0f} |")
    return "\n".join(lines)


def _differences(rows: list[dict[str, Any]]) -> str:
    """One line for every file that some loader does not read rightly."""
    lines = ["", "| file | " + " | ".join(LOADERS) + " |", "|---|" + "---|" * len(LOADERS)]
    for row in rows:
        cells = []
        for loader in LOADERS:
            said = row[loader]
            cells.append(f"{said['right']} of {COUNT} right" if "right" in said else said.get("error", "?")[:90])
        if any(_state(row[loader]) != "right" for loader in LOADERS):
            lines.append(f"| {row['file']} | " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
