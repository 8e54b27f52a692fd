"""A process that selects for days: memory, threads and open files stay as they are; a Selection is its pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from video_maker import every, make_video

MEASURE = """
import gc, json, os, re, sys, threading
from kframes_plugin import KFrames

def measure():
    gc.collect()
    status = open("/proc/self/status").read()
    read = lambda name: int(re.search(name + r":\\s+(\\d+)", status)[1])
    return read("VmRSS") / 1024, read("Threads"), len(os.listdir("/proc/self/fd"))

paths, count = sys.argv[1:-1], int(sys.argv[-1])
kframes = [KFrames.from_pretrained(name) for name in ("uniform", "scenes")]
told = []
for place in range(count):
    kframes[place % 2].select(paths[place // 2 % len(paths)], "a blue square", 4, strategy="uniform")
    if place in (count // 4, count // 2):
        told.append(measure())
told.append(measure())
print(json.dumps(told))
"""


def run_selects(folder: Path, count: int) -> list[tuple[float, int, int]]:
    """(MB, threads, open files) after a quarter, half and all of so many selects, in a process of its own."""
    paths = [
        make_video(folder / "a.mp4", every(40, 30)),
        make_video(folder / "b.webm", every(40, 30), codec="libvpx-vp9"),
        make_video(folder / "c.avi", every(40, 30), codec="mpeg4"),
    ]
    broken = folder / "d.mkv"
    broken.write_bytes(make_video(folder / "e.mkv", every(40, 30)).read_bytes()[:-700])
    command = [sys.executable, "-c", MEASURE, *map(str, [*paths, broken]), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line) for line in json.loads(done.stdout)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@needs_proc
def test_100_selects_leave_nothing_behind(tmp_path: Path) -> None:
    first, _, last = run_selects(tmp_path, 100)
    assert last[1:] == first[1:]
    assert last[0] < first[0] + 20


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_2000_selects_leave_nothing_behind(tmp_path: Path) -> None:
    first, half, last = run_selects(tmp_path, 2000)
    print(first, half, last)
    assert last[1:] == first[1:]
    assert last[0] < half[0] + 10


KEPT = """
import gc, json, re, sys
from kframes_plugin import KFrames

def held():
    gc.collect()
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

kframes = KFrames.from_pretrained("scenes", candidates=32, frame_size=(64, 48))
kept = [kframes.select(sys.argv[1], "a", 4) for _ in range(5)]
before = held()
kept += [kframes.select(sys.argv[1], "a", 4) for _ in range(20)]
print((held() - before) / 20)
"""


@needs_proc
def test_a_kept_selection_holds_little_beside_its_pictures(tmp_path: Path) -> None:
    """Four pictures of 64 x 48 are .05 MB; the candidates and the decoder behind it are let go of."""
    path = make_video(tmp_path / "a.mp4", every(40, 60))
    done = subprocess.run([sys.executable, "-c", KEPT, str(path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.05 + 0.1
