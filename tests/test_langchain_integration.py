"""LangChain, with real agents and LangChain's own standard tests, and no network at all."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kframes_langchain import ImagesAfterTools, KFramesLoader, KFramesRetriever, KFramesTool
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image
from pydantic import Field
from pytest_socket import disable_socket, enable_socket
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, SelectorError


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # an event loop has a pair of its own
    yield
    enable_socket()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of 20 s, 10 frames a second."""
    root = tmp_path_factory.mktemp("videos")
    make_video(root / "match.mp4", every(100, 200))
    make_video(root / "other.mp4", every(100, 200))
    return root


KF = KFrames(lambda frames, query: [Clip(10, 12, "P1", "the goal", 0.9), Clip(3, 4, "P2")], candidates=16)


@pytest.fixture
def tool(folder: Path) -> KFramesTool:
    return KFramesTool(kframes=KF, allowed_paths=[folder])


class TestToolUnit(ToolsUnitTests):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        type(self).where = folder

    where: Path

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return KFramesTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"kframes": KF, "allowed_paths": [self.where]}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"video": "match.mp4", "query": "When is the goal scored?", "k": 3}


class TestToolIntegration(ToolsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        type(self).where = folder

    where: Path
    tool_constructor = TestToolUnit.tool_constructor
    tool_constructor_params = TestToolUnit.tool_constructor_params
    tool_invoke_params_example = TestToolUnit.tool_invoke_params_example


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        type(self).where = folder

    where: Path

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return KFramesRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"kframes": KF, "videos": [self.where / "match.mp4", self.where / "other.mp4"]}

    @property
    def retriever_query_example(self) -> str:
        return "When is the goal scored?"


# -------------------------------------------------------------------------------------------------------- the tool


def picture(block: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(block["base64"])))


def test_the_tool_gives_a_table_and_images_in_time_order(tool):
    call = {
        "name": tool.name,
        "args": {"video": "match.mp4", "query": "the goal", "k": 4},
        "id": "1",
        "type": "tool_call",
    }
    message = tool.invoke(call)
    assert isinstance(message, ToolMessage)
    assert message.status == "success"
    assert [block["type"] for block in message.content] == ["text"] + ["text", "image"] * 4
    table = message.content[0]["text"]
    numbers = [read_number(picture(block)) for block in message.content if block["type"] == "image"]
    assert numbers == [round(10 * time) for time in message.artifact["timestamps"]] == sorted(numbers)
    assert (
        f"Frame 1 = 0:0{message.artifact['timestamps'][0]:.1f} ({message.artifact['timestamps'][0]:.1f} s), clip 2, P2"
        in table
    )
    assert "Clip 1 = 0:10.0-0:12.0, P1" in table
    assert "the goal" not in table.split("\n", 1)[1], "reasons are left out"
    assert json.loads(json.dumps(message.artifact)) == message.artifact
    assert message.artifact["clips"][0]["reason"] == "the goal"
    assert message.artifact["video"] == "match.mp4"
    assert tool.invoke(call).content == message.content, "nothing random"


def test_images_are_small_jpegs(folder):
    tool = KFramesTool(kframes=KF, allowed_paths=[folder], long_side=64, quality=50)
    message = tool.invoke(
        {"name": tool.name, "args": {"video": "match.mp4", "query": "q"}, "id": "1", "type": "tool_call"}
    )
    block = message.content[2]
    assert block["mime_type"] == "image/jpeg"
    assert picture(block).size == (64, 48)
    assert len(message.artifact["timestamps"]) == 8, "k is 8 when not given"


