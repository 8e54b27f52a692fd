"""The blocks of docs/hosts.md, each as it stands there, on real hosts and tiny models."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny_families
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.query_engine import RetrieverQueryEngine
from openai import OpenAI
from test_langchain_integration import ScriptedChat
from test_llama_index_integration import RecordingLLM
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
from video_maker import every, make_video

from kframes_plugin import Clip, KFrames

PAGE = (Path(__file__).parents[1] / "docs" / "hosts.md").read_text(encoding="utf-8")
BLOCKS = {block.split(":", 1)[0]: block for block in re.findall(r"```python\n# (.*?)```", PAGE, re.DOTALL)}


def run(block: str, **names: Any) -> dict[str, Any]:
    """Run a block of the page with these names defined; returns all names after it."""
    exec(compile("# " + BLOCKS[block], f"docs/hosts.md, {block}", "exec"), names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """match.mp4, and the same in videos/: 20 s, 5 frames a second."""
    root = tmp_path_factory.mktemp("home")
    (root / "videos").mkdir()
    make_video(root / "match.mp4", every(200, 100))
    make_video(root / "videos" / "match.mp4", every(200, 100))
    return root


@pytest.fixture(autouse=True)
def at_home(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_families.qwen2_5_vl(tmp_path_factory.mktemp("model") / "tiny")


KF = KFrames(lambda frames, query: [Clip(10, 14, "P1", "the goal")], candidates=16)


def test_every_block_is_run_here():
    assert set(BLOCKS) == {"transformers", "LangChain", "LlamaIndex", "any OpenAI-compatible API"}


def test_transformers(checkpoint):
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    model.generation_config.max_new_tokens = 4
    answers = []

    def local_pipeline(task: str, model: Any = None, **options: Any) -> Any:
        """transformers.pipeline, with the tiny checkpoint for the model's name and short answers."""
        if isinstance(model, str):
            model = str(checkpoint)
        made = pipeline(task, model=model, **options)

        def call(*arguments: Any, **more: Any) -> Any:
            answers.append(made(*arguments, max_new_tokens=4, **more))
            return answers[-1]

        return call

    chat = [
        {"role": "user", "content": [{"type": "video", "video": "match.mp4"}, {"type": "text", "text": "Who scored?"}]}
    ]
    tokenize = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
    names = run(
        "transformers",
        pipeline=local_pipeline,
        kf=KF,
        model=model,
        processor=processor,
        messages=chat,
        tokenize=tokenize,
    )
    (first,) = answers[0]
    assert len(first["selections"][0].frames) == 8
    (wrapped,) = names["pipe"](text=chat)
    assert isinstance(wrapped["generated_text"], (str, list))
    written = model.generate(**names["inputs"], max_new_tokens=4, do_sample=False)
    assert written.shape[1] > names["inputs"]["input_ids"].shape[1]
    assert names["selections"][0].timestamps == first["selections"][0].timestamps


def test_langchain():
    chat_model = ScriptedChat(arguments=[{"video": "match.mp4", "query": "the goal", "k": 3}])
    agent = run("LangChain", create_agent=create_agent, chat_model=chat_model, kf=KF)["agent"]
    state = agent.invoke({"messages": [HumanMessage("When is the goal?")]})
    assert state["messages"][-1].content == "answer 1"
    received = chat_model.seen[-1][-1]
    assert isinstance(received, HumanMessage)
    assert sum(block["type"] == "image" for block in received.content) == 3
    assert any(isinstance(message, ToolMessage) for message in state["messages"])


def test_llama_index():
    llm = RecordingLLM()
    names = run(
        "LlamaIndex",
        SimpleDirectoryReader=SimpleDirectoryReader,
        VectorStoreIndex=VectorStoreIndex,
        RetrieverQueryEngine=RetrieverQueryEngine,
        embed_model=MockEmbedding(embed_dim=4),
        llm=llm,
        kf=KF,
    )
    answer = names["engine"].query("Who scored?")
    assert str(answer) == "at 11 s"
    images = [block for message in llm.seen[-1] for block in message.blocks if isinstance(block, ImageBlock)]
    assert len(images) == 8
    assert all(node.metadata["query"] == "Who scored?" for node in answer.source_nodes)
    coarse = names["index"].as_retriever().retrieve("Who scored?")
    spans = [(node.metadata["clip_start"], node.metadata["clip_end"]) for node in coarse]
    assert all(any(start <= n.metadata["timestamp"] < end for start, end in spans) for n in answer.source_nodes)


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[str]:
    """`transformers serve` with the tiny model; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(checkpoint), "--device", "cpu"]
    log = checkpoint.parent / "log"
    with log.open("wb") as file:
        server = subprocess.Popen([*command, "--port", str(port)], stdout=file, stderr=file)
    try:
        for _ in range(1200):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success:
                    break
            except httpx.TransportError:
                pass
            if server.poll() is not None:
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_openai(served, checkpoint):
    """The client that people use, and a server that reads the frames with a real processor."""
    sent: dict[str, Any] = {}

    client = OpenAI(base_url=served, api_key="none")
    create = client.chat.completions.create

    def short(**request: Any) -> None:
        """Short answers, since the model knows nothing."""
        sent["answer"] = create(max_tokens=4, **request)

    client.chat.completions.create = short  # type: ignore[method-assign]
    run("any OpenAI-compatible API", client=client, name=str(checkpoint), kf=KF)
    answer = sent["answer"]
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.completion_tokens == 4
    processor = AutoProcessor.from_pretrained(checkpoint)
    messages = KF.select("match.mp4", "Who scored?", k=8).to_messages()
    ids = processor.apply_chat_template(messages, tokenize=True, return_dict=True, add_generation_prompt=True)[
        "input_ids"
    ]
    assert answer.usage.prompt_tokens == len(ids[0]), "eight frames and their times arrived"
