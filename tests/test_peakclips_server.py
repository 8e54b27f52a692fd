"""PeakClips with a server that does as it is told: what is sent, what it costs, repairs, refusals."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("openai")

from kframes_training.sources.peakclips.annotator import AnnotatorError
from kframes_training.sources.peakclips.building import Plan, build
from kframes_training.sources.peakclips.cache import AnswerCache, costs, total
from kframes_training.sources.peakclips.media import Source, sources
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.synthscenes import sample_video, write_video
from loopback_chat import Answer, Server

SMALL = Settings(frame_size=64, frames_per_scene=1, queries_per_video=0, questions_per_video=0)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KFRAMES_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def join_text(body: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for message in body["messages"] for part in message["content"])


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    running: list[Server] = []

    def start(answer: Answer) -> Server:
        running.append(Server(answer))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    file = tmp_path_factory.mktemp("film") / "synthscenes-2000007.mp4"
    return sources([write_video(sample_video(2_000_007), file, size=(96, 72))])


def good(body: dict[str, Any]) -> str:
    """What a model that understands would answer."""
    text = join_text(body)
    if '"scores"' in text:
        first, last = map(int, re.search(r"of scenes (\d+) to (\d+)", text).groups())
        scores = [{"scene": n, "score": 5.0 - n % 2, "reason": "r"} for n in range(first, last + 1)]
        return json.dumps({"scores": scores})
    return '{"caption": "a thing"}'


def test_what_is_sent_and_what_it_costs(serve: Any, film: list[Source], tmp_path: Path) -> None:
    server = serve(good)
    given = {film[0].video_id: [{"query": "where is it?", "kind": "given"}]}
    plan = Plan(server.url, tmp_path / "work", settings=SMALL, given=given, concurrency=3, seed=7)
    tables = build(film, tmp_path / "out", plan, prices=(1.0, 2.0))
    assert tables["errors"] == []
    [row] = tables["queries"]
    assert row["scores"] == [5.0 - n % 2 for n in range(1, len(row["scores"]) + 1)]
    assert server.busiest <= 3
    first = json.loads(server.log[0]["body"])
    assert [part["type"] for part in first["messages"][0]["content"]] == ["text", "image_url", "text"]
    assert first["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert (first["seed"], first["temperature"]) == (7, 0)
    form = first["response_format"]["json_schema"]
    assert (form["name"], form["strict"], form["schema"]["required"]) == ("scene", True, ["caption"])
    log = [json.loads(line) for line in (tmp_path / "work" / "cost.jsonl").read_text().splitlines()]
    assert len(log) == len(server.log)
    for name, key in (("tokens_in", "prompt_tokens"), ("tokens_out", "completion_tokens")):
        assert sum(line[name] for line in log) == sum(entry["usage"][key] for entry in server.log)
    expected = sum(e["usage"]["prompt_tokens"] + 2 * e["usage"]["completion_tokens"] for e in server.log) / 1e6
    assert json.loads((tmp_path / "out" / "build.json").read_text())["cost"]["cost"] == pytest.approx(
        expected, abs=1e-6
    )
    again = build(film, tmp_path / "out", plan)
    assert (again, len(server.log)) == (tables, len(log))  # nothing was asked again


def test_a_malformed_answer_is_mended_once_or_an_error(serve: Any, film: list[Source], tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> str:
        if "chapters of a video" in join_text(body):
            return "never any JSON"
        return good(body) if len(body["messages"]) > 1 else '{"text": "another form"}'

    server = serve(answer)
    tables = build(film, tmp_path / "out", Plan(server.url, tmp_path / "work", settings=SMALL))
    [video] = tables["videos"]
    assert {scene["caption"] for scene in video["scenes"]} == {"a thing"}
    assert video["caption"] == ""
    [error] = tables["errors"]
    assert (error["step"], error["item"], error["answer"]) == ("video", "caption", "never any JSON")
    assert error["message"] == "no usable answer after 1 repairs: it holds no JSON"
    repairs = [json.loads(entry["body"]) for entry in server.log if len(json.loads(entry["body"])["messages"]) == 3]
    assert len(repairs) * 2 == len(server.log)
    assert "cannot be used: caption: Field required" in join_text(repairs[0])
    assert build(film, tmp_path / "out", Plan(server.url, tmp_path / "work", settings=SMALL)) == tables
    assert len(repairs) * 2 == len(server.log)  # what failed is not paid for again either


def test_a_busy_server_is_asked_again_and_a_refusal_is_an_error_of_the_item(
    serve: Any, film: list[Source], tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Any:
        text = join_text(body)
        seen[text] += 1
        if "chapters of a video" in text:
            return 400
        return 503 if seen[text] == 1 and "<" in text[:1] else good(body)

    server = serve(answer)
    tables = build(film, tmp_path / "out", Plan(server.url, tmp_path / "work", settings=SMALL))
    assert all(scene["caption"] for scene in tables["videos"][0]["scenes"])
    [error] = tables["errors"]
    assert "the server refuses the request (400: " in error["message"]
    log = costs(AnswerCache(tmp_path / "work" / "answers"), 0, 0)
    assert total(log)["requests"] == len(server.log) - 1  # two for every scene; the refused one gave no answer


@pytest.mark.parametrize(("status", "message"), [(401, "refuses .*KFRAMES_API_KEY"), (404, "check the model's name")])
def test_a_server_that_lets_nobody_in_stops_the_build(
    serve: Any, film: list[Source], tmp_path: Path, status: int, message: str
) -> None:
    server = serve(lambda body: status)
    with pytest.raises(AnnotatorError, match=message):
        build(film, tmp_path / "out", Plan(server.url, tmp_path / "work", settings=SMALL))
    assert not (tmp_path / "out" / "data").exists()
    working = serve(good)  # what was done is kept, and the build goes on with another server
    assert build(film, tmp_path / "out", Plan(working.url, tmp_path / "work", settings=SMALL))["errors"] == []


def test_no_server_at_all(film: list[Source], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1#m"
    plan = Plan(url, tmp_path / "work", settings=SMALL, model_options={"retries": 0})
    with pytest.raises(AnnotatorError, match=r"cannot reach http://127\.0\.0\.1:\d+/v1 .*does the server run"):
        build(film, tmp_path / "out", plan)
    with pytest.raises(AnnotatorError, match="says no model; add its name after a #"):
        build(film, tmp_path / "out", Plan("http://127.0.0.1:1/v1", tmp_path / "work"))
