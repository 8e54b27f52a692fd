"""The haystack assembler on small clips made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pytest
from video_maker import make_video, read_number

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import haystack

from kframes_plugin.video import OpenVideo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of numbered frames with a manifest, one of them a filler."""
    folder, items = tmp_path_factory.mktemp("clips"), []
    for number, seconds in enumerate((4, 6, 30)):
        name = f"clip{number}.mp4"
        make_video(folder / name, [i * 125 for i in range(seconds * 8)])
        queries = [{"query": f"thing {number}", "clips": [[1.0, 3.0]]}, {"query": "all", "clips": [[0.0, seconds]]}]
        items.append(
            {
                "file": name,
                "duration": float(seconds),
                "haystack": True,
                "filler": number == 2,
                "derived_from": None,
                "queries": queries,
            }
        )
    (folder / "MANIFEST.json").write_text(json.dumps({"items": items, "negative_queries": ["a cat"]}))
    return folder


def test_a_haystack_holds_every_clip_once_and_its_truth_is_that_of_the_frames(folder: Path, tmp_path: Path) -> None:
    truth = haystack.assemble(folder, tmp_path / "hay.mp4", 1.2, 3, {})
    assert sorted(s["file"] for s in truth["segments"] if not s["filler"]) == ["clip0.mp4", "clip1.mp4", "clip2.mp4"]
    assert truth["duration"] >= 72
    with OpenVideo(tmp_path / "hay.mp4") as video:
        assert video.duration == pytest.approx(truth["duration"], abs=0.01)
    thing = next(query for query in truth["queries"] if query["query"] == "thing 0")
    start = next(s["start"] for s in truth["segments"] if s["file"] == "clip0.mp4")
    assert thing["clips"] == [[start + 1.0, start + 3.0]]
    assert len(next(query for query in truth["queries"] if query["query"] == "all")["clips"]) == len(truth["segments"])
    with OpenVideo(tmp_path / "hay.mp4") as video:
        for segment in truth["segments"]:
            (frame,) = video.frames_at([segment["start"] + 0.5])
            picture = frame.image.crop((40, 0, 280, 180))  # without the bars beside 4:3
            assert read_number(picture) == (segment["src_start"] + 0.5) * 8, "the clip's own frame"
    joins = [cut["t"] for cut in truth["cuts"] if cut["kind"] == "join"]
    assert joins == [segment["start"] for segment in truth["segments"][1:]]
    assert haystack.plan([], 1, Random(0)) == []


def test_one_seed_gives_one_video(folder: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        haystack.assemble(folder, tmp_path / name, 0.7, 5, {})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
