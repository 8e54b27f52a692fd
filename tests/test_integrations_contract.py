"""What every integration promises, and that each stands alone.

The contract: the frames are those of ``KFrames.select`` for the same video, query and k, each at its true time, no
reason is given to a model, k is bounded, errors are ours, and a file that cannot be read is said by name.
"""

from __future__ import annotations

import ast
import base64
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_families
from PIL import Image
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, KFramesError
from kframes_plugin.query.spans import to_seconds

ROOT = Path(__file__).parents[1]
HOSTS = {
    "kframes_transformers": "transformers",
    "kframes_langchain": "langchain_core",
    "kframes_llama_index": "llama_index.core",
    "kframes_mcp": "mcp",
    "kframes_demo": "gradio",
}
QUERY = "When is the goal?"
KF = KFrames(lambda frames, query: [Clip(10, 12, "P1", "a secret reason", 0.9), Clip(3, 4, "P2")], candidates=16)

# What a host is given: the text that its model reads, and the pictures.
Given = tuple[str, list[Image.Image]]
Limits = dict[str, Any]  # start and end, where they are asked for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 s, 10 frames a second, whose frames say their number; and one that is none."""
    root = tmp_path_factory.mktemp("videos")
    make_video(root / "match.mp4", every(100, 200))
    (root / "broken.mp4").write_bytes(b"not a video" * 100)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_families.gemma3(tmp_path_factory.mktemp("gemma3"))


def of_blocks(blocks: list[dict[str, Any]]) -> Given:
    text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
    return text, [block["image"] for block in blocks if block["type"] == "image"]


def decoded(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def opened(paths: list[str]) -> list[Image.Image]:
    return [Image.open(path) for path in paths]


def core_messages(video: Path, k: int, limits: Limits, **_: Path) -> Given:
    return of_blocks(KF.select(video, QUERY, k, **limits).to_messages()[0]["content"])


def core_openai(video: Path, k: int, limits: Limits, **_: Path) -> Given:
    content = KF.select(video, QUERY, k, **limits).to_openai()[0]["content"]
    images = [decoded(b["image_url"]["url"].split(",")[1]) for b in content if b["type"] == "image_url"]
    return "\n".join(b["text"] for b in content if b["type"] == "text"), images


def transformers_prepare(video: Path, k: int, limits: Limits, *, checkpoint: Path, **_: Path) -> Given:
    from kframes_transformers import prepare
    from transformers import AutoProcessor

    messages = [{"role": "user", "content": [{"type": "video", "video": video}, {"type": "text", "text": QUERY}]}]
    prepared = prepare(messages, AutoProcessor.from_pretrained(checkpoint), KF, k, **limits)
    return of_blocks(prepared.messages[0]["content"])


def langchain_tool(video: Path, k: int, limits: Limits, **_: Path) -> Given:
    from kframes_langchain import KFramesTool

    tool = KFramesTool(kframes=KF, allowed_paths=[video.parent])
    message = tool.invoke(
        {
            "name": tool.name,
            "args": {"video": video.name, "query": QUERY, "k": k, **limits},
            "id": "1",
            "type": "tool_call",
        }
    )
    if message.status == "error":
        raise KFramesError(message.content)
    text = "\n".join(block["text"] for block in message.content if block["type"] == "text")
    return text, [decoded(block["base64"]) for block in message.content if block["type"] == "image"]


def langchain_loader(video: Path, k: int, limits: Limits, *, out: Path, **_: Path) -> Given:
    from kframes_langchain import KFramesLoader

    found = KFramesLoader(video, QUERY, k, kframes=KF, out=out, **limits).load()
    return "\n".join(d.page_content for d in found), opened([d.metadata["image_path"] for d in found])


def langchain_retriever(video: Path, k: int, limits: Limits, *, out: Path, **_: Path) -> Given:
    from kframes_langchain import KFramesRetriever

    found = KFramesRetriever(kframes=KF, videos=[video], k=k, out=out, **limits).invoke(QUERY)
    return "\n".join(d.page_content for d in found), opened([d.metadata["image_path"] for d in found])


def llama_index_reader(video: Path, k: int, limits: Limits, *, out: Path, **_: Path) -> Given:
    from kframes_llama_index import KFramesReader
    from llama_index.core.schema import MetadataMode

    found = KFramesReader(KF, QUERY, k, out=out, **limits).load_data(video)
    return "\n".join(d.get_content(MetadataMode.LLM) for d in found), opened([d.image_path for d in found])


def llama_index_retriever(video: Path, k: int, limits: Limits, *, out: Path, **_: Path) -> Given:
    from kframes_llama_index import KFramesRetriever
    from llama_index.core.schema import MetadataMode

    found = KFramesRetriever(KF, [video], k, out=out, **limits).retrieve(QUERY)
    return "\n".join(n.node.get_content(MetadataMode.LLM) for n in found), opened([n.node.image_path for n in found])


def mcp_tool(video: Path, k: int, limits: Limits, **_: Path) -> Given:
    import anyio
    from kframes_mcp import build_server
    from mcp import Client

    async def call() -> Any:
        async with Client(build_server(kframes=KF, allowed_paths=[video.parent])) as client:
            arguments = {"video": video.name, "query": QUERY, "k": k, **limits}
            return await client.call_tool("select_video_frames", arguments)

    answer = anyio.run(call)
    if answer.is_error:
        raise KFramesError(answer.content[0].text)
    text = "\n".join(block.text for block in answer.content if block.type == "text")
    return text, [decoded(block.data) for block in answer.content if block.type == "image"]


def keeping(checkpoint: Path) -> tuple[Any, list[Any]]:
    """A processor of transformers, and the chats that its own template is given."""
    from transformers import AutoProcessor

    plain, kept = AutoProcessor.from_pretrained(checkpoint), []

    class Keeping(type(plain)):
        def apply_chat_template(self, conversation: Any, *args: Any, **kwargs: Any) -> Any:
            kept.append(conversation)
            return super().apply_chat_template(conversation, *args, **kwargs)

    processor = object.__new__(Keeping)
    processor.__dict__.update(plain.__dict__)
    return processor, kept


def chat(video: Path) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "video", "video": str(video)}, {"type": "text", "text": QUERY}]}]


