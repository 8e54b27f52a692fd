"""PeakClips with a tiny model behind a real `transformers serve`, on the real clips, with kills."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("openai")

import torch
from kframes_training.sources.peakclips import prompts, store
from kframes_training.sources.peakclips.cache import AnswerCache
from kframes_training.sources.peakclips.pipeline import TABLES
from loopback_chat import Server
from PIL import Image


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KFRAMES_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def lessons() -> list[tuple[list[dict[str, Any]], str]]:
    """Prompts of all kinds and what the model shall write: some right, some loose, some wrong until repaired."""
    rng = random.Random(0)
    taught: list[tuple[list[dict[str, Any]], str]] = []
    caption, scores = '{"caption": "a clip"}', '{"scores": [{"scene": 1, "score": 5, "reason": "seen"}]}'
    for _ in range(3):
        end = rng.uniform(4, 30)
        spans, video = [(0.0, end)], "v"
        image = Image.effect_noise((64, 48), rng.uniform(20, 120)).convert("RGB")
        seen = [{"type": "text", "text": f"<{end / 2:.1f} seconds>"}, {"type": "image", "image": image}]
        scene = [*seen, {"type": "text", "text": "\n" + prompts.scene(video, spans[0], 1).text}]
        taught.append((_user(scene), caption))
        taught.append((_user(prompts.chapter(video, spans, ["a clip"]).text), "```json\n{'caption': 'a clip'"))
        whole = _user(prompts.video(video, spans, ["a clip"]).text)
        why = prompts.repair("it holds no JSON")
        said = [{"role": "assistant", "content": [{"type": "text", "text": "It is a clip."}]}, *_user(why)]
        taught += [(whole, "It is a clip."), ([*whole, *said], caption)]
        taught.append((_user(prompts.relevance(video, "what is it?", "given", spans, ["a clip"], 0, 1).text), scores))
    return taught


def _user(content: Any) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{"role": "user", "content": parts}]


def teach(path: Path, steps: int = 250) -> None:
    """Train a saved tiny model until it writes every lesson's answer."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(0)
    model, processor = AutoModelForImageTextToText.from_pretrained(path), AutoProcessor.from_pretrained(path)
    batches = []
    for prompt, answer in lessons():
        start = processor.apply_chat_template(
            prompt, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
        )
        ids = processor.tokenizer(answer + "<|im_end|>", return_tensors="pt")["input_ids"]
        whole = {**start, "input_ids": torch.cat([start["input_ids"], ids], dim=1)}
        whole["attention_mask"] = torch.ones_like(whole["input_ids"])
        if "mm_token_type_ids" in whole:
            whole["mm_token_type_ids"] = torch.cat([start["mm_token_type_ids"], torch.zeros_like(ids)], dim=1)
        labels = whole["input_ids"].clone()
        labels[:, : start["input_ids"].shape[1]] = -100
        batches.append({**whole, "labels": labels})
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        losses = [model(**batch).loss for batch in random.Random(step).sample(batches, 5)]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(path)


@pytest.fixture(scope="module")
def real(shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """`transformers serve` with a tiny model behind a proxy that writes down what was asked and what was answered."""
    import tiny_models

    folder = tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("served") / "model")
    teach(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    with (folder.parent / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--device", "cpu", "--port", str(port)], stdout=log, stderr=log)
    proxy = None
    try:
        for _ in range(900):
            assert process.poll() is None, (folder.parent / "log").read_text(errors="replace")[-2000:]
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.2)

        def forward(body: dict[str, Any]) -> Any:
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=300)
            return answer.content if answer.is_success else answer.status_code

        proxy = Server(forward)
        yield proxy, proxy.url.partition("#")[0] + f"#{folder}"
    finally:
        if proxy:
            proxy.close()
        process.terminate()
        process.wait(timeout=30)


CLIPS = (
    "bikes_street_10s.mp4",
    "toy_frog_8s.mp4",
    "city_towers_night_7s_mpeg1.mpg",
    "nature_stills_fades_24s.mp4",
    "space_needle_17s_msmpeg4.avi",
)
CONCURRENCY = 2