def test_the_schema_tells_the_model_the_bounds(folder):
    tool = KFramesTool(kframes=KF, allowed_paths=[folder], max_k=6)
    schema = tool.get_input_jsonschema()
    assert set(schema["properties"]) == {"video", "query", "k", "start", "end"}
    assert schema["required"] == ["video", "query"]
    assert (schema["properties"]["k"]["minimum"], schema["properties"]["k"]["maximum"]) == (1, 6)
    assert schema["properties"]["k"]["default"] == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"video": "missing.mp4", "query": "q"},
            "not a file that this tool may read. Give the path .* match.mp4, other.mp4",
        ),
        ({"video": "match.mp4", "query": "  "}, "query must not be empty"),
        ({"video": "match.mp4", "query": "q", "k": 0}, "k: Input should be greater than or equal to 1; got 0"),
        ({"video": "match.mp4", "query": "q", "k": 33}, "k: Input should be less than or equal to 32; got 33"),
        ({"video": "match.mp4"}, "query: Field required"),
    ],
)
async def test_every_expected_failure_is_a_message_to_the_agent(tool, arguments, said):
    call = {"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"}
    for message in (tool.invoke(call), await tool.ainvoke(call)):
        assert message.status == "error"
        assert re.search(said, message.content), message.content


def test_a_broken_video_is_a_tool_exception(tool, folder):
    (folder / "broken.mp4").write_bytes(b"no video at all" * 99)
    with pytest.raises(ToolException, match=r"^broken\.mp4: cannot be opened") as raised:
        tool._run("broken.mp4", "q")
    assert str(folder) not in str(raised.value), "the agent is not told where the files lie"
    (folder / "broken.mp4").unlink()


def test_a_selector_that_fails_is_a_tool_exception(folder):
    def broken(frames, query):
        raise SelectorError("the GPU has not enough memory; lower candidates")

    tool = KFramesTool(kframes=KFrames(broken, candidates=4), allowed_paths=[folder])
    with pytest.raises(ToolException, match="lower candidates"):
        tool._run("match.mp4", "q")


async def test_calls_take_turns_and_do_not_block_the_event_loop(folder):
    busy, overlaps = threading.Lock(), []

    def slow(frames, query):
        overlaps.append(not busy.acquire(blocking=False))
        time.sleep(0.2)
        if not overlaps[-1]:
            busy.release()
        return [Clip(1, 2)]

    kf = KFrames(slow, candidates=4)
    tools = [KFramesTool(kframes=kf, allowed_paths=[folder]), KFramesTool(kframes=kf, allowed_paths=[folder])]
    longest, last = 0.0, time.perf_counter()
    calls = asyncio.gather(*(tool.ainvoke({"video": "match.mp4", "query": "q", "k": 2}) for tool in tools * 2))
    while not calls.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    await calls
    assert overlaps == [False] * 4
    print(f"the event loop waited {longest * 1000:.0f} ms at most while 4 calls of 200 ms ran")
    assert longest < 0.15


# ---------------------------------------------------------------------------------------------------------- agents


