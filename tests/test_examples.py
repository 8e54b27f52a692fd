"""The examples run as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kframes_plugin import OpenVideo

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quickstart():
    printed = run(str(EXAMPLES / "quickstart.py"))
    assert "8 frames at" in printed
    assert "16 frames of 48.0 s" in printed


def test_sample_is_what_its_script_draws(tmp_path):
    run(str(EXAMPLES / "make_sample.py"), str(tmp_path / "again.mp4"))
    assert (EXAMPLES / "sample.mp4").stat().st_size < 1_000_000
    with OpenVideo(EXAMPLES / "sample.mp4") as ours, OpenVideo(tmp_path / "again.mp4") as again:
        assert list(ours.timestamps) == list(again.timestamps)
        assert ours.codec == again.codec == "h264"
