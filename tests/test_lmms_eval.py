"""The plugin of lmms-eval, in an environment of its own: a local task of two items through the real lmms-eval.

    python -m venv lmms && lmms/bin/pip install lmms-eval pytest pytest-timeout pytest-asyncio hypothesis
    lmms/bin/pip install . && lmms/bin/python -m pytest -m lmms

The inner model is lmms-eval's own "openai", which talks to a small server on loopback that keeps what came in.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed here; it needs an environment of its own")

from kframes_lmms_eval.frames import FramesForVideos
from PIL import Image
from video_maker import make_video, read_number

from kframes_plugin import Clip, KFrames

pytestmark = pytest.mark.lmms
RATE = 4  # frames a second of the test videos

TASK = """
task: kframes_two_items
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_visual: !function two_items.visual
doc_to_text: !function two_items.text
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 4
process_results: !function two_items.results
metric_list:
  - metric: right
    aggregation: mean
    higher_is_better: true
"""
FUNCTIONS = """
def visual(doc):
    return [doc["video"]]

def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"] + " A. yes B. no. Answer with the letter."

def results(doc, found):
    return {"right": float(found[0].strip() == doc["answer"])}
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    lengths = {"one.mp4": 60, "two.mp4": 100}
    return [make_video(folder / name, [i * 1000 // RATE for i in range(n)]) for name, n in lengths.items()]


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint that answers "A" and keeps the requests."""
    seen: list[dict[str, Any]] = []
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A"}}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Silence."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/v1", seen
    listener.shutdown()
    listener.server_close()


def shown(request: dict[str, Any]) -> tuple[list[tuple[float, int]], str]:
    """(time as text, number that the picture shows) of every frame of a request, and the text after them."""
    [message] = request["messages"]
    *content, last = message["content"]
    assert [part["type"] for part in content] == ["text", "image_url"] * (len(content) // 2)
    frames = []
    for time, picture in zip(content[::2], content[1::2], strict=True):
        data = picture["image_url"]["url"].partition("base64,")[2]
        frames.append(
            (float(time["text"].removesuffix(" s:")), read_number(Image.open(io.BytesIO(base64.b64decode(data)))))
        )
    return frames, last["text"]


def test_two_items_through_lmms_eval(
    tmp_path: Path, videos: list[Path], server: tuple[str, list[dict[str, Any]]]
) -> None:
    url, seen = server
    rows = [
        {"video": str(videos[0]), "question": "Is it one?", "answer": "A"},
        {"video": str(videos[1]), "question": "Is it two?", "answer": "B"},
    ]
    task = tmp_path / "task"
    task.mkdir()
    (task / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (task / "two_items.yaml").write_text(TASK.format(data=task / "rows.jsonl"), encoding="utf-8")
    (task / "two_items.py").write_text(FUNCTIONS, encoding="utf-8")
    arguments = f"inner=openai,model=tiny,base_url={url},api_key=none,selector=uniform,k=4,query_field=question"
    command = [sys.executable, "-m", "lmms_eval", "--model", "kframes", "--model_args", arguments, "--batch_size", "1"]
    command += ["--tasks", "kframes_two_items", "--include_path", str(task), "--output_path", str(tmp_path / "out")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    [report] = (tmp_path / "out").rglob("*_results.json")
    results = json.loads(report.read_text(encoding="utf-8"))["results"]["kframes_two_items"]
    assert results["right,none"] == 0.5  # "A" is right for the first item alone
    assert len(seen) == 2
    found = {text: frames for frames, text in map(shown, seen)}
    assert set(found) == {f"Is it {name}? A. yes B. no. Answer with the letter." for name in ("one", "two")}
    for (_, frames), seconds in zip(sorted(found.items()), (15.0, 25.0), strict=True):
        assert len(frames) == 4
        assert all(number == round(time * RATE) for time, number in frames), frames  # the true time of what is seen
        assert [int(4 * time / seconds) for time, _ in frames] == [0, 1, 2, 3], "each in its own quarter of the video"


def test_the_entry_point_is_there() -> None:
    from lmms_eval.models import get_model, get_model_manifest

    assert "kframes" in {entry.name for entry in entry_points(group="lmms_eval.models")}
    assert get_model_manifest("kframes").chat_class_path == "kframes_lmms_eval.model.KFramesModel"
    assert get_model("kframes").is_simple is False


def message(path: Path, **more: Any) -> list[dict[str, Any]]:
    video = {"type": "video", "url": str(path), **more}
    return [{"role": "user", "content": [video, {"type": "text", "text": "Which?"}]}]


def test_the_query_is_the_prompt_or_a_field(videos: list[Path]) -> None:
    asked: list[str] = []

    def selector(frames: Any, query: str) -> list[Clip]:
        asked.append(query)
        return [Clip(2.0, 4.0)]

    kframes = KFrames(selector, candidates=4, strategy="focused")
    rewrite = FramesForVideos(kframes, 3)
    [told] = rewrite(message(videos[0]), {"question": "q"})
    assert [part["type"] for part in told["content"]] == ["text", "image"] * 3 + ["text"]
    assert all(2.0 <= float(part["text"].removesuffix(" s:")) < 4.0 for part in told["content"][:-1:2])
    FramesForVideos(kframes, 3, query_field="question")(message(videos[0]), {"question": "Who?"})
    assert asked == ["Which?", "Who?"]
    plain = [{"role": "user", "content": [{"type": "text", "text": "no video"}]}]
    assert rewrite(plain, {}) == plain
    rewrite.close()


def test_a_task_that_shows_a_part_of_a_video_gets_frames_of_this_part(videos: list[Path]) -> None:
    rewrite = FramesForVideos(KFrames.from_pretrained("uniform"), 4)
    [told] = rewrite(message(videos[0], start_time=1.0, end_time=2.5), {})
    times = [float(part["text"].removesuffix(" s:")) for part in told["content"][:-1:2]]
    assert len(times) == 4
    assert all(1.0 <= time < 2.5 for time in times)


def test_what_cannot_be_is_refused(videos: list[Path]) -> None:
    kframes = KFrames.from_pretrained("uniform")
    with pytest.raises(ValueError, match="have no field 'topic'; they have question"):
        FramesForVideos(kframes, 2, query_field="topic")(message(videos[0]), {"question": "q"})
    with pytest.raises(ValueError, match="end must lie after start"):
        FramesForVideos(kframes, 2)(message(videos[0], start_time=2.0, end_time=1.0), {})
    with pytest.raises(ValueError, match="no text that says what to look for"):
        FramesForVideos(kframes, 2)([{"role": "user", "content": [{"type": "video", "url": "a.mp4"}]}], {})
    with pytest.raises(ValueError, match="k must be a whole number >= 1; got 0"):
        FramesForVideos(kframes, 0)


def test_the_inner_model_must_read_messages() -> None:
    from kframes_lmms_eval.model import KFramesModel

    with pytest.raises(ValueError, match="inner='dummy' is not a chat model of lmms-eval"):
        KFramesModel(inner="dummy", selector="uniform")
    with pytest.raises(ValueError, match="inner='kframes' is not a chat model"):
        KFramesModel(inner="kframes", selector="uniform")