class ScriptedChat(BaseChatModel):
    """A chat model with a script: calls the tool, then answers; keeps what it was sent."""

    arguments: list[dict[str, Any]]
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.seen.append(messages)
        asked = sum(isinstance(m, HumanMessage) and isinstance(m.content, str) for m in messages)
        if isinstance(messages[-1], HumanMessage) and isinstance(messages[-1].content, str):
            calls = [
                {"name": "select_video_frames", "args": arguments, "id": f"call{asked}{n}", "type": "tool_call"}
                for n, arguments in enumerate(self.arguments)
            ]
            answer = AIMessage("", tool_calls=calls)
        else:
            answer = AIMessage(f"answer {asked}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


GOAL = {"video": "match.mp4", "query": "the goal", "k": 2}


def image_blocks(message: BaseMessage) -> list[dict[str, Any]]:
    return [b for b in message.content if isinstance(b, dict) and b.get("type") == "image"]


def test_an_agent_receives_the_images(tool):
    model = ScriptedChat(arguments=[GOAL])
    agent = create_agent(model, tools=[tool])
    state = agent.invoke({"messages": [HumanMessage("When is the goal?")]})
    assert state["messages"][-1].content == "answer 1"
    (received,) = [m for m in model.seen[-1] if isinstance(m, ToolMessage)]
    assert [100 <= read_number(picture(b)) < 120 for b in image_blocks(received)] == [True, True]


async def test_an_agent_goes_on_after_a_refusal(tool):
    model = ScriptedChat(arguments=[{**GOAL, "video": "/etc/passwd"}])
    state = await create_agent(model, tools=[tool]).ainvoke({"messages": [HumanMessage("Read my files")]})
    (refused,) = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert refused.status == "error"
    assert "for example: match.mp4, other.mp4" in refused.content
    assert state["messages"][-1].content == "answer 1"


def test_an_agent_with_a_checkpointer_saves_and_restores(tool):
    saver = InMemorySaver()
    thread = {"configurable": {"thread_id": "1"}}
    create_agent(ScriptedChat(arguments=[GOAL]), tools=[tool], checkpointer=saver).invoke(
        {"messages": [HumanMessage("When?")]}, thread
    )
    model = ScriptedChat(arguments=[GOAL])
    again = create_agent(model, tools=[tool], checkpointer=saver)
    restored = again.get_state(thread).values["messages"]
    (kept,) = [m for m in restored if isinstance(m, ToolMessage)]
    assert len(image_blocks(kept)) == 2
    assert kept.artifact["timestamps"] == sorted(kept.artifact["timestamps"])
    state = again.invoke({"messages": [HumanMessage("And then?")]}, thread)
    assert state["messages"][-1].content == "answer 2"
    assert sum(isinstance(m, ToolMessage) for m in model.seen[-1]) == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_middleware_moves_images_behind_all_tool_messages(tool, is_async):
    model = ScriptedChat(arguments=[GOAL, {**GOAL, "video": "other.mp4"}])
    agent = create_agent(model, tools=[tool], middleware=[ImagesAfterTools()])
    question = {"messages": [HumanMessage("When?")]}
    state = await agent.ainvoke(question) if is_async else agent.invoke(question)
    sent = model.seen[-1]
    assert [type(m).__name__ for m in sent] == [
        "HumanMessage",
        "AIMessage",
        "ToolMessage",
        "ToolMessage",
        "HumanMessage",
    ]
    assert not image_blocks(sent[2])
    assert not image_blocks(sent[3])
    assert "Frame 2 = " in sent[2].content[0]["text"], "the table stays"
    assert len(image_blocks(sent[4])) == 4
    texts = [b["text"] for b in sent[4].content if b["type"] == "text"]
    assert texts[0] == "Images of the tool call call10:"
    assert texts[1].startswith("Frame 1, 0:1")
    tools = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert all(len(image_blocks(m)) == 2 for m in tools), "the state keeps what the tool wrote"


# ------------------------------------------------------------------------------------------------------- documents


async def test_the_loader_gives_a_document_a_keyframe(folder, tmp_path):
    loader = KFramesLoader(folder / "match.mp4", "the goal", k=3, kframes=KF, out=tmp_path / "frames")
    documents = loader.load()
    assert [d.metadata["number"] for d in documents] == [1, 2, 3]
    for document in documents:
        with Image.open(document.metadata["image_path"]) as image:
            assert read_number(image) == round(10 * document.metadata["timestamp"])
        assert (
            document.page_content.endswith("s) of match.mp4, in the clip 0:10.0-0:12.0")
            or "0:03.0" in document.page_content
        )
        assert json.loads(json.dumps(document.metadata)) == document.metadata
        assert document.metadata["source"] == str(folder / "match.mp4")
    assert [d.id for d in await loader.aload()] == [d.id for d in documents]
    (without,) = KFramesLoader(folder / "match.mp4", "the goal", k=1, kframes=KF).load()
    assert "image_path" not in without.metadata


def test_the_retriever_prefers_videos_with_clips(folder):
    def only_other(frames, query):
        return [Clip(5, 6)] if len(frames) == 16 and frames.duration > 20.05 else []

    make_video(folder / "long.mp4", every(100, 220))
    retriever = KFramesRetriever(
        kframes=KFrames(only_other, candidates=16), videos=[folder / "match.mp4", folder / "long.mp4"], k=4
    )
    assert {Path(d.metadata["source"]).name for d in retriever.invoke("q")} == {"long.mp4"}
    many = retriever.invoke("q", k=230)
    assert len(many) == 230
    assert len({d.id for d in many}) == 230
    assert len(retriever.invoke("q", k=1000)) == 420, "all frames there are"
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        retriever.invoke("q", k=0)
    (folder / "long.mp4").unlink()
