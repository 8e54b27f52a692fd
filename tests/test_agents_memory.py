"""What agents are sent stays small: a tool's answer keeps within its bytes, pictures of earlier calls go."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kframes_langchain import KeepLastImages, KFramesTool
from kframes_mcp import build_server
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from mcp import Client
from PIL import Image
from test_langchain_integration import ScriptedChat
from video_maker import every, make_video

from kframes_plugin import Clip, Frame, KFrames, KFramesError, Selection
from kframes_plugin.agents.memory import keep_last_images, shrink_images
from kframes_plugin.agents.payload import fit_pictures
from kframes_plugin.agents.tool import VideoTool
from kframes_plugin.text import LONGEST

NOISE = np.random.default_rng(15).integers(0, 256, (90, 160, 3), np.uint8)  # 8 pixels a block at 720p


def selected(k: int, size: tuple[int, int] = (1280, 720), grain: int = 1) -> Selection:
    """k frames of noise in blocks of 8 x ``grain`` pixels: finer ones are harder for JPEG than any real video."""
    blocks = Image.fromarray(NOISE[::grain, ::grain])
    frames = [Frame(float(n), 1.0, blocks.rotate(n).resize(size, Image.Resampling.NEAREST)) for n in range(k)]
    return KFrames(lambda frames, query: [Clip(0, k)], candidates=2).select(frames, "q", k)


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


@pytest.mark.parametrize(
    ("k", "grain", "max_bytes", "code"),
    [
        (2, 1, None, ""),
        (2, 1, 2_000_000, ""),
        (2, 1, 150_000, "pictures-smaller"),
        (8, 8, 100_000, "pictures-smaller"),
        (8, 1, 100_000, "contact-sheet"),
        (32, 4, 100_000, "contact-sheet"),
        (8, 4, 20_000, "contact-sheet"),
    ],
)
def test_pictures_keep_within_their_bytes_and_a_note_says_what_was_done(
    k: int, grain: int, max_bytes: int | None, code: str
):
    pictures, notes = fit_pictures(selected(k, grain=grain), max_bytes, long_side=768, quality=85)
    size = sum(len(caption) + len(data) for caption, data in pictures)
    sizes = [opened(data).size for _, data in pictures]
    print(k, max_bytes, size, sizes[0], [str(note) for note in notes])
    assert [note.code for note in notes] == ([code] if code else [])
    assert max_bytes is None or size <= max_bytes
    if code == "contact-sheet":
        assert len(pictures) == 1
        assert f"all {k} frames are on one sheet" in notes[0].text
        assert pictures[0][0] == f"Frames 1 to {k} on one sheet, row by row, each under its number and time:"
        return
    assert len(pictures) == k
    assert len(set(sizes)) == 1
    assert max(sizes[0]) == 768 if not code else 256 <= max(sizes[0]) < 768
    if code:
        assert f"at most {max(sizes[0])} pixels wide or high" in notes[0].text
        assert size > max_bytes / 3, "no smaller than it must be"


def test_small_pictures_are_left_as_they_are():
    pictures, notes = fit_pictures(selected(8, (64, 48)), 100_000, long_side=768, quality=85)
    assert notes == ()
    assert {opened(data).size for _, data in pictures} == {(64, 48)}


def test_what_cannot_fit_is_refused_with_the_fix():
    with pytest.raises(
        KFramesError, match=r"^64 frames do not fit in the bytes of one answer, not even on one sheet; ask for a sma"
    ):
        fit_pictures(selected(64), 9000, long_side=768, quality=85)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 640 x 360 whose pictures do not fit at full size."""
    root = tmp_path_factory.mktemp("films")
    make_video(root / "film.mp4", every(100, 60), size=(1280, 720), options={"preset": "ultrafast", "crf": "40"})
    return root


def talkative(frames: Any, query: str) -> list[Clip]:
    return [Clip(n / 100, (n + 1) / 100, "P2", f"\x1b[31m{'very ' * 400}") for n in range(300)]


@pytest.mark.parametrize("max_bytes", [100_000, 40_000])
async def test_whole_answers_keep_within_their_bytes(folder: Path, max_bytes: int):
    kf = KFrames(talkative, candidates=4)
    arguments = {"video": "film.mp4", "query": "when " * 2000, "k": 32}
    async with Client(build_server(kframes=kf, allowed_paths=[folder], max_bytes=max_bytes)) as client:
        answer = await client.call_tool("select_video_frames", arguments)
    assert not answer.is_error
    size = len(answer.model_dump_json(exclude_none=True, by_alias=True).encode())
    print(f"MCP: {size} bytes")
    assert size <= max_bytes + 100 * len(answer.content), "JSON around the blocks"
    artifact = answer.structured_content
    assert len(artifact["timestamps"]) == 32
    assert len(artifact["clips"]) == 16
    assert 100 < max(len(clip["reason"]) for clip in artifact["clips"]) <= LONGEST
    assert "and 284 clips more" in answer.content[0].text
    assert "\x1b" not in answer.model_dump_json()

    tool = KFramesTool(kframes=kf, allowed_paths=[folder], max_bytes=max_bytes)
    message = tool.invoke({"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"})
    assert len(json.dumps(message.content)) + len(json.dumps(message.artifact)) <= max_bytes + 100 * len(
        message.content
    )
    note = next(n for n in message.artifact["notes"] if n["code"] in ("pictures-smaller", "contact-sheet"))
    assert f"Note: {note['text']}" in message.content[0]["text"]