def transformers_wrap(video: Path, k: int, limits: Limits, *, checkpoint: Path, **_: Path) -> Given:
    from kframes_transformers import wrap

    processor, kept = keeping(checkpoint)
    wrap(processor, KF, k, **limits).apply_chat_template(chat(video), tokenize=True, return_dict=True)
    return of_blocks(kept[0][0]["content"])


def transformers_pipeline(video: Path, k: int, limits: Limits, *, checkpoint: Path, **_: Path) -> Given:
    from transformers import AutoModelForImageTextToText, pipeline

    processor, kept = keeping(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    pipe = pipeline("video-text-to-text", model=model, processor=processor, selector=KF)
    pipe(str(video), QUERY, k=k, max_new_tokens=1, **limits)
    return of_blocks(getattr(kept[0], "messages", kept[0])[0]["content"])


def llama_index_postprocessor(video: Path, k: int, limits: Limits, *, out: Path, **_: Path) -> Given:
    """Its start and end are those of the nodes that a retriever found."""
    from kframes_llama_index import KFramesPostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

    span = {"clip_start": to_seconds(limits.get("start", 0)), "clip_end": to_seconds(limits.get("end", 20))}
    node = NodeWithScore(node=TextNode(text="", metadata={"video": str(video), **span}))
    found = KFramesPostprocessor(KF, k, out=out).postprocess_nodes([node], query_str=QUERY)
    return "\n".join(n.node.get_content(MetadataMode.LLM) for n in found), opened([n.node.image_path for n in found])


def lmms_eval_messages(video: Path, k: int, limits: Limits, **_: Path) -> Given:
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed here; it needs an environment of its own")
    from kframes_lmms_eval.frames import FramesForVideos

    told = {f"{name}_time": value for name, value in limits.items()}
    part = {"type": "video", "url": str(video), **told}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": QUERY}]}]
    content = FramesForVideos(KF, k)(messages, {})[0]["content"]
    images = [block["url"] for block in content if block["type"] == "image"]
    return "\n".join(block["text"] for block in content if block["type"] == "text"), images


SHELLS: list[Callable[..., Given]] = [
    core_messages,
    core_openai,
    transformers_prepare,
    langchain_tool,
    langchain_loader,
    langchain_retriever,
    llama_index_reader,
    llama_index_retriever,
    mcp_tool,
    transformers_wrap,
    transformers_pipeline,
    llama_index_postprocessor,
    lmms_eval_messages,
]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.__name__)
class TestContract:
    @pytest.mark.parametrize("k", [1, 5, 16])
    def test_the_frames_of_select_at_their_true_times(self, shell, k, folder, checkpoint, tmp_path):
        text, images = shell(folder / "match.mp4", k, {}, checkpoint=checkpoint, out=tmp_path)
        expected = KF.select(folder / "match.mp4", QUERY, k)
        assert [read_number(image) for image in images] == [round(10 * t) for t in expected.timestamps]
        for time in expected.timestamps:
            assert f"{time:.1f} s" in text
        assert "secret" not in text, "a reason makes answers worse"

    @pytest.mark.parametrize("limits", [{"start": 2, "end": 11.0}, {"start": "0:12"}, {"end": "3.5s"}], ids=str)
    def test_start_and_end_are_honoured(self, shell, limits, folder, checkpoint, tmp_path):
        _, images = shell(folder / "match.mp4", 5, limits, checkpoint=checkpoint, out=tmp_path)
        expected = KF.select(folder / "match.mp4", QUERY, 5, **limits).timestamps
        low, high = to_seconds(limits.get("start", 0)), to_seconds(limits.get("end", 20))
        assert len(expected) == 5
        assert all(low <= time < high for time in expected)
        assert [read_number(image) for image in images] == [round(10 * time) for time in expected]

    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            ({"start": 5, "end": 4}, "end must lie after start"),
            ({"start": "soon"}, "start must be seconds"),
            ({"start": 60}, "lies after its end"),
        ],
        ids=str,
    )
    def test_seconds_that_cannot_be_are_said(self, shell, limits, words, folder, checkpoint, tmp_path):
        if shell is llama_index_postprocessor:
            pytest.skip("its start and end are those of nodes, not what somebody wrote")
        with pytest.raises(KFramesError, match=words):
            shell(folder / "match.mp4", 3, limits, checkpoint=checkpoint, out=tmp_path)

    def test_the_same_call_gives_the_same(self, shell, folder, checkpoint, tmp_path):
        first, again = (shell(folder / "match.mp4", 3, {}, checkpoint=checkpoint, out=tmp_path) for _ in range(2))
        assert first[0] == again[0]
        assert [image.tobytes() for image in first[1]] == [image.tobytes() for image in again[1]]

    def test_no_k_below_one(self, shell, folder, checkpoint, tmp_path):
        with pytest.raises((ValueError, KFramesError), match=r"at least 1|greater than or equal to 1"):
            shell(folder / "match.mp4", 0, {}, checkpoint=checkpoint, out=tmp_path)

    def test_a_broken_video_is_named(self, shell, folder, checkpoint, tmp_path):
        with pytest.raises(KFramesError, match=r"broken\.mp4: cannot be opened: it is not a video"):
            shell(folder / "broken.mp4", 3, {}, checkpoint=checkpoint, out=tmp_path)


