"""PeakClips with a server that does as it is told: what is sent, what it costs, repairs, refusals."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("openai")

from colour_films import make_film
from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.annotator import AnnotatorError
from kframes_training.sources.peakclips.building import Plan, build
from kframes_training.sources.peakclips.cache import AnswerCache, costs, total
from kframes_training.sources.peakclips.media import Source, sources
from kframes_training.sources.peakclips.openai_writer import FAILURES
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.synthscenes import sample_video, write_video
from loopback_chat import Answer, Server
from typer.testing import CliRunner

from kframes_plugin.cli import app

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


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(12):
        make_film(folder / f"film-{number:02}.mp4", ("red", 3 + number), ("blue", 4), ("green", 5), rate=2)
    return folder


def plan_of(url: str, work: Path, poisoned: str = "film-05", **more: Any) -> Plan:
    """Twelve films with a query each; that of one film is poison."""
    given = {f"film-{n:02}": [{"query": f"what is in film-{n:02}?", "kind": "given"}] for n in range(12)}
    given[poisoned] = [{"query": "poison", "kind": "given"}]
    return Plan(url, work, settings=SMALL, given=given, model_options={"retries": 0}, **more)


def test_a_poisoned_video_is_quarantined_and_asked_for_again(serve: Any, films: Path, tmp_path: Path) -> None:
    """Its requests end in 500 for ever: all others finish, the next build asks for it alone."""
    server = serve(lambda body: 500 if "poison" in join_text(body) else good(body))
    found = sources([films])
    tables = build(found, tmp_path / "out", plan_of(server.url, tmp_path / "work"))
    [error] = tables["errors"]
    assert (error["video_id"], error["step"], error["kind"]) == ("film-05", "relevance", "server")
    assert {row["video_id"] for row in tables["queries"]} == {s.video_id for s in found} - {"film-05"}
    asked = len(server.log)
    again = build(found, tmp_path / "out", plan_of(server.url, tmp_path / "work"))
    assert again == tables
    assert len(server.log) == asked + 1, "only what was missing"


def test_the_command_says_what_is_missing(serve: Any, films: Path, tmp_path: Path) -> None:
    """Exit code 1 and the causes; with a good server the next build is whole and ends with 0."""
    healed = False
    server = serve(lambda body: 500 if "poison" in join_text(body) and not healed else good(body))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    lines = [{"video_id": f"film-{n:02}", "query": "poison" if n == 5 else "the sky"} for n in range(12)]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["peakclips", "build", str(films), "--annotator", server.url, "--out", str(tmp_path / "out")]
    words += ["--queries", str(tmp_path / "queries.jsonl"), "--frame-size", "64", "--frames-per-scene", "1"]
    words += ["--questions-per-video", "0", "--server-option", "retries=0"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "broken.mp4")])
    assert done.exit_code == 1, done.output
    assert "1 videos could not be annotated; the others are complete" in done.stderr
    assert "broken.mp4: " in done.stderr
    assert "1 answers of 1 videos are missing because the server failed; run the build again to get them" in done.stderr
    assert "film-05.mp4: the server failed at this request repeatedly (500: " in done.stderr
    healed = True
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "missing" not in done.stderr
    assert len(store.read(tmp_path / "out", "queries")) == 12


def test_a_server_that_fails_at_everything_is_given_up(serve: Any, films: Path, tmp_path: Path) -> None:
    server = serve(lambda body: 500)
    with pytest.raises(AnnotatorError, match=f"failed at {FAILURES} requests in a row .* run the build again later"):
        build(sources([films]), tmp_path / "out", plan_of(server.url, tmp_path / "work"))
    assert len(server.log) < FAILURES + 10


def test_what_is_finished_is_written_when_the_server_goes(serve: Any, films: Path, tmp_path: Path) -> None:
    """A key that expires in the middle of a build: partial tables, and the rest with the next build."""
    answered = 0

    def answer(body: dict[str, Any]) -> Any:
        nonlocal answered
        answered += 1
        return 401 if answered > 45 else good(body)

    server, found = serve(answer), sources([films])
    with pytest.raises(AnnotatorError, match=r"the tables of the \d+ finished videos, of 12, are in "):
        build(found, tmp_path / "out", plan_of(server.url, tmp_path / "work", concurrency=2))
    there = store.read(tmp_path / "out", "videos")
    assert 0 < len(there) < 12
    assert json.loads((tmp_path / "out" / "build.json").read_text())["unfinished"] == 12 - len(there)
    answered = -1000
    assert len(build(found, tmp_path / "out", plan_of(server.url, tmp_path / "work"))["videos"]) == 12


@pytest.mark.slow
def test_all_request_slots_are_used(serve: Any, tmp_path: Path) -> None:
    """Two workers of eight slots each: on average at least twelve requests are under way."""

    def slowly(body: dict[str, Any]) -> str:
        time.sleep(1.0)
        return good(body)

    server = serve(slowly)
    for number in range(96):
        make_film(tmp_path / f"film-{number:02}.mp4", ("red", 3 + number / 2), ("blue", 4), ("green", 5), rate=2)
    plan = Plan(server.url, tmp_path / "work", settings=replace(SMALL, queries_per_video=0), concurrency=8)
    build(sources([tmp_path]), tmp_path / "out", plan, workers=2)
    begin, end = min(e["begin"] for e in server.log), max(e["end"] for e in server.log)
    average = sum(entry["end"] - entry["begin"] for entry in server.log) / (end - begin)
    print(f"{average:.1f} requests under way on average, {server.busiest} at most")
    assert server.busiest <= 16
    assert average >= 12


def test_no_server_at_all(film: list[Source], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1#m"
    plan = Plan(url, tmp_path / "work", settings=SMALL, model_options={"retries": 0})
    with pytest.raises(AnnotatorError, match=r"cannot reach http://127\.0\.0\.1:\d+/v1 .*is the server running"):
        build(film, tmp_path / "out", plan)
    with pytest.raises(AnnotatorError, match="names no model; add its name after a #"):
        build(film, tmp_path / "out", Plan("http://127.0.0.1:1/v1", tmp_path / "work"))
