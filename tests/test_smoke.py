"""What every install must do, in a minute; scripts/lowest.sh runs it with the lowest versions declared."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, OpenVideo, Selection

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("smoke") / "film.mp4", every(100, 100), size=(160, 120))


def needs(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_frames_at_their_times(film: Path, decoder: Any) -> None:
    if decoder == "decord":
        needs("decord")
    with OpenVideo(film, decoder=decoder) as video:
        assert [read_number(frame.image) for frame in video.frames_at([0.0, 4.25, 9.9])] == [0, 42, 99]
        assert len(video.candidates(8, 64)) == 8


@pytest.mark.parametrize("model", ["lite", "scenes", "uniform", "words"])
def test_selectors_of_a_plain_install(film: Path, model: str, tmp_path: Path) -> None:
    selection = KFrames.from_pretrained(model).select(film, "a red car", 4)
    assert len(selection.frames) == 4
    assert selection.save(tmp_path / "out", report=True)
    assert Selection.load(tmp_path / "out") == selection


def kframes(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line(film: Path, tmp_path: Path) -> None:
    for arguments in (["--help"], ["select", "--help"], ["probe", str(film)], ["models"]):
        done = kframes(*arguments)
        assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    out = tmp_path / "out"
    done = kframes("select", str(film), "a red car", "-k", "3", "--model", "scenes", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("frame_*.jpg"))) == 3
    assert kframes("select", str(film)).returncode == 2, "wrong arguments"
    assert kframes("select", str(tmp_path / "none.mp4"), "q").returncode == 1


def test_models_of_torch(film: Path) -> None:
    needs("torch", "transformers")
    for prediction in ("text", "scores"):
        kf = KFrames.from_pretrained("nano", device="cpu", prediction=prediction, candidates=8)
        assert len(kf.select(film, "a red ring", 4).frames) == 4


def test_adapters(film: Path) -> None:
    needs("langchain", "llama_index.core", "mcp")
    from kframes_langchain import KeepLastImages, KFramesRetriever, KFramesTool
    from kframes_llama_index import KFramesReader
    from kframes_mcp import build_server

    kf = KFrames(lambda frames, query: [Clip(1, 2)], candidates=4)
    tool = KFramesTool(kframes=kf, allowed_paths=[film.parent])
    message = tool.invoke(
        {"name": tool.name, "args": {"video": film.name, "query": "q"}, "id": "1", "type": "tool_call"}
    )
    assert message.status == "success"
    assert len(KFramesRetriever(kframes=kf, videos=[film], k=2).invoke("q")) == 2
    assert len(list(KFramesReader(kf, "q", k=2, out=film.parent / "out").lazy_load_data(film))) == 2
    assert build_server(kframes=kf, allowed_paths=[film.parent])
    assert KeepLastImages(1)
