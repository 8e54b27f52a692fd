"""Answerers: a transformers model, a real server, the answerer of drawn scenes; prompts, and options read from text."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_film import SAMPLE

pytest.importorskip("trl")

from kframes_training.evaluation.answerers import (
    RemoteAnswerer,
    SynthScenesAnswerer,
    TransformersAnswerer,
    load_answerer,
    prompt,
    read_choice,
)
from kframes_training.sources.datasets import Item
from test_remote import free_port, wait_for

from kframes_plugin.types import Frame
from kframes_plugin.video import OpenVideo


def shown(count: int = 4) -> list[Frame]:
    from PIL import Image

    return [Frame(5.0 * i, 5.0, Image.new("RGB", (56, 42), (60 * i, 200, 99))) for i in range(count)]


ASKED = Item("q", Path("none.mp4"), "ring", "What colour is the ring?", ("red", "green", "blue"), 1)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2.5-VL that learned to answer "B" to ASKED."""
    import tiny_models

    folder = tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("answerer") / "model")
    content: list[dict[str, Any]] = []
    for frame in shown():
        content += [{"type": "text", "text": f"{frame.timestamp:.1f} s:"}, {"type": "image", "image": frame.image}]
    content.append({"type": "text", "text": "\n" + prompt(ASKED, shown())})
    assert tiny_models.teach(folder, [{"role": "user", "content": content}], "B") < 0.05
    return folder


def test_a_transformers_model_answers(taught: Path) -> None:
    answerer = TransformersAnswerer(str(taught))
    said = answerer(ASKED, shown(), (), 20.0)
    assert said.choice == 1
    assert sum(said.chances) == pytest.approx(1.0, abs=1e-4)
    assert said.chances[1] > 0.9
    assert said.cost.model_calls == 1
    assert said.cost.tokens_in > 40
    own = TransformersAnswerer(str(taught), style="auto")  # interleaved: this chat template has no place for videos
    assert own.settings["style"] == "interleaved"
    with pytest.raises(ValueError, match="style must be"):
        TransformersAnswerer(str(taught), style="none")


def test_a_server_answers(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`transformers serve` with the same model; it was taught the prompt of the other answerer, all but alike."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(taught)]
    with (taught.parent / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--device", "cpu", "--port", str(port)], stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, taught.parent / "log")
        said = RemoteAnswerer(f"http://127.0.0.1:{port}/v1#{taught}")(ASKED, shown(), (), 20.0)
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert (said.text, said.choice) == ("B", 1)
    assert said.cost.model_calls == 1
    assert said.cost.tokens_in > 40


def test_the_answerer_of_drawn_scenes(tmp_path: Path) -> None:
    from kframes_training.nano.answerer import answer_from_frames
    from kframes_training.nano.model import build_nano, build_tokenizer
    from kframes_training.nano.recipe import texts
    from kframes_training.sources.synthscenes import Question

    tokenizer = build_tokenizer(texts())
    build_nano(tokenizer, seed=1).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    item = Item("q", SAMPLE, "ring", "what colour is the ring?", ("red", "green", "blue", "pink"), 1)
    with OpenVideo(SAMPLE) as video:
        frames = video.frames_at([10.0, 50.0, 70.0])
    answerer = load_answerer(f"synthscenes:{tmp_path}")
    assert isinstance(answerer, SynthScenesAnswerer)
    said = answerer(item, frames, (), 120.0)
    alone = answer_from_frames(
        answerer.model, answerer.tokenizer, frames, Question(item.question, "", item.options, 1, ())
    )
    assert said.chances == pytest.approx(alone, abs=1e-4)
    assert said.choice == int(np.argmax(alone))
    with pytest.raises(ValueError, match="holds no answerer"):
        load_answerer(f"synthscenes:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match="takes images with their times"):
        load_answerer("http://host/v1#m", style="auto")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", 1),
        ("(B)", 1),
        ("B. green", 1),
        ("The answer is C.", 2),
        ("Answer: a", 0),
        ("It is green", 1),
        ("A red or a blue one", 0),
        ("Bananas", None),
        ("D", None),
        ("", None),
    ],
)
def test_reading_an_option(text: str, choice: int | None) -> None:
    assert read_choice(text, ASKED.options) == choice


def test_the_prompt_has_the_subtitles_near_the_frames() -> None:
    item = replace(ASKED, subtitles=((0.5, 1.0, "hello"), (30.0, 31.0, "far away")))
    assert prompt(item, shown()) == (
        "Subtitles near these frames: hello\nWhat colour is the ring?\nA. red\nB. green\nC. blue\n"
        "Answer with the letter of the right option alone."
    )
    assert prompt(ASKED, shown()).startswith("What colour")