def test_no_limit_is_no_limit_and_a_limit_has_a_floor(folder: Path):
    kf = KFrames(lambda frames, query: [Clip(1, 2)], candidates=4)
    shown = VideoTool(kf, allowed_paths=[folder], max_bytes=None)("film.mp4", "q", 32)
    assert {max(opened(data).size) for _, data in shown.frames} == {768}
    with pytest.raises(ValueError, match="max_bytes must be at least 10000, or None for no limit; got 999"):
        VideoTool(kf, allowed_paths=[folder], max_bytes=999)


# ------------------------------------------------------------------------------------------------- earlier pictures


def jpeg(side: int = 400) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side // 2), "green").save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def image(form: str, data: str) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{data}"
    return {
        "langchain": {"type": "image", "base64": data, "mime_type": "image/jpeg"},
        "mcp": {"type": "image", "data": data, "mimeType": "image/png"},
        "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        "openai": {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        "responses": {"type": "input_image", "image_url": url},
    }[form]


def answer(form: str, name: str, images: int = 2) -> dict[str, Any]:
    """A message with a tool's answer in one host's form."""
    text = {"type": "input_text" if form == "responses" else "text", "text": f"table {name}"}
    blocks = [text, *(image(form, jpeg()) for _ in range(images))]
    if form == "anthropic":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": blocks}]}
    if form == "responses":
        return {"type": "function_call_output", "call_id": name, "output": blocks}
    return {"role": "tool", "tool_call_id": name, "content": blocks}


FORMS = ("langchain", "mcp", "anthropic", "openai", "responses")


def pictures(message: Any) -> list[Image.Image]:
    """Every picture in a message, wherever it stands."""
    if isinstance(message, str):
        try:
            return [opened(message.rpartition(",")[2])] if len(message) > 200 else []
        except ValueError:
            return []
    parts = message.values() if isinstance(message, dict) else message if isinstance(message, list) else []
    return [found for part in parts for found in pictures(part)]


@pytest.mark.parametrize("form", FORMS)
def test_the_last_answers_keep_their_pictures(form: str):
    user = {"role": "user", "content": [{"type": "text", "text": "my own"}, image("openai", jpeg())]}
    chat = [user, answer(form, "a"), {"role": "assistant", "content": "so"}, answer(form, "b"), answer(form, "c")]
    before = json.dumps(chat)
    for keep_last, counts in ((3, [1, 2, 0, 2, 2]), (2, [1, 0, 0, 2, 2]), (1, [1, 0, 0, 0, 2]), (0, [1, 0, 0, 0, 0])):
        kept = keep_last_images(chat, keep_last)
        assert [len(pictures(message)) for message in kept] == [counts[0], *counts[1:]]
        assert "2 pictures of this earlier call are left out" in json.dumps(kept) or keep_last == 3
        assert all(f"table {name}" in json.dumps(kept) for name in "abc"), "the tables stay"
        assert keep_last_images(kept, keep_last) == kept
    assert json.dumps(chat) == before


@pytest.mark.parametrize("form", FORMS)
def test_or_older_pictures_are_made_small(form: str):
    kept = keep_last_images([answer(form, "a"), answer(form, "b")], 1, long_side=100)
    assert [[picture.size for picture in pictures(message)] for message in kept] == [[(100, 50)] * 2, [(400, 200)] * 2]
    assert "image/png" not in json.dumps(kept[0]), "what is a JPEG now is called one"
    assert keep_last_images(kept, 1, long_side=100) == kept, "once is enough"
    assert len(json.dumps(kept[0])) < len(json.dumps(kept[1])) / 2


def test_pictures_that_lie_elsewhere_or_cannot_be_read():
    url = {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}}
    broken = {"type": "image", "base64": "no picture", "mime_type": "image/jpeg"}
    small = shrink_images([url, broken, {"type": "image"}], 100)
    assert small[0] == url
    assert [block["type"] for block in small] == ["image_url", "text"]
    assert "[2 pictures of this" in small[1]["text"]
    assert [block["type"] for block in shrink_images([url, broken], None)] == ["text"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((-1,), "keep_last must be a whole number >= 0; got -1"), ((True,), "keep_last"), ((1.5,), "keep_last")],
)
def test_wrong_numbers_are_told(arguments: Any, said: str):
    with pytest.raises(ValueError, match=said):
        keep_last_images([], *arguments)
    with pytest.raises(ValueError, match=said):
        KeepLastImages(*arguments)
    with pytest.raises(ValueError, match="long_side must be at least 1"):
        KeepLastImages(1, long_side=0)


async def test_an_agent_forgets_older_pictures_in_its_state_too(folder: Path):
    kf = KFrames(lambda frames, query: [Clip(1, 2)], candidates=4)
    tool = KFramesTool(kframes=kf, allowed_paths=[folder], long_side=128)
    for long_side in (None, 32):
        chat = ScriptedChat(arguments=[{"video": "film.mp4", "query": "q", "k": 2}])
        agent = create_agent(
            chat, [tool], middleware=[KeepLastImages(1, long_side=long_side)], checkpointer=InMemorySaver()
        )
        settings: Any = {"configurable": {"thread_id": "1"}}
        for turn in (1, 2, 3):
            question = {"messages": [HumanMessage(f"question {turn}")]}
            state = await agent.ainvoke(question, settings) if turn == 2 else agent.invoke(question, settings)
        for messages in (state["messages"], chat.seen[-1]):
            tools = [message for message in messages if isinstance(message, ToolMessage)]
            sizes = [[picture.size[0] for picture in pictures(message.content)] for message in tools]
            assert sizes == ([[], [], [128] * 2] if long_side is None else [[32] * 2, [32] * 2, [128] * 2])
        assert len(messages) == 3 * 4 - 1 + (messages is state["messages"]), "none is added or lost"
