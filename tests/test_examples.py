"""The examples run as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kframes_plugin import KFrames, OpenVideo
from kframes_plugin.selectors.load import NANO

EXAMPLES = Path(__file__).parents[1] / "examples"
SAMPLE = EXAMPLES / "sample.mp4"
TIMES = [0.0, 10.0, 25.5, 35.0, 60.0, 82.0, 89.9]  # seconds, one of them within a dissolve
needs_nano = pytest.mark.skipif(not (NANO / "model.safetensors").is_file(), reason="nano has no weights yet")


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def truth() -> dict:
    return json.loads((EXAMPLES / "sample.json").read_text(encoding="utf-8"))


def queries() -> list[dict]:
    return truth()["queries"]


@pytest.mark.parametrize("model", ["scenes", pytest.param("", marks=needs_nano)])
def test_quickstart(model: str) -> None:
    first = queries()[0]
    arguments = [str(SAMPLE), first["query"], model] if model else []
    printed = run(str(EXAMPLES / "quickstart.py"), *arguments)
    assert f"'{first['query']}' in 90.0 s" in printed
    assert "true " + ", ".join(f"{start:.1f} - {end:.1f} s" for start, end in first["clips"]) in printed
    times = [float(time) for time in re.search(r"8 frames at \[(.*)\]", printed).group(1).split(",")]
    assert len(set(times)) == 8
    assert "another query: 16 frames" in printed


def test_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    run(str(EXAMPLES / "make_sample.py"), str(tmp_path))
    assert (EXAMPLES / "sample.json").read_text() == (tmp_path / "sample.json").read_text()
    assert SAMPLE.stat().st_size <= 2_000_000
    with OpenVideo(SAMPLE) as ours, OpenVideo(tmp_path / "sample.mp4") as again:
        assert list(ours.timestamps) == list(again.timestamps)
        assert ours.codec == again.codec == "h264"
        for one, other in zip(ours.frames_at(TIMES, size=64), again.frames_at(TIMES, size=64), strict=True):
            assert np.abs(np.asarray(one.image, float) - np.asarray(other.image, float)).mean() < 2


def test_the_sample_has_the_scenes_that_its_truth_names() -> None:
    selection = KFrames.from_pretrained("scenes").select(SAMPLE, "anything", 16)
    found = [clip.start for clip in selection.clips if clip.start > 0]
    assert all(min(abs(cut - start) for start in found) < 0.1 for cut in truth()["cuts"])


def test_every_photograph_of_the_sample_has_a_licence() -> None:
    photos = truth()["photos"]
    assert len({photo["file"] for photo in photos}) == len(photos) == 10
    for photo in photos:
        assert photo["by"]
        assert re.search("public domain|CC0", photo["licence"]), photo


def test_the_truth_of_the_sample_is_sound() -> None:
    with OpenVideo(SAMPLE) as video:
        duration = video.duration
    rows = queries()
    assert len({row["query"] for row in rows}) == len(rows) >= 8
    assert len(rows[0]["clips"]) == 2, "README begins with something that is seen twice"
    assert any(len(row["clips"]) == 1 for row in rows)
    assert any(row["clips"] == [] for row in rows)
    for row in rows:
        assert set(row) == {"query", "clips"}
        spans = sorted(row["clips"])
        assert all(0 <= start < end <= duration for start, end in spans)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
