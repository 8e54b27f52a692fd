"""Damaged files by the hundred: no crash, hang or foreign exception, right counts, and damage that shows is noted.

``KFRAMES_FUZZ_SEED`` starts elsewhere; the seeds of a run are printed (``pytest -s``), and a failure names its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from drawn_film import SAMPLE

WORKER = Path(__file__).with_name("fuzz_worker.py")
FIRST = int(os.environ.get("KFRAMES_FUZZ_SEED", "0"))
BATCH = 50  # mutants a process
# Their decoders cannot tell: arithmetic codes in which any bytes mean something, and FFmpeg checks nothing behind them.
BLIND = {"vp8", "hevc"}
# name: codec and options; pictures of the sample film, 80 frames each
CLIPS: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mp4": ("libx264", {"preset": "veryfast"}),
    "h264.mkv": ("libx264", {"preset": "veryfast"}),
    "h264.ts": ("libx264", {"preset": "veryfast"}),
    "h264.flv": ("libx264", {"preset": "veryfast"}),
    "fragments.mp4": ("libx264", {"preset": "veryfast"}),
    "mpeg4.avi": ("mpeg4", {}),
    "mpeg2.ts": ("mpeg2video", {}),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "vp8.webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "prores.mov": ("prores_ks", {}),
    "mjpeg.mov": ("mjpeg", {}),
}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sound clips in many codecs and containers."""
    folder = tmp_path_factory.mktemp("clips")
    with av.open(str(SAMPLE)) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(800), strict=False)
        ]
    for name, (codec, options) in CLIPS.items():
        if codec not in av.codecs_available:
            continue
        muxer = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
        with av.open(str(folder / name), "w", options=muxer) as output:
            stream: Any = output.add_stream(codec, rate=25, options=options)
            formats = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}
            stream.width, stream.height, stream.pix_fmt = 320, 240, formats.get(codec, "yuv420p")
            stream.codec_context.gop_size = 20
            for number, pixels in enumerate(frames[::10]):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(width=320, height=240, format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return folder


def run_batch(folder: Path, selector: str, seeds: list[int]) -> list[dict[str, Any]]:
    """What came of each seed; a seed of which nothing came is a crash or a hang."""
    command = [sys.executable, str(WORKER), str(folder), selector, *map(str, seeds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=70 * len(seeds), check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    if len(told) < len(seeds):
        lost = seeds[len(told)]
        told.append({"seed": lost, "crash": f"exit {done.returncode}: {done.stderr[-600:]}"})
        told += run_batch(folder, selector, seeds[len(told) :]) if seeds[len(told) :] else []
    return told


def fuzz(folder: Path, selectors: tuple[str, str], count: int, workers: int) -> None:
    seeds = list(range(FIRST, FIRST + count))
    print(f"seeds {seeds[0]} to {seeds[-1]}, selectors {selectors}")
    batches = [(name, seeds[place : place + BATCH]) for name in selectors for place in range(0, count, BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        told = [line for lines in pool.map(lambda job: run_batch(folder, *job), batches) for line in lines]
    assert len(told) == count * len(selectors)
    assert [line for line in told if "crash" in line or "foreign" in line] == []
    assert [line for line in told if line.get("right") is False] == []
    print(sum("error" in line for line in told), "refused")
    for blind in (False, True):
        shown = [line for line in told if line.get("differs") and (line["codec"] in BLIND) == blind]
        silent = [line for line in shown if not line["notes"]]
        print(f"{len(shown)} show damage, {len(silent)} of them without a note", "(vp8, hevc)" * blind)
        print("  without:", Counter((line["clip"], line["kind"]) for line in silent).most_common(20))
        if not blind:
            assert len(shown) > count // 10
            assert len(silent) <= 0.1 * len(shown), [(line["seed"], line["clip"], line["kind"]) for line in silent]


@pytest.mark.timeout(600)
def test_200_damaged_files(clips: Path) -> None:
    fuzz(clips, ("uniform", "scenes"), 200, workers=2)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_2000_damaged_files(clips: Path, tmp_path: Path) -> None:
    """Also of small real clips where KFRAMES_TEST_VIDEOS names them."""
    folder = Path(shutil.copytree(clips, tmp_path / "clips", ignore=shutil.ignore_patterns("mutants-*")))
    real = Path(os.environ.get("KFRAMES_TEST_VIDEOS", "none")) / "dev"
    for clip in real.glob("*") if real.is_dir() else ():
        if clip.suffix != ".json" and clip.stat().st_size < 600_000:
            shutil.copy(clip, folder)
    fuzz(folder, ("lite", "scenes"), 2000, workers=2)
