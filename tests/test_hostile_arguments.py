"""Wrong arguments at every public door: the call that gives them says what is wrong, what the rule is, what to do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_families
import tiny_models
import typer.main
from drawn_film import SAMPLE
from kframes_langchain import KFramesLoader, KFramesTool
from kframes_langchain import KFramesRetriever as LangChainRetriever
from kframes_llama_index import KFramesPostprocessor, KFramesReader, KFramesRetriever
from kframes_mcp import build_server
from kframes_transformers import prepare, wrap
from langchain_core.tools import ToolException
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from mcp import Client
from pydantic import ValidationError
from transformers import pipeline
from typer import BadParameter

from kframes_plugin import Clip, KFrames, KFramesError, Selection
from kframes_plugin.agents.tool import VideoTool
from kframes_plugin.agents.video_block import select_block
from kframes_plugin.cli import app
from kframes_plugin.clips.allocation import Allocation
from kframes_plugin.errors import SelectorError, SpanError, VideoError
from kframes_plugin.types import Candidates, Line
from kframes_plugin.video import OpenVideo

KF = KFrames.from_pretrained("uniform", frame_size=64)
FILM = str(SAMPLE)
NAN, INF = float("nan"), float("inf")
ODD = "\x1b[31mred\n\udcff"
HUGE = "A" * 300_000


@pytest.fixture(scope="session")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_families.smolvlm(tmp_path_factory.mktemp("family") / "model"))


@pytest.fixture(scope="session")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return pipeline("video-text-to-text", str(tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("pipe") / "model")))


class Given:
    """What rows need beside themselves: a folder, a processor, a pipeline; made when they are first asked for."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.request, self.folder = request, folder

    @property
    def processor(self) -> Any:
        return self.request.getfixturevalue("processor")

    @property
    def pipe(self) -> Any:
        return self.request.getfixturevalue("pipe")

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def command(*arguments: str) -> None:
    """A command line in this process; click's errors are not printed but raised."""
    typer.main.get_command(app).main([*arguments], standalone_mode=False)


def chat(*blocks: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": "What happens?"}]}]


def node(**metadata: Any) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text="x", metadata=metadata))]


def tool(**options: Any) -> VideoTool:
    return VideoTool(KF, **{"allowed_paths": [SAMPLE.parent], **options})


