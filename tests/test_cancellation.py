"""Calls that nobody waits for any more stop, through every async door, and the next call is answered as ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

import pytest
from drawn_film import SAMPLE
from kframes_langchain import KFramesLoader, KFramesRetriever, KFramesTool
from kframes_llama_index import KFramesPostprocessor, KFramesReader
from kframes_llama_index import KFramesRetriever as LlamaRetriever
from kframes_mcp import build_server
from llama_index.core.schema import NodeWithScore, TextNode
from loopback_chat import Server
from mcp import Client
from PIL import Image
from video_maker import every, make_video

from kframes_plugin import Clip, Frame, KFrames, OpenVideo
from kframes_plugin.agents.progress import Count
from kframes_plugin.cancellation import Cancelled, cancellable, run_in_thread, stop_if_cancelled, wait

FRAMES = 2000


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 s of one I-frame and small pictures: every candidate costs a decoded picture."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    return make_video(path, every(100, FRAMES), size=(32, 40), gop=FRAMES, options={"preset": "ultrafast"})


class Slow:
    """A selector that says when it has begun, and takes ten seconds in steps where somebody waits."""

    name = "slow"

    def __init__(self) -> None:
        self.begun, self.ended, self.asked = threading.Event(), threading.Event(), 0

    def __call__(self, frames: Any, query: str) -> list[Clip]:
        self.asked += 1
        if query == "quick":
            return [Clip(1, 2)]
        self.begun.set()
        try:
            for _ in range(1000):
                time.sleep(0.01)
                stop_if_cancelled()
            return [Clip(1, 2)]
        finally:
            self.ended.set()


def doors(kf: KFrames, film: Path, out: Path) -> dict[str, Callable[[], Any]]:
    """The async calls of the adapters."""
    node = NodeWithScore(node=TextNode(text="", metadata={"video": str(film), "clip_start": 0.0, "clip_end": 9.0}))
    tool = KFramesTool(kframes=kf, allowed_paths=[film.parent])
    reader = KFramesReader(kf, "slow", out=out)
    loader = KFramesLoader(film, "slow", kframes=kf)
    llama = LlamaRetriever(kf, [film], out=out)
    return {
        "tool": lambda: tool.ainvoke({"video": film.name, "query": "slow"}),
        "loader": lambda: loader.aload(),
        "retriever": lambda: KFramesRetriever(kframes=kf, videos=[film]).ainvoke("slow"),
        "llama retriever": lambda: llama.aretrieve("slow"),
        "llama postprocessor": lambda: KFramesPostprocessor(kf, out=out).apostprocess_nodes([node], query_str="slow"),
        "llama reader": lambda: reader.aload_data(film),
        "llama lazy reader": lambda: reader.alazy_load_data(film),
        "select": lambda: run_in_thread(kf.select, film, "slow"),
    }


NAMES = [*doors(KFrames(Slow()), Path("tests/film.mp4").absolute(), Path("out")), "mcp"]


async def until(event: threading.Event, seconds: float = 5) -> None:
    assert await asyncio.to_thread(event.wait, seconds), "it never came"


@pytest.mark.parametrize("name", NAMES)
async def test_a_cancelled_call_stops_and_the_next_one_is_answered(name: str, film: Path, tmp_path: Path) -> None:
    slow = Slow()
    kf = KFrames(slow, candidates=4)
    async with Client(build_server(kframes=kf, allowed_paths=[film.parent])) as client:
        ways = doors(kf, film, tmp_path)
        ways["mcp"] = lambda: client.call_tool("select_video_frames", {"video": film.name, "query": "slow"})
        task = asyncio.ensure_future(ways[name]())
        await until(slow.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(slow.ended, 2)
        answer = await client.call_tool("select_video_frames", {"video": film.name, "query": "quick", "k": 2})
        assert not answer.is_error
        assert slow.asked == 2


async def test_decoding_stops_at_the_next_frame_and_the_session_stays_right(film: Path) -> None:
    kf = KFrames(lambda frames, query: [Clip(150, 160)], candidates=FRAMES, exact=True)
    begun, seen = threading.Event(), list[int]()

    def progress(step: str, done: int, total: int) -> None:
        seen.append(done)
        begun.set()
        time.sleep(0.001)

    task = asyncio.ensure_future(run_in_thread(kf.kept.select, film, "q", 4, progress=progress))
    await until(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with kf.kept.lock:  # held until the cancelled work has stopped
        stopped = len(seen)
    print(f"stopped after {stopped} of {FRAMES} frames")
    assert stopped < FRAMES / 4
    again = await run_in_thread(kf.kept.select, film, "q", 4)
    assert len(kf.kept) == 1
    fresh = kf.select(film, "q", 4)
    assert [image.tobytes() for image in again.images] == [image.tobytes() for image in fresh.images]


def left() -> Context:
    """The context of work whose caller is gone."""
    with cancellable():
        return copy_context()


def pictures(count: int = 8) -> list[Image.Image]:
    return [Image.new("RGB", (64, 64), (number * 9, 40, 80)) for number in range(count)]


def frames(count: int = 8) -> list[Frame]:
    return [Frame(float(number), 1.0, image) for number, image in enumerate(pictures(count))]


def lite() -> None:
    from kframes_plugin.selectors.lite import LiteSelector

    LiteSelector().embed(frames())


def similarity() -> None:
    from kframes_plugin.selectors.similarity import SimilaritySelector

    SimilaritySelector(lambda images: [[1.0, 0.0]] * len(images), lambda text: [1.0, 0.0])(frames(), "a dog")


def screen() -> None:
    from kframes_plugin.words.screen import read_screen

    read_screen(frames(), 8.0, lambda frame: "text")


def nano() -> None:
    KFrames.from_pretrained("nano", device="cpu").selector(NANO_FRAMES, "a ring")


def server() -> None:
    KFrames.from_pretrained("http://127.0.0.1:9/v1#m").selector(frames(), "a dog")


NANO_FRAMES = frames(2)
STEPS: dict[str, Callable[[], Any]] = {
    "opening": lambda: OpenVideo(SAMPLE),
    "given frames": lambda: OpenVideo.from_frames(frames()).candidates(4),
    "any selector": lambda: KFrames(lambda frames, query: [Clip(1, 2)]).select(frames(), "a dog", 2),
    "lite": lite,
    "similarity": similarity,
    "text on screen": screen,
    "nano": nano,
    "server": server,
    "waiting for a server": lambda: wait(60),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_kind_of_work_asks_whether_somebody_waits(name: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(Cancelled, match="no longer waits"):
        left().run(STEPS[name])
    assert time.perf_counter() - begun < 30


def test_a_model_stops_between_two_tokens() -> None:
    """The stopping rule is asked at every token: a model of transformers that writes leaves at the first one."""
    from kframes_plugin.mllm.generate import write
    from kframes_plugin.types import Candidates

    selector: Any = KFrames.from_pretrained("nano", device="cpu").selector
    inputs = selector._prompted._encode(Candidates(NANO_FRAMES, 2.0), ["a ring"], selector.settings.format, 200)
    passes = list[int]()
    hook = selector.model.register_forward_pre_hook(lambda *_: passes.append(1))
    with pytest.raises(Cancelled):
        left().run(write, selector.model, selector.processor, inputs, 200)
    hook.remove()
    assert len(passes) == 1, "one pass, then nobody waits for the second token"


@pytest.fixture
def hanging() -> Iterator[tuple[Server, threading.Event]]:
    """A server that answers "quick" and lets everything else wait."""
    go = threading.Event()

    def answer(body: dict[str, Any]) -> str:
        if "quick" not in str(body["messages"]):
            go.wait(30)
        return '[{"start": 1, "end": 2, "priority": "P1", "reason": "a ring"}]'

    made = Server(answer)
    yield made, go
    go.set()
    made.close()


async def test_a_request_that_nobody_waits_for_is_given_up(hanging: tuple[Server, threading.Event], film: Path) -> None:
    server, _ = hanging
    kf = KFrames.from_pretrained(server.url, candidates=2)
    task = asyncio.ensure_future(run_in_thread(kf.kept.select, film, "slow", 2))
    while not server.log:
        await asyncio.sleep(0.01)
    begun = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len((await run_in_thread(kf.kept.select, film, "quick", 2)).frames) == 2
    took = time.perf_counter() - begun
    print(f"next answer after {took:.2f} s")
    assert took < 5


# ------------------------------------------------------------------------------------------------------- progress


async def test_mcp_tells_how_far_it_is(film: Path) -> None:
    kf = KFrames(lambda frames, query: [Clip(150, 160)], candidates=1000, exact=True)
    told = list[tuple[float, float | None, str | None]]()

    async def note(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    async with Client(build_server(kframes=kf, allowed_paths=[film.parent])) as client:
        for k in (4, 3):  # the second call asks a session that is kept
            told.clear()
            arguments = {"video": film.name, "query": "the goal", "k": k}
            answer = await client.call_tool("select_video_frames", arguments, progress_callback=note)
            assert not answer.is_error
            counts = [done for done, _, _ in told]
            assert counts == sorted(set(counts)), "it only rises"
            assert told[-1][0] == told[-1][1] == (1000 + 4 if k == 4 else 3)
            assert all(done <= total for done, total, _ in told)


def test_steps_add_up_to_one_count() -> None:
    count = Count()
    seen = []
    for step, done, total in [("candidates", 1, 3), ("candidates", 3, 3), ("keyframes", 1, 2), ("candidates", 1, 3)]:
        count(step, done, total)
        seen.append(count.now[:2])
    assert seen == [(1, 3), (3, 3), (4, 5), (4, 5)]