# -------------------------------------------------------------------------------------------------- each stands alone

# One process, so that the hosts are imported once; ours are imported anew for everything that is gone.
WITHOUT = """
import importlib, sys
from pathlib import Path

def states(folder):
    for name in [n for n in sys.modules if n.partition(".")[0] in (*{hosts!r}, "kframes_plugin")]:
        del sys.modules[name]
    sys.path[0] = folder
    importlib.invalidate_caches()
    for name in ("kframes_plugin", "kframes_plugin.cli", *{hosts!r}):
        try:
            module = importlib.import_module(name)
            assert Path(module.__file__).is_relative_to(folder), module.__file__
            yield name, "works"
        except ImportError as error:
            yield name, str(error)

sys.path.insert(0, "")
for missing, folder in {folders!r}.items():
    print(("without package", missing, dict(states(folder))))
for missing, host in {hosts!r}.items():
    kept, sys.modules[host] = sys.modules[host], None
    print(("without host", missing, dict(states({whole!r}))))
    sys.modules[host] = kept
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """What can be imported when one package, or one host, is missing."""
    root = tmp_path_factory.mktemp("without")
    for missing in (*HOSTS, "nothing"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / "kframes_plugin", root / missing / "kframes_plugin", ignore=ignored)
        for name in HOSTS:
            if name != missing:
                shutil.copytree(ROOT / "integrations" / name, root / missing / name, ignore=ignored)
            else:  # an editable install must not help out
                (root / missing / name).mkdir()
                (root / missing / name / "__init__.py").write_text("raise ImportError('removed')\n")
    folders = {name: str(root / name) for name in HOSTS}
    code = WITHOUT.format(folders=folders, hosts=HOSTS, whole=str(root / "nothing"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return {(kind, missing): found for kind, missing, found in map(ast.literal_eval, done.stdout.splitlines())}


@pytest.mark.parametrize("missing", HOSTS)
def test_removing_one_package_leaves_the_others(states, missing):
    found = states["without package", missing]
    assert found.pop(missing) == "removed"
    assert len(found) == len(HOSTS) + 1
    assert set(found.values()) == {"works"}


@pytest.mark.parametrize("missing", HOSTS)
def test_a_missing_host_stops_its_integration_only(states, missing):
    """Where a host is not installed, importing its integration says so; the core and the others work."""
    found = states["without host", missing]
    assert found.pop(missing).startswith(f"import of {HOSTS[missing]} halted")
    assert len(found) == len(HOSTS) + 1
    assert set(found.values()) == {"works"}


def test_nothing_in_the_core_imports_an_integration_but_the_command_line():
    for path in (ROOT / "kframes_plugin").rglob("*.py"):
        if path.parent.name != "cli":
            assert not any(name in path.read_text(encoding="utf-8") for name in HOSTS), path
