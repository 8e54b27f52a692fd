"""The Ray engine gives the rows of the local one. Run from the command line: Ray has threads and sockets of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("ray")

from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.pipeline import TABLES
from kframes_training.sources.synthscenes import sample_video, write_video


def build(films: Path, out: Path, *more: str) -> None:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "peakclips", "build", str(films)]
    command += ["--annotator", "oracle:0.1", "--out", str(out), "--frame-size", "64", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # for the broken file
    assert "1 videos could not be annotated; the others are complete" in done.stderr


@pytest.mark.timeout(600)
def test_ray_and_local_rows_are_identical(tmp_path: Path) -> None:
    """Also with a file that cannot be read: it leaves a record, and the rest completes."""
    films = tmp_path / "films"
    films.mkdir()
    for seed in (2_000_007, 2_000_010):
        write_video(sample_video(seed), films / f"synthscenes-{seed}.mp4", size=(96, 72))
    (films / "broken.mp4").write_bytes(b"no video")
    build(films, tmp_path / "local")
    build(films, tmp_path / "ray", "--engine", "ray", "--workers", "2")
    for table in TABLES:
        assert store.read(tmp_path / "ray", table) == store.read(tmp_path / "local", table), table
    assert [row["video_id"] for row in store.read(tmp_path / "ray", "errors")] == ["broken"]
    assert len(store.read(tmp_path / "ray", "videos")) == 2
