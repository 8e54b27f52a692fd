"""Asking: frames of a selection before any answering model: a function, a tiny model, real and scripted servers."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import tiny_models
from colour_films import COLOURS, make_film
from PIL import Image
from test_remote_dialects import HEAD, read_request
from typer.testing import CliRunner

from kframes_plugin import AnswererError, Clip, KFrames
from kframes_plugin.answering import answer_question, load_answerer
from kframes_plugin.cli import app

GREEN = (20.0, 30.0)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red, ten seconds of green, blue."""
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", ("red", 20), ("green", 10), ("blue", 30))


@pytest.fixture
def kframes() -> KFrames:
    return KFrames(lambda frames, query: [Clip(*GREEN, reason="looks like: a lawn")], strategy="focused")


def colours_of(messages: list[dict[str, Any]]) -> list[str]:
    """The colours that an answerer is shown, in their order, each once."""
    names = []
    for item in messages[0]["content"]:
        if item["type"] == "image":
            names.append(colour_of(item["image"]))
        elif item["type"] == "image_url":
            data = item["image_url"]["url"].partition(",")[2]
            names.append(colour_of(Image.open(io.BytesIO(base64.b64decode(data)))))
    return list(dict.fromkeys(names))


def colour_of(image: Image.Image) -> str:
    seen = image.convert("RGB").getpixel((10, 10))
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], seen, strict=True)))


def texts_of(messages: list[dict[str, Any]]) -> list[str]:
    return [item["text"] for item in messages[0]["content"] if item["type"] == "text"]


# ----------------------------------------------------------------------------------------------- a function answers


def test_it_sees_the_frames_that_matter_and_uniform_beside_them(film: Path, kframes: KFrames) -> None:
    answer = kframes.ask(film, "What colour?", lambda messages: " ".join(colours_of(messages)), 6, compare=True)
    assert str(answer) == answer.text == "green"
    assert answer.uniform is not None
    assert answer.uniform.text == "red green blue"
    assert len(answer.selection.frames) == len(answer.uniform.selection.frames) == 6
    assert all(GREEN[0] <= time < GREEN[1] for time in answer.selection.timestamps)
    assert answer.cost.model_calls == 1
    assert set(answer.cost.seconds) >= {"candidates", "selector", "answer"}
    assert "6 frames, focused: 0:2" in answer.rests_on()
    assert "clip 0:20.0-0:30.0 (P1): looks like: a lawn" in answer.rests_on()


def test_what_it_is_told(film: Path, kframes: KFrames) -> None:
    seen: list[list[str]] = []

    def answerer(messages: list[dict[str, Any]]) -> str:
        seen.append(texts_of(messages))
        return "b) blue"

    asked = "Which one?", answerer, 2
    answer = kframes.ask(film, *asked, query="a lawn", options=["red", "blue"])
    assert answer.choice == 1
    assert answer.selection.query == "a lawn"
    times = [f"{time:.1f} s:" for time in answer.selection.timestamps]
    question = "Which one?\nA. red\nB. blue\nAnswer with the letter of the right option alone."
    assert seen.pop() == [*times, question], "no reasons unless asked"
    kframes.ask(film, *asked, reasons=True, transcript_lines=True, transcript=[(20, 30, "mow the grass")])
    assert any("looks like: a lawn" in text for text in seen[-1])
    assert any("mow the grass" in text for text in seen[-1])


def test_pieces_are_handed_on_as_they_come(film: Path, kframes: KFrames) -> None:
    pieces: list[str] = []

    def answerer(messages: list[dict[str, Any]]) -> Iterator[str]:
        for piece in ("gre", "en"):
            yield piece
            assert pieces[-1] == piece, "before the next is made"

    assert kframes.ask(film, "?", answerer, 1, on_text=pieces.append).text == "green"
    assert pieces == ["gre", "en"]


@pytest.mark.parametrize("said", [None, 7, [1, 2], b"green"])
def test_an_answerer_that_gives_no_text(film: Path, kframes: KFrames, said: Any) -> None:
    with pytest.raises(TypeError, match="an answerer must give a str or pieces of it; got"):
        kframes.ask(film, "?", lambda messages: said, 1)