Row = tuple[Callable[[Given], Any], type[BaseException], str]
ROWS: list[Row] = [
    # ---- KFrames
    (lambda g: KFrames("lite"), TypeError, "selector must be callable"),  # type: ignore[arg-type]
    (lambda g: KFrames(None), TypeError, "selector must be callable"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, candidates=0), ValueError, "candidates must be a whole number >= 1; got 0"),
    (lambda g: KFrames(KF.selector, candidates=True), ValueError, "candidates must be a whole number"),
    (lambda g: KFrames(KF.selector, candidates="9"), ValueError, "candidates must be a whole number"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, strategy="dense"), ValueError, "strategy must be one of auto"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, strategy=["auto"]), ValueError, "strategy must be one of auto"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, frame_size=0), ValueError, "frame_size must be None, the long side"),
    (lambda g: KFrames(KF.selector, frame_size=(64, 0)), ValueError, "frame_size must be None, the long side"),
    (lambda g: KFrames(KF.selector, frame_size=(1, 2, 3)), ValueError, "frame_size must be None"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, frame_size="big"), ValueError, "frame_size must be None"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, frame_size=(10**6, 10**6)), ValueError, "frame_size must be at most 67,108,864"),
    (lambda g: KFrames(KF.selector, candidate_size=-1), ValueError, "candidate_size must be None"),
    (lambda g: KFrames(KF.selector, candidate_size=2.5), ValueError, "candidate_size must be None"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, allocation={"p2": 1}), TypeError, "allocation must be Allocation"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, exact="no"), TypeError, "exact must be bool"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, snap_to_cuts="yes"), TypeError, "snap_to_cuts must be"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, time_words="de"), TypeError, "time_words must be"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, retriever=5), TypeError, 'retriever must be "auto", None, a name'),
    (lambda g: KFrames(KF.selector, transcript=5), TypeError, 'transcript must be "auto", a path'),  # type: ignore[typeddict-item]
    (lambda g: KFrames(KF.selector, language=5), TypeError, "language must be"),  # type: ignore[typeddict-item]
    (lambda g: KFrames(KF.selector, ocr="yes"), TypeError, "ocr must be"),  # type: ignore[typeddict-item]
    (lambda g: KFrames(KF.selector, subtitles="auto"), TypeError, "unknown argument 'subtitles'"),  # type: ignore[call-arg]
    (lambda g: KFrames(KF.selector, video_options=[1]), TypeError, "video_options must be a mapping"),  # type: ignore[arg-type]
    (lambda g: KFrames(KF.selector, video_options={"urls": 1}), ValueError, "video_options has no 'urls'; known are"),
    (
        lambda g: KFrames(KF.selector, video_options={"decoder": "vlc"}),
        ValueError,
        'decoder must be "pyav" or "decord"',
    ),
    (lambda g: KFrames(KF.selector, video_options={"max_pixels": 0}), ValueError, "max_pixels must be at least 1"),
    (lambda g: KFrames(KF.selector, video_options={"timeout": NAN}), ValueError, "timeout must be seconds > 0"),
    (
        lambda g: KFrames(KF.selector, video_options={"allow_urls": "x.org"}),
        TypeError,
        "allow_urls must be True, False",
    ),
    (lambda g: KFrames(KF.selector, video_options={"allow_urls": ["http://x"]}), ValueError, "a host of allow_urls"),
    # ---- from_pretrained
    (lambda g: KFrames.from_pretrained(None), TypeError, "model must be a name or a directory; got None"),  # type: ignore[arg-type]
    (lambda g: KFrames.from_pretrained(b"lite"), TypeError, "model must be a name or a directory"),  # type: ignore[arg-type]
    (lambda g: KFrames.from_pretrained(""), SelectorError, "the name of the model is empty"),
    (lambda g: KFrames.from_pretrained("/no/such/model"), SelectorError, "cannot load the model '/no/such/model'"),
    (lambda g: KFrames.from_pretrained(str(g.folder)), SelectorError, "cannot load the model"),
    (lambda g: KFrames.from_pretrained("st:/no/such"), SelectorError, "cannot load the sentence-transformers model"),
    (lambda g: KFrames.from_pretrained("openclip:/no/such"), SelectorError, "cannot load the open_clip model"),
    (lambda g: KFrames.from_pretrained("openclip:../x/y"), SelectorError, "cannot load the open_clip model"),
    (lambda g: KFrames.from_pretrained("http://[::1#m"), SelectorError, "the server's URL 'http://[::1' is not valid"),
    (lambda g: KFrames.from_pretrained("http://me:pw@h/v1#m"), SelectorError, "the URL of h contains a password"),
    (lambda g: KFrames.from_pretrained("http://h/v1"), SelectorError, "http://h/v1 names no model; add its name"),
    (lambda g: KFrames.from_pretrained(ODD), SelectorError, r"cannot load the model"),
    (lambda g: KFrames.from_pretrained("uniform", dtype="float8"), ValueError, "dtype must be one of auto, float32"),
    (lambda g: KFrames.from_pretrained("lite", device="quantum"), ValueError, "device must be None, or a name such as"),
    (lambda g: KFrames.from_pretrained("lite", device=0), ValueError, "device must be None, or a name such as"),  # type: ignore[arg-type]
    (lambda g: KFrames.from_pretrained("uniform", prediction="text"), ValueError, "prediction='text' is for models"),
    (lambda g: KFrames.from_pretrained("uniform", server={"a": 1}), ValueError, "server= is for models behind an http"),
    (lambda g: KFrames.from_pretrained("http://h/v1#m", server={"a": 1}), ValueError, "unknown option 'a' of a server"),
    (lambda g: KFrames.from_pretrained("http://h/v1#m", server=[1]), TypeError, "server must be a mapping"),  # type: ignore[arg-type]
    # ---- select, open, find
    (lambda g: KF.select(None, "x"), TypeError, "a video must be a path"),  # type: ignore[arg-type]
    (lambda g: KF.select([FILM, FILM], "x"), TypeError, "frames must be Frames or pictures"),  # type: ignore[list-item]
    (lambda g: KF.select({"type": "video", "video": FILM}, "x"), TypeError, "a video must be a path"),  # type: ignore[arg-type]
    (lambda g: KF.select(io.StringIO("x"), "x"), TypeError, "a video's file object must give bytes"),  # type: ignore[arg-type]
    (lambda g: KF.select(SAMPLE.parent, "x"), VideoError, f"{SAMPLE.parent}: is a directory"),
    (lambda g: KF.select("data:video/mp4;base64," + HUGE, "x"), VideoError, "memory:"),
    (lambda g: KF.select(HUGE, "x"), VideoError, "A" * 900),
    (lambda g: KF.select(FILM, None), TypeError, "query must be a string; got NoneType"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, ["a"]), TypeError, "query must be a string; got list"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, " \n"), ValueError, "query must not be empty"),
    (lambda g: KF.select(FILM, "x", 0), ValueError, "k must be at least 1; got 0"),
    (lambda g: KF.select(FILM, "x", -(10**30)), ValueError, "k must be at least 1"),
    (lambda g: KF.select(FILM, "x", 2.0), TypeError, "k must be a whole number; got 2.0 (float)"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", True), TypeError, "k must be a whole number; got True (bool)"),
    (lambda g: KF.select(FILM, "x", "8"), TypeError, "k must be a whole number; got '8' (str)"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", strategy="all"), ValueError, "strategy must be one of auto"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", within=[(5, 1)]), ValueError, "a span of within needs 0 <= start < end"),
    (lambda g: KF.select(FILM, "x", within=[(0, INF)]), ValueError, "a span of within needs"),
    (lambda g: KF.select(FILM, "x", within=(1, 5)), TypeError, "within must be (start, end) pairs"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", within="1-5"), TypeError, "within must be (start, end) pairs"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", within=5), TypeError, "within must be (start, end) pairs"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", start="soon"), SpanError, "start must be seconds or a text such as"),
    (lambda g: KF.select(FILM, "x", start=NAN), SpanError, "start must be finite seconds >= 0"),
    (lambda g: KF.select(FILM, "x", end=[5]), TypeError, "end must be seconds or a text such as"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", start=5, end=5), SpanError, "end must lie after start"),
    (lambda g: KF.select(FILM, "x", start=10**9), SpanError, ""),
    (lambda g: KF.select(FILM, "x", progress="bar"), TypeError, "progress must be a function"),  # type: ignore[arg-type]
    (lambda g: KF.select(FILM, "x", num_frames=8), TypeError, "unknown argument 'num_frames'"),  # type: ignore[call-arg]
    (lambda g: KF.select(FILM, "x", transcript="/no/such.srt"), VideoError, "/no/such.srt: does not exist"),
    (lambda g: KF.select(FILM, "x", transcript=[(0, 1)]), TypeError, "a line of a transcript must be"),  # type: ignore[typeddict-item]
    (lambda g: KF.open(5), TypeError, "a video must be a path"),  # type: ignore[arg-type]
    (lambda g: KF.open(FILM, words=1), TypeError, "unknown argument 'words'"),  # type: ignore[call-arg]
    (lambda g: KF.find([], "x", FILM), TypeError, "frames must be Candidates"),  # type: ignore[arg-type]
    (lambda g: KF.find_all(Candidates([], 1), "x", FILM), TypeError, "video must be OpenVideo"),  # type: ignore[arg-type]
    # ---- search, select_many
    (lambda g: KF.search(None, "x"), TypeError, "videos must be a folder, a file or a list"),  # type: ignore[arg-type]
    (lambda g: KF.search([], "x"), ValueError, "videos must name at least one folder or file"),
    (lambda g: KF.search([None], "x"), TypeError, "videos must be paths; got None"),  # type: ignore[list-item]
    (lambda g: KF.search({"a": 1}, "x"), TypeError, "videos must be a folder"),
    (lambda g: KF.search("/no/such", "x"), KFramesError, "/no/such is neither a folder nor a file"),
    (lambda g: KF.search("http://h/a.mp4", "x"), KFramesError, "http://h/a.mp4 is a URL; only files"),
    (lambda g: KF.search(g.folder, ""), ValueError, "query must not be empty"),
    (lambda g: KF.search(g.folder, "x", 0), ValueError, "k must be at least 1"),
    (lambda g: KF.search(g.folder, "x", index=5), TypeError, "index must be str"),  # type: ignore[arg-type]
    (lambda g: KF.select_many(FILM), TypeError, "requests must be a list of (video, query) pairs"),  # type: ignore[arg-type]
    (lambda g: KF.select_many({FILM: "x"}), TypeError, "requests must be a list"),  # type: ignore[arg-type]
    (lambda g: KF.select_many(None), TypeError, "requests must be a list"),  # type: ignore[arg-type]
    (lambda g: list(KF.select_many((FILM, "x"))), TypeError, "a request must be (video, query)"),  # type: ignore[arg-type]
    (lambda g: list(KF.select_many([{"video": FILM}])), TypeError, "a request must be (video, query)"),  # type: ignore[list-item]
    (lambda g: list(KF.select_many([(FILM,)])), TypeError, "a request must be (video, query)"),  # type: ignore[list-item]
    (lambda g: KF.select_many([], k=0), ValueError, "k must be at least 1"),
    (lambda g: KF.select_many([], workers=0), ValueError, "workers must be a whole number >= 1"),
    (lambda g: KF.select_many([], strategy="x"), ValueError, "strategy must be one of"),  # type: ignore[arg-type]
    # ---- OpenVideo, Selection, words
    (lambda g: OpenVideo(FILM, max_pixels=10), VideoError, f"{FILM}: its pictures have"),
    (lambda g: OpenVideo(FILM, max_duration=0.1), VideoError, f"{FILM}: lasts"),
    (lambda g: OpenVideo(FILM, max_duration=-1), ValueError, "max_duration must be seconds > 0"),
    (lambda g: OpenVideo(FILM, kept_bytes=-1), ValueError, "kept_bytes must be at least 0"),
    (lambda g: OpenVideo(FILM).candidates(0), ValueError, "count must be at least 1"),
    (lambda g: OpenVideo(FILM).candidates(4, size="x"), ValueError, "size must be None"),  # type: ignore[arg-type]
    (lambda g: OpenVideo(FILM).frames_at([NAN]), ValueError, "timestamps must lie in"),
    (lambda g: OpenVideo(FILM).frames_at([1e9]), ValueError, "timestamps must lie in"),
    (lambda g: OpenVideo.from_frames([b"a", b"b"], [0, 1]), TypeError, "frames must be Frames or pictures"),
    (lambda g: Selection.load(g.folder), KFramesError, ""),
    (lambda g: Selection.load("/no/such"), KFramesError, ""),
    (lambda g: KF.select(FILM, "x", 2).resample(0), ValueError, "k must be at least 1"),
    (lambda g: KF.select(FILM, "x", 2).save("/proc/none/x"), KFramesError, ""),
    (lambda g: Clip(5, 1), ValueError, "a clip needs 0 <= start < end"),
    (lambda g: Clip(0, 1, "P3"), ValueError, 'priority must be "P1" or "P2"'),  # type: ignore[arg-type]
    (lambda g: Clip("a", 1), TypeError, "start must be a number"),  # type: ignore[arg-type]
    (lambda g: Line(0, 1, " "), ValueError, "a line needs words"),
    (lambda g: Allocation(p2_weight=-1), ValueError, ""),
    # ---- chats and processors
    (lambda g: wrap(None, KF), TypeError, "processor must be that of a multimodal model"),
    (lambda g: wrap("Qwen/Qwen2.5-VL-3B-Instruct", KF), TypeError, "processor must be that of a multimodal model"),
    (lambda g: wrap(g.processor.tokenizer, KF), TypeError, "processor must be that of a multimodal model"),
    (lambda g: wrap(g.processor.image_processor, KF), TypeError, "processor must be that of a multimodal model"),
    (lambda g: wrap(g.processor, "lite"), TypeError, "kframes must be a KFrames"),  # type: ignore[arg-type]
    (lambda g: wrap(g.processor, KF, 0), ValueError, "k must be at least 1"),
    (lambda g: wrap(g.processor, KF, "8"), TypeError, "k must be a whole number"),  # type: ignore[arg-type]
    (lambda g: wrap(g.processor, KF, style="movie"), ValueError, 'style must be "auto" or one of'),  # type: ignore[arg-type]
    (lambda g: wrap(g.processor, KF, style=["native"]), ValueError, 'style must be "auto"'),  # type: ignore[arg-type]
    (lambda g: wrap(g.processor, KF, strategy="x"), ValueError, "strategy must be one of"),  # type: ignore[arg-type]
    (lambda g: wrap(g.processor, KF, query=""), ValueError, "query must not be empty"),
    (lambda g: wrap(g.processor, KF, start=9, end=1), SpanError, "end must lie after start"),
    (lambda g: prepare("What?", g.processor, KF), TypeError, "messages must be a list of messages"),  # type: ignore[arg-type]
    (lambda g: prepare(["What?"], g.processor, KF), TypeError, 'a message must be {"role"'),  # type: ignore[list-item]
    (lambda g: prepare([{"content": "x"}], g.processor, KF), TypeError, 'a message must be {"role"'),
    (lambda g: prepare([{"role": "user", "content": {"type": "video"}}], g.processor, KF), TypeError, "the content of"),
    (lambda g: prepare(chat({"type": "video"}), g.processor, KF), ValueError, "a video block must have one of"),
    (
        lambda g: prepare(chat({"type": "video", "video": FILM, "url": "b"}), g.processor, KF),
        ValueError,
        "a video block",
    ),
    (
        lambda g: prepare(chat({"type": "video_path", "video_path": FILM}), g.processor, KF),
        ValueError,
        "a block with a",
    ),
    (lambda g: prepare(chat({"type": "image", "video": FILM}), g.processor, KF), ValueError, "a block with a video"),
    (
        lambda g: prepare(chat({"type": "video_url", "video_url": {"href": 1}}), g.processor, KF),
        ValueError,
        "video_url of",
    ),
    (lambda g: prepare(chat({"type": "video", "video": [FILM]}), g.processor, KF), TypeError, "frames must be Frames"),
    (
        lambda g: prepare(chat({"type": "video", "video": FILM, "fps": -1}), g.processor, KF),
        ValueError,
        "fps of a video",
    ),
    (lambda g: prepare(chat(5), g.processor, KF), TypeError, 'a block must be {"type"'),
    (
        lambda g: prepare([{"role": "user", "content": [{"type": "video", "video": FILM}]}], g.processor, KF),
        ValueError,
        "",
    ),
    (lambda g: select_block(KF, {"video": FILM, "num_frames": "8"}, "x", 4), ValueError, "num_frames of a video block"),
    # ---- the pipeline
    (lambda g: g.pipe(FILM), ValueError, "pass the question too"),
    (lambda g: g.pipe(video=FILM), ValueError, "pass the question too"),
    (lambda g: g.pipe(text="What?"), ValueError, "pass a video too"),
    (lambda g: g.pipe(), ValueError, "pass a video too"),
    (lambda g: g.pipe(FILM, "What?", video=FILM), ValueError, "pass the video once"),
    (lambda g: g.pipe(chat({"type": "video", "video": FILM}), "What?"), ValueError, "a chat has its question in it"),
    (lambda g: g.pipe([FILM, FILM], ["What?"]), ValueError, "pass one question for each video; got 1 for 2"),
    (lambda g: g.pipe([], "What?"), ValueError, "there is no video in the list"),
    (lambda g: g.pipe(FILM, 5), TypeError, "a question must be a text; got 5"),
    (lambda g: g.pipe(FILM, "What?", k=0), ValueError, "k must be at least 1"),
    (lambda g: g.pipe(FILM, "What?", style="x"), ValueError, 'style must be "auto"'),
    (lambda g: g.pipe(FILM, "What?", selector=5), TypeError, "selector must be a KFrames, a function"),
    (lambda g: g.pipe(FILM, "What?", num_keyframes=4), TypeError, "unknown argument 'num_keyframes'"),
    (lambda g: g.pipe(FILM, question="What?"), ValueError, "pass the question too"),
    (lambda g: g.pipe({"video": FILM, "text": "What?"}, "What?", k=2), ValueError, "video of a video block"),
    # ---- LlamaIndex
    (lambda g: KFramesReader("scenes", ""), ValueError, "query must not be empty"),
    (lambda g: KFramesReader("scenes", ["x"]), TypeError, "query must be a string"),  # type: ignore[arg-type]
    (lambda g: KFramesReader("scenes", "x", k=0), ValueError, "k must be at least 1"),
    (lambda g: KFramesReader(5, "x"), TypeError, "kframes must be a KFrames, or the name"),  # type: ignore[arg-type]
    (
        lambda g: KFramesReader("scenes", "x", strategy="focused"),
        ValidationError,
        "1 validation error for KFramesReader",
    ),
    (lambda g: list(KFramesReader(KF, "x").lazy_load_data(FILM, k=0)), ValueError, "k must be at least 1"),
    (lambda g: list(KFramesReader(KF, "x").lazy_load_data(FILM, query="")), ValueError, "query must not be empty"),
    (lambda g: list(KFramesReader(KF, "x").lazy_load_data([FILM])), TypeError, "frames must be Frames"),  # type: ignore[arg-type]
    (lambda g: KFramesRetriever(KF, FILM), ValueError, "videos must be a folder, or a list"),
    (lambda g: KFramesRetriever(KF, []), ValueError, "videos must be a folder, or a list"),
    (lambda g: KFramesRetriever(KF, [FILM], k=True), TypeError, "k must be a whole number"),
    (lambda g: KFramesRetriever(KF, [FILM], strategy="x"), TypeError, ""),
    (lambda g: KFramesRetriever(None, [FILM]), TypeError, "kframes must be a KFrames, or the name"),  # type: ignore[arg-type]
    (lambda g: KFramesRetriever(KF, [None]).retrieve("x"), TypeError, "a video must be a path"),  # type: ignore[list-item]
    (lambda g: KFramesPostprocessor(KF, k="8"), TypeError, "k must be a whole number"),  # type: ignore[arg-type]
    (lambda g: KFramesPostprocessor(KF, style="x"), ValidationError, "1 validation error"),
    (
        lambda g: KFramesPostprocessor(KF).postprocess_nodes(
            node(video=FILM, clip_start="a", clip_end=2), QueryBundle("x")
        ),
        ValueError,
        "the metadata clip_start of a node must be seconds",
    ),
    (
        lambda g: KFramesPostprocessor(KF).postprocess_nodes(node(video=5, clip_start=1, clip_end=2), QueryBundle("x")),
        ValueError,
        "the metadata video of a node must be a path",
    ),
    # ---- LangChain, the tool, MCP
    (lambda g: KFramesLoader(FILM, "", kframes=KF), ValueError, "query must not be empty"),
    (lambda g: KFramesLoader(FILM, "x", 0, kframes=KF), ValueError, "k must be at least 1"),
    (lambda g: KFramesLoader(FILM, "x", kframes="lite"), TypeError, "kframes must be a KFrames"),  # type: ignore[arg-type]
    (lambda g: LangChainRetriever(kframes=KF, videos=[], k=2), ValidationError, "3 validation errors"),
    (lambda g: LangChainRetriever(kframes=KF, videos=[FILM], k="2"), ValidationError, "1 validation error"),
    (lambda g: LangChainRetriever(kframes=KF, videos=[FILM], top_k=2), ValidationError, "1 validation error"),
    (
        lambda g: LangChainRetriever(kframes=KF, videos=[FILM]).invoke("x", top_k=2),
        TypeError,
        "unknown argument 'top_k'",
    ),
    (lambda g: LangChainRetriever(kframes=KF, videos=[FILM]).invoke("x", k=0), ValueError, "k must be at least 1"),
    (lambda g: KFramesTool(kframes=KF, allowed_paths=[FILM]), ValueError, "allowed_paths must be directories"),
    (lambda g: KFramesTool(kframes=KF, allowed_paths=str(g.folder)), ValueError, "allowed_paths must be a list"),
    (lambda g: KFramesTool(kframes=KF, allowed_paths=[g.folder], maxk=3), ValidationError, "1 validation error"),
    (lambda g: tool(max_k=0), ValueError, "max_k must be at least 1"),
    (lambda g: tool(hosts=["h"]), ValueError, "hosts= needs a KFrames that opens URLs"),
    (lambda g: tool()("/etc/passwd", "x"), VideoError, "'/etc/passwd' is not a file that this tool may read"),
    (lambda g: tool()("data:video/mp4;base64," + HUGE, "x"), VideoError, "'data:video/mp4;base64,"),
    (lambda g: tool()("file:///etc/passwd", "x"), VideoError, "'file:///etc/passwd' is not allowed"),
    (lambda g: tool()(ODD, "x"), VideoError, r"'\x1b[31mred\n\udcff' is not a file"),
    (lambda g: tool()("http://[", "x"), VideoError, "'http://[' is not allowed"),
    (lambda g: tool()(None, "x"), VideoError, "None is not a path"),  # type: ignore[arg-type]
    (lambda g: tool()(SAMPLE.name, "x", 99), KFramesError, "k must be a whole number from 1 to 32; got 99"),
    (lambda g: tool()(SAMPLE.name, "x", "2"), KFramesError, "k must be a whole number from 1 to 32"),  # type: ignore[arg-type]
    (lambda g: tool()(SAMPLE.name, ""), KFramesError, "query must not be empty"),
    (lambda g: tool()(SAMPLE.name, None), KFramesError, "query must not be empty"),  # type: ignore[arg-type]
    (lambda g: tool()(SAMPLE.name, "x", start="soon"), SpanError, "start must be seconds"),
    (lambda g: tool()(SAMPLE.name, "x", start=[1]), KFramesError, "start must be seconds"),  # type: ignore[arg-type]
    (
        lambda g: build_server(kframes=KF, allowed_paths=[]),
        ValueError,
        "allowed_paths must name at least one directory",
    ),
    # ---- the command line
    (lambda g: command("select", FILM, " "), BadParameter, "must not be empty"),
    (lambda g: command("select", FILM, "x", "-k", "0"), BadParameter, "greater than or equal to 1"),
    (lambda g: command("select", FILM, "x", "-k", "two"), BadParameter, "valid integer"),
    (lambda g: command("select", FILM, "x", "--strategy", "all"), BadParameter, "'all' is not one of"),
    (lambda g: command("select", FILM, "x", "--start", "soon"), BadParameter, "start must be seconds"),
    (lambda g: command("select", FILM, "x", "--within", "9-1"), BadParameter, "end must lie after start"),
    (
        lambda g: command("select", FILM, "x", "--model", "lite", "--server-option", "a=1"),
        BadParameter,
        "server= is for",
    ),
    (lambda g: command("select", FILM, "x", "--model", ""), SelectorError, "the name of the model is empty"),
    (
        lambda g: command("select", FILM, "x", "--device", "quantum"),
        BadParameter,
        "device must be None, or a name such",
    ),
    (lambda g: command("select", ODD, "x"), VideoError, r"\u001b[31mred\u000a\udcff: does not exist"),
    (lambda g: command("select", "data:,", "x"), VideoError, "data:,"),
    (lambda g: command("select", FILM, "x", "--model", "uniform", "--out", "/proc/none/x"), KFramesError, ""),
    (lambda g: command("probe", str(g.folder)), VideoError, f"{'/'}"),
    (lambda g: command("search", "x", "/no/such"), KFramesError, "/no/such is neither a folder nor a file"),
    (lambda g: command("index", "/no/such"), KFramesError, "/no/such is neither a folder nor a file"),
    (lambda g: command("select-many", g.write("a.jsonl", "{"), "--out", str(g.folder)), KFramesError, ""),
    (lambda g: command("select-many", g.write("b.jsonl", "[" * 10**5), "--out", "o"), KFramesError, ""),
    (lambda g: command("select-many", g.write("c.jsonl", json.dumps({"video": 5})), "--out", "o"), KFramesError, ""),
    (lambda g: command("select-many", "/no/such", "--out", "o"), KFramesError, "/no/such: cannot be read"),
    (
        lambda g: command("select-many", str(g.folder), "--out", "o", "--shard", "9/2"),
        KFramesError,
        "a shard is written",
    ),
    (lambda g: command("mcp", "/no/such"), BadParameter, "/no/such is not a directory"),
]