def command_of(shared_videos: Path, url: str, out: Path) -> list[str]:
    queries = out.parent / "queries.jsonl"
    asked = [
        {"video_id": Path(clip).stem, "query": "what is it?"} for clip in CLIPS[:4]
    ]  # of the fifth they are written
    queries.write_text("\n".join(map(json.dumps, asked)))
    files = [str(shared_videos / "dev" / clip) for clip in CLIPS]
    options = {
        "annotator": url,
        "out": out,
        "queries": queries,
        "frame-size": 64,
        "frames-per-scene": 1,
        "questions-per-video": 1,
        "max-tokens": 60,
        "concurrency": CONCURRENCY,
        "price-in": 1,
        "price-out": 2,
    }
    build = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "peakclips", "build", *files]
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [*build, *given, "--no-json-schema"]


@pytest.fixture(scope="module")
def undisturbed(real: tuple[Server, str], shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = subprocess.run(command_of(shared_videos, real[1], out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.timeout(1800)
def test_the_whole_pipeline_on_real_clips_with_a_real_server(real: tuple[Server, str], undisturbed: Path) -> None:
    tables = {table: store.read(undisturbed, table) for table in TABLES}
    print({table: len(rows) for table, rows in tables.items()}, Counter(row["step"] for row in tables["errors"]))
    assert len(tables["videos"]) == 5
    entries = list(AnswerCache(undisturbed / ".work" / "answers").entries())
    scenes = sum(len(video["scenes"]) for video in tables["videos"])
    asked = Counter((entry["about"]["task"], entry["about"]["repair"]) for entry in entries)
    print(asked)
    # nothing is lost: every scene, chapter and query has its row or its error
    assert asked["scene", 0] <= scenes
    lacking = sum(not scene["caption"] for video in tables["videos"] for scene in video["scenes"])
    assert lacking == sum(row["step"] == "captions" for row in tables["errors"])
    for step, table in (("queries", "queries"), ("questions", "questions")):
        assert len(tables[table]) + sum(row["step"] == step for row in tables["errors"]) >= 1
    labelled = {row["video_id"] for row in tables["queries"]}
    failed = {row["video_id"] for row in tables["errors"] if row["step"] in ("relevance", "queries")}
    assert labelled | failed == {video["video_id"] for video in tables["videos"]}
    # malformed answers: some were repaired, some could not be, and say what was answered
    captions = [video["caption"] for video in tables["videos"]]
    assert asked["video", 1] >= 1
    assert "a clip" in captions
    assert any(row["message"].startswith("no usable answer after 1 repairs") for row in tables["errors"])
    # the log says what the server says
    log = [json.loads(line) for line in (undisturbed / ".work" / "cost.jsonl").read_text().splitlines()]
    served = [entry for entry in real[0].log if entry["status"] == 200][: len(log)]
    for name, key in (("tokens_in", "prompt_tokens"), ("tokens_out", "completion_tokens")):
        assert sum(line[name] for line in log) == sum(entry["usage"][key] for entry in served)
    spent = sum(line["tokens_in"] + 2 * line["tokens_out"] for line in log) / 1e6
    assert json.loads((undisturbed / "build.json").read_text())["cost"]["cost"] == pytest.approx(spent, abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_five_points_and_resumed(
    real: tuple[Server, str], undisturbed: Path, shared_videos: Path, tmp_path: Path
) -> None:
    server, url = real
    answers = len(list(AnswerCache(undisturbed / ".work" / "answers").entries()))
    rng, first, out, kills = random.Random(), len(server.log), tmp_path / "out", []
    for points in sorted(rng.sample(range(1, answers - 1), 5)):
        process = subprocess.Popen(
            command_of(shared_videos, url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while sum(entry["status"] == 200 for entry in server.log[first:]) < points and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
        os.kill(process.pid, signal.SIGKILL)
        kills.append(time.monotonic())
        assert process.wait() in (-signal.SIGKILL, 0)
    done = subprocess.run(command_of(shared_videos, url, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for table in TABLES:
        assert store.read(out, table) == store.read(undisturbed, table), table
    entries = {entry["key"]: entry for entry in AnswerCache(out / ".work" / "answers").entries()}
    twice = [body for body, count in Counter(entry["body"] for entry in server.log[first:]).items() if count > 1]
    asked = len(server.log) - first
    print(f"{asked} requests for {answers} answers; asked again: {len(twice)}, all of them under way at a kill")
    assert len(entries) == answers
    assert asked - answers <= 5 * CONCURRENCY
    for body in twice:  # an answer that had come and been kept is never asked for again
        for entry in [entry for entry in server.log[first:] if entry["body"] == body][:-1]:
            assert any(entry["begin"] <= kill <= entry["end"] + 0.5 for kill in kills)
