"""The wheel in a clean environment without extras: weights are inside, and lite finds what it is asked for, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUERY = "a cup of coffee"


def run(*command: str | Path, cwd: Path, timeout: float = 600) -> str:
    """What a command prints; it sees nothing of this environment or of the source tree."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = tuple(map(str, command))
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=timeout, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e6


def overlap(clips: list[dict[str, float]], start: float, end: float) -> float:
    """Seconds of a span that clips cover."""
    return sum(max(0.0, min(clip["end"], end) - max(clip["start"], start)) for clip in clips)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_alone_finds_the_true_span(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT, cwd=tmp_path)
    [wheel] = tmp_path.glob("kframes-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "clean", cwd=tmp_path)
    bare = megabytes(tmp_path / "clean")
    scripts = tmp_path / "clean" / ("Scripts" if os.name == "nt" else "bin")
    start = time.perf_counter()
    run(scripts / "python", "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    installed = time.perf_counter() - start
    code = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'open_clip') if u.find_spec(n)])"
    assert run(scripts / "python", "-c", code, cwd=tmp_path) == "[]\n"

    video = shutil.copy(ROOT / "examples" / "sample.mp4", tmp_path)
    offline = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from kframes_plugin.cli import main\n"
        "main()"
    )
    start = time.perf_counter()
    command = (scripts / "python", "-c", offline, "select", video, QUERY, "-k", "8", "--json")
    found = json.loads(run(*command, cwd=tmp_path))
    took = time.perf_counter() - start
    truth = json.loads((ROOT / "examples" / "sample.json").read_text(encoding="utf-8"))["queries"]
    spans = next(row["clips"] for row in truth if row["query"] == QUERY)
    best = found["clips"][0]
    assert any(overlap([best], *span) >= 0.8 * (span[1] - span[0]) for span in spans), found["clips"]
    assert any(start <= frame["timestamp"] < end for frame in found["frames"] for start, end in spans)
    size = megabytes(tmp_path / "clean") - bare
    print(f"\nwheel {megabytes(wheel):.1f} MB; install {installed:.0f} s; an empty environment has {bare:.0f} MB, and")
    print(f"{size:.0f} MB added; the first answer took {took:.1f} s")