def test_there_are_enough_rows() -> None:
    assert len(ROWS) >= 120


@pytest.mark.parametrize("place", range(len(ROWS)))
def test_a_wrong_argument_is_told_at_the_call(request: pytest.FixtureRequest, tmp_path: Path, place: int) -> None:
    call, kind, words = ROWS[place]
    with pytest.raises(kind) as caught:
        call(Given(request, tmp_path))
    assert type(caught.value) is kind
    told = caught.value.format_message() if isinstance(caught.value, BadParameter) else str(caught.value)
    assert words in told if issubclass(kind, BadParameter) else told.startswith(words), told[:400]
    assert 5 < len(told) < 2000
    told.encode()
    if not issubclass(kind, ValidationError):  # pydantic's own messages have lines
        assert "\x1b" not in told
        assert "\n" not in told


@pytest.mark.parametrize("arguments", [{"top_k": 3}, {"k": "many"}, {"k": 99}, {"video": 5}, {"start": [1]}])
def test_an_agent_is_told_what_it_got_wrong(arguments: dict[str, Any]) -> None:
    shown = KFramesTool(kframes=KF, allowed_paths=[SAMPLE.parent]).invoke(
        {"name": "x", "args": {"video": SAMPLE.name, "query": "x", **arguments}, "id": "1", "type": "tool_call"}
    )
    assert shown.status == "error"
    assert next(iter(arguments)) in str(shown.content)


def test_tool_exceptions_are_the_agents() -> None:
    with pytest.raises(ToolException, match="is not a file that this tool may read"):
        KFramesTool(kframes=KF, allowed_paths=[SAMPLE.parent])._run("no.mp4", "x")


def test_a_huge_k_is_all_frames() -> None:
    assert len(KF.select(FILM, "x", 10**12).frames) == len(OpenVideo(FILM).timestamps)


@pytest.mark.parametrize("arguments", [{"top_k": 3}, {"k": 99}, {"video": 5}, {"video": "data:," + HUGE}])
async def test_a_client_is_told_what_it_got_wrong(arguments: dict[str, Any]) -> None:
    async with Client(build_server(kframes=KF, allowed_paths=[SAMPLE.parent])) as client:
        called = await client.call_tool("select_video_frames", {"video": SAMPLE.name, "query": "x", **arguments})
    assert called.is_error
    assert len(str(called.content)) < 2000
    assert next(iter(arguments)) in str(called.content) or "data:" in str(called.content)