def test_wrong_arguments_are_told_before_any_work(tmp_path: Path, kframes: KFrames) -> None:
    nothing = tmp_path / "nothing.mp4"
    with pytest.raises(ValueError, match="2 to 26 options, or none; got 1"):
        kframes.ask(nothing, "?", str, options=["red"])
    with pytest.raises(AnswererError, match="names no model"):
        kframes.ask(nothing, "?", "http://localhost/v1")
    with pytest.raises(ValueError, match="server= is for answerers behind an http"):
        load_answerer("some/model", server={"max_tokens": 4})
    with pytest.raises(AnswererError, match="cannot load the model"):
        load_answerer(tmp_path / "none")
    with pytest.raises(AnswererError, match="empty answer"):
        kframes.ask(make_film(tmp_path / "short.mp4", ("red", 2)), "?", lambda messages: " ", 1)


# --------------------------------------------------------------------------------------------------- a model answers


@pytest.fixture(scope="module")
def model(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that learned to say "a green field" of the green frames."""
    folder = tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("answerer") / "model")
    selection = KFrames(lambda frames, query: [Clip(*GREEN)], strategy="focused").select(film, "What is it?", 2)
    tiny_models.teach(folder, selection.to_messages(), "a green field")
    return folder


def test_a_model_of_transformers(film: Path, kframes: KFrames, model: Path) -> None:
    pieces: list[str] = []
    answerer = load_answerer(model, device="cpu")
    answer = kframes.ask(film, "What is it?", answerer, 2, on_text=pieces.append)
    assert answer.text == "a green field" == "".join(pieces)
    assert len(pieces) > 1
    assert (answer.cost.tokens_in, answer.cost.tokens_out) > (20, 3)
    assert not answer.cut_off


def test_a_real_server(film: Path, kframes: KFrames, model: Path, served: str) -> None:
    pieces: list[str] = []
    answer = kframes.ask(film, "What is it?", served, 2, on_text=pieces.append)
    assert answer.text == "a green field" == "".join(pieces)
    assert len(pieces) > 1
    assert kframes.ask(film, "What is it?", served, 2).text == "a green field"


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[str]:
    """`transformers serve` with that model."""
    from test_remote import serve_model

    with serve_model(model) as url:
        yield url


# ------------------------------------------------------------------------------------------------- scripted servers


class Script:
    """A chat endpoint that sends what it is told to, in pieces, and keeps the bodies it was sent."""

    def __init__(self, *answers: Callable[[dict[str, Any], socket.socket], None]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1#tiny"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                body = json.loads(read_request(connection))
                self.bodies.append(body)
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                answer(body, connection)

    def close(self) -> None:
        self._listener.close()


def event(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {"role": "assistant", "content": content} if content is not None else {}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}).encode()


def streams(*pieces: str, cut: bool = False) -> Callable[[dict[str, Any], socket.socket], None]:
    """An answer in pieces, its bytes torn at odd places; ``cut``: the connection ends in the middle."""

    def answer(body: dict[str, Any], connection: socket.socket) -> None:
        usage = {"prompt_tokens": 50, "completion_tokens": 3}
        rest = b": ping\r\n\r\ndata: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"
        data = b"".join(event(piece) + b"\r\n\r\n" for piece in pieces)
        data += b"" if cut else event(finish="stop") + b"\n\n" + rest
        head = HEAD.replace(b"application/json", b"text/event-stream; charset=utf-8")
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for place in range(0, len(data), 7):
            part = data[place : place + 7]
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        if not cut:
            connection.sendall(b"0\r\n\r\n")

    return answer


def says(text: str, status: int = 200) -> Callable[[dict[str, Any], socket.socket], None]:
    """A whole answer, or an error."""

    def answer(body: dict[str, Any], connection: socket.socket) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        row = {"choices": [choice]} if status == 200 else {"error": {"message": text}}
        data = json.dumps(row).encode()
        connection.sendall(
            HEAD.replace(b"200 OK", b"%d Said" % status) + b"Content-Length: %d\r\n\r\n" % len(data) + data
        )

    return answer


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    made: list[Script] = []

    def make(*answers: Callable[[dict[str, Any], socket.socket], None]) -> Script:
        made.append(Script(*answers))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_a_stream_of_events(film: Path, kframes: KFrames, script: Callable[..., Script]) -> None:
    server, pieces = script(streams("grün", "e ", "Wiese")), list[str]()
    answer = kframes.ask(film, "Was?", server.url, 3, on_text=pieces.append)
    assert answer.text == "grüne Wiese"
    assert pieces == ["grün", "e ", "Wiese"]
    assert (answer.cost.model_calls, answer.cost.tokens_in, answer.cost.tokens_out) == (1, 50, 3)
    body = server.bodies[0]
    assert body["stream"] is True
    assert colours_of(body["messages"]) == ["green"]
    assert texts_of(body["messages"]) == [*(f"{time:.1f} s:" for time in answer.selection.timestamps), "Was?"]


def test_a_server_that_does_not_stream(film: Path, kframes: KFrames, script: Callable[..., Script]) -> None:
    server, pieces = script(says("unknown field stream_options", 400), says("green")), list[str]()
    answer = kframes.ask(film, "?", server.url, 1, on_text=pieces.append)
    assert (answer.text, pieces) == ("green", ["green"])
    assert "stream_options" in server.bodies[0]
    assert "stream_options" not in server.bodies[1]


def test_a_broken_stream_is_not_told_twice(film: Path, kframes: KFrames, script: Callable[..., Script]) -> None:
    server, pieces = script(streams("gr", "ee", cut=True)), list[str]()
    with pytest.raises(AnswererError, match="broke off in the middle of its answer"):
        kframes.ask(film, "?", server.url, 1, on_text=pieces.append)
    assert (pieces, len(server.bodies)) == (["gr", "ee"], 1)


def test_events_that_are_none(film: Path, kframes: KFrames, script: Callable[..., Script]) -> None:
    def nonsense(body: dict[str, Any], connection: socket.socket) -> None:
        head = HEAD.replace(b"application/json", b"text/event-stream")
        connection.sendall(head + b"Content-Length: 14\r\n\r\ndata: {]]]]]\n\n")

    with pytest.raises(AnswererError, match="sends events that are not those of a chat endpoint"):
        kframes.ask(film, "?", script(nonsense).url, 1, on_text=str)


def test_options_of_a_server(film: Path, script: Callable[..., Script]) -> None:
    server = script(says("green"))
    answerer = load_answerer(server.url, server={"max_tokens": 9, "options": {"seed": 3}})
    selection = KFrames(lambda frames, query: [Clip(*GREEN)]).select(film, "q", 1)
    answer_question(selection, "?", answerer)
    assert (server.bodies[0]["max_tokens"], server.bodies[0]["seed"]) == (9, 3)


# ---------------------------------------------------------------------------------------------------- the command line


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["ask", *arguments], catch_exceptions=True)


def test_the_command(film: Path, script: Callable[..., Script]) -> None:
    server = script(streams("\x1b[31mred", "\nall over"), says("blue"))
    done = run(str(film), "What colour?", "--answerer", server.url, "-k", "3", "--model", "scenes", "--compare")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("\\u001b[31mred\nall over\n\n3 frames")
    assert "From evenly spaced frames:\nblue\n\n3 frames, uniform: 0:" in done.stdout
    assert len(re.findall(r"^clip ", done.stdout, re.M)) >= 3
    assert [len(body["messages"][0]["content"]) for body in server.bodies] == [7, 7]


def test_the_command_as_json(film: Path, script: Callable[..., Script], tmp_path: Path) -> None:
    options = ["--option", "red", "--option", "green", "--json", "--model", "uniform", "--out", str(tmp_path / "out")]
    done = run(str(film), "Which?", "--answerer", script(says("(B)")).url, *options)
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert (row["answer"], row["choice"], row["uniform"]) == ("(B)", 1, None)
    assert len(row["selection"]["frames"]) == 8
    assert (tmp_path / "out" / "report.html").is_file()


def test_wrong_commands(film: Path) -> None:
    assert run(str(film), "Which?", "--answerer", "http://h/v1#m", "--option", "one").exit_code == 2
    assert run(str(film), " ", "--answerer", "http://h/v1#m").exit_code == 2
    assert run(str(film), "Which?").exit_code == 2, "no answerer"
    dead = "http://127.0.0.1:9/v1#m", "--answerer-option", "retries=0", "--model", "uniform"
    failed = run(str(film), "Which?", "--answerer", *dead)
    assert isinstance(failed.exception, AnswererError)
