"""The examples run as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from kframes_plugin import OpenVideo
from kframes_plugin.selectors.load import NANO

EXAMPLES = Path(__file__).parents[1] / "examples"
SAMPLE = EXAMPLES / "sample.mp4"
needs_nano = pytest.mark.skipif(not (NANO / "model.safetensors").is_file(), reason="nano has no weights yet")


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def queries() -> list[dict]:
    return json.loads((EXAMPLES / "sample.json").read_text(encoding="utf-8"))["queries"]


@pytest.mark.parametrize("model", ["scenes", pytest.param("", marks=needs_nano)])
def test_quickstart(model: str) -> None:
    first = queries()[0]
    arguments = [str(SAMPLE), first["query"], model] if model else []
    printed = run(str(EXAMPLES / "quickstart.py"), *arguments)
    assert f"'{first['query']}' in 122.6 s" in printed
    start, end = first["clips"][0]
    assert f"true {start:.1f} - {end:.1f} s" in printed
    times = [float(time) for time in re.search(r"8 frames at \[(.*)\]", printed).group(1).split(",")]
    assert len(set(times)) == 8
    assert "another query: 16 frames" in printed
    if not model:
        assert sum(start <= time < end for time in times) >= 4, "nano finds the scene"


def test_sample_is_what_its_script_draws(tmp_path: Path) -> None:
    run(str(EXAMPLES / "make_sample.py"), str(tmp_path))
    assert (EXAMPLES / "sample.json").read_text() == (tmp_path / "sample.json").read_text()
    assert SAMPLE.stat().st_size <= 600_000
    with OpenVideo(SAMPLE) as ours, OpenVideo(tmp_path / "sample.mp4") as again:
        assert list(ours.timestamps) == list(again.timestamps)
        assert ours.codec == again.codec == "h264"


def test_the_truth_of_the_sample_is_sound() -> None:
    with OpenVideo(SAMPLE) as video:
        duration = video.duration
    rows = queries()
    assert len({row["query"] for row in rows}) == len(rows) >= 8
    assert len(rows[0]["clips"]) == 1, "README begins with a query for one scene"
    assert any(len(row["clips"]) > 2 for row in rows)
    assert any(row["clips"] == [] for row in rows)
    for row in rows:
        assert set(row) == {"query", "clips"}
        spans = sorted(row["clips"])
        assert all(0 <= start < end <= duration + 0.125 for start, end in spans), "a frame lasts 1/8 s"
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
