"""LlamaIndex: documents that survive it, workers, real indexes and query engines, and an event loop that stays free."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from kframes_llama_index import KFramesPostprocessor, KFramesReader, KFramesRetriever, OpenCLIPEmbedding
from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, LLMMetadata, TextBlock
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.indices.multi_modal import MultiModalVectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import ImageDocument, ImageNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
from PIL import Image
from safetensors.torch import save_file
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, Selection, VideoError

KF = KFrames(lambda frames, query: [Clip(10, 12, "P1", "a secret reason", 0.9), Clip(3, 4, "P2")], candidates=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of 20 s, 10 frames a second."""
    root = tmp_path_factory.mktemp("videos")
    for name in ("a.mp4", "b.mp4"):
        make_video(root / name, every(100, 200))
    return root


def assert_is_the_frame(image_path: str | None, metadata: dict[str, Any]) -> None:
    """The picture is there and is the frame of that time."""
    assert image_path == metadata["image_path"]
    with Image.open(metadata["image_path"]) as image:
        assert read_number(image) == round(10 * metadata["timestamp"])


# ------------------------------------------------------------------------------------------------------ documents


@pytest.fixture(scope="module")
def documents(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[ImageDocument]:
    return KFramesReader(KF, "the goal", k=4, out=tmp_path_factory.mktemp("out")).load_data(folder / "a.mp4")


def test_the_reader_gives_image_documents_with_times(documents, folder):
    assert len(documents) == 4
    for document in documents:
        assert isinstance(document, ImageDocument)
        assert_is_the_frame(document.image_path, document.metadata)
        assert document.metadata["video"] == str(folder / "a.mp4")
        assert json.loads(json.dumps(document.metadata)) == document.metadata
    assert [d.metadata["timestamp"] for d in documents] == sorted(d.metadata["timestamp"] for d in documents)


def test_models_read_the_time_and_never_the_reason(documents):
    for document in documents:
        read = document.get_content(metadata_mode=MetadataMode.LLM)
        assert f"({document.metadata['timestamp']:.1f} s) of a.mp4" in read
        assert "secret" not in read
        assert document.metadata.get("reason") in ("a secret reason", "")


def test_ids_are_the_same_on_every_run(documents, folder, tmp_path):
    again = KFramesReader(KF, "the goal", k=4, out=tmp_path).load_data(folder / "a.mp4")
    assert [d.id_ for d in again] == [d.id_ for d in documents]
    assert len({d.id_ for d in documents}) == 4


def test_documents_survive_a_splitter(documents):
    nodes = SentenceSplitter(chunk_size=128, chunk_overlap=8).get_nodes_from_documents(documents)
    assert len(nodes) == 4
    for node, document in zip(nodes, documents, strict=True):
        assert isinstance(node, ImageNode)
        assert_is_the_frame(node.image_path, node.metadata)
        assert node.metadata == document.metadata
        blocks = node.get_content_blocks(metadata_mode=MetadataMode.LLM)
        assert [type(block) for block in blocks] == [TextBlock, ImageBlock]
        assert f"({document.metadata['timestamp']:.1f} s)" in blocks[0].text, (
            "the host drops the text, not the metadata"
        )


def test_documents_survive_to_dict_and_json(documents):
    for document in documents:
        for again in (
            ImageDocument.from_dict(document.to_dict()),
            ImageDocument.from_json(document.to_json()),
            pickle.loads(pickle.dumps(document)),
        ):
            assert_is_the_frame(again.image_path, again.metadata)
            assert (again.id_, again.text, again.metadata) == (document.id_, document.text, document.metadata)
            assert again.hash == document.hash


def test_documents_survive_a_persisted_index(documents, tmp_path):
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=4))
    index.storage_context.persist(tmp_path)
    loaded = load_index_from_storage(
        StorageContext.from_defaults(persist_dir=str(tmp_path)), embed_model=MockEmbedding(embed_dim=4)
    )
    found = loaded.as_retriever(similarity_top_k=4).retrieve("the goal")
    assert len(found) == 4
    for node in found:
        assert_is_the_frame(node.node.image_path, node.metadata)
    assert {n.metadata["timestamp"] for n in found} == {d.metadata["timestamp"] for d in documents}


def test_a_refresh_changes_nothing_when_nothing_changed(documents, folder, tmp_path):
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=4))
    out = Path(documents[0].image_path).parent
    again = KFramesReader(KF, "the goal", k=4, out=out).load_data(folder / "a.mp4")
    assert index.refresh_ref_docs(again) == [False] * 4


# ------------------------------------------------------------------------------------------------------- the reader


@pytest.mark.parametrize("workers", [None, 2])
def test_simple_directory_reader(folder, tmp_path, workers):
    reader = KFramesReader("uniform", "anything", k=3, out=tmp_path)
    directory = SimpleDirectoryReader(str(folder), file_extractor={".mp4": reader}, raise_on_error=True)
    documents = directory.load_data(num_workers=workers)
    assert [Path(d.metadata["video"]).name for d in documents] == ["a.mp4"] * 3 + ["b.mp4"] * 3
    for document in documents:
        assert_is_the_frame(document.image_path, document.metadata)
        assert document.metadata["file_name"] == Path(document.metadata["video"]).name


def test_a_reader_with_a_lambda_says_that_it_cannot_travel(folder, tmp_path):
    reader = pickle.loads(pickle.dumps(KFramesReader(KF, "the goal", out=tmp_path)))
    with pytest.raises(ValueError, match=r'has lost its KFrames.*KFramesReader\("scenes", query\)'):
        reader.load_data(folder / "a.mp4")


def test_a_reader_travels_as_json(folder, tmp_path):
    reader = KFramesReader("uniform", "anything", k=2, out=tmp_path)
    again = KFramesReader.from_dict(reader.to_dict())
    assert [d.id_ for d in again.load_data(folder / "a.mp4")] == [d.id_ for d in reader.load_data(folder / "a.mp4")]


def test_what_a_reader_refuses(folder, tmp_path):
    with pytest.raises(ValueError, match="query must not be empty"):
        KFramesReader(KF)
    reader = KFramesReader(KF, "q", out=tmp_path)
    with pytest.raises(ValueError, match="only local videos can be read"):
        reader.load_data(folder / "a.mp4", fs=object())
    with pytest.raises(VideoError, match=r"missing\.mp4: does not exist"):
        reader.load_data(folder / "missing.mp4")


# ------------------------------------------------------------------------------------------------------- retrieving


class RecordingLLM(MockLLM):
    """LlamaIndex's own mock, which also keeps the messages it is sent."""

    seen: list[Sequence[ChatMessage]] = []  # noqa: RUF012 - a pydantic field

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, context_window=100_000)

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self.seen.append(messages)
        return ChatResponse(message=ChatMessage(role="assistant", content="at 11 s"))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self.chat(messages, **kwargs)


def blocks_of(llm: RecordingLLM, kind: type) -> list[Any]:
    return [block for message in llm.seen[-1] for block in message.blocks if isinstance(block, kind)]


async def test_a_query_engine_shows_the_frames_and_their_times_to_the_llm(folder, tmp_path):
    llm = RecordingLLM()
    retriever = KFramesRetriever(KF, [folder / "a.mp4", folder / "b.mp4"], k=4, out=tmp_path)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, multimodal=True)
    for answer in (engine.query("When is the goal?"), await engine.aquery("When is the goal?")):
        assert str(answer) == "at 11 s"
        images, texts = blocks_of(llm, ImageBlock), " ".join(b.text for b in blocks_of(llm, TextBlock))
        assert len(images) == 4
        for node, image in zip(answer.source_nodes, images, strict=True):
            with Image.open(image.resolve_image()) as picture:
                assert read_number(picture) == round(10 * node.metadata["timestamp"])
            assert f"({node.metadata['timestamp']:.1f} s) of {Path(node.metadata['video']).name}" in texts
        assert "When is the goal?" in texts
        assert "secret" not in texts


def test_reader_index_query_engine(folder, tmp_path):
    reader = KFramesReader(KF, "the goal", k=3, out=tmp_path)
    documents = SimpleDirectoryReader(str(folder), file_extractor={".mp4": reader}).load_data()
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=4))
    llm = RecordingLLM()
    retriever = index.as_retriever(similarity_top_k=2)
    RetrieverQueryEngine.from_args(retriever, llm=llm, multimodal=True).query("When is the goal?")
    assert len(blocks_of(llm, ImageBlock)) == 2
    texts = " ".join(block.text for block in blocks_of(llm, TextBlock))
    assert texts.count("s) of ") == 2
    assert "secret" not in texts


async def test_an_async_query_does_not_block_the_event_loop(folder, tmp_path):
    def slow(frames, query):
        time.sleep(0.5)
        return [Clip(1, 2)]

    retriever = KFramesRetriever(KFrames(slow, candidates=4), [folder / "a.mp4"], k=2, out=tmp_path)
    task = asyncio.create_task(retriever.aretrieve("q"))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert len(await task) == 2
    print(f"the event loop waited {longest * 1000:.0f} ms at most during a query of more than 500 ms")
    assert longest < 0.25


def test_what_a_retriever_refuses(folder):
    with pytest.raises(ValueError, match=r"videos must be a folder, or a list of at least one file; got 'a\.mp4'"):
        KFramesRetriever(KF, "a.mp4")
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        KFramesRetriever(KF, ["a.mp4"], k=0)


# ---------------------------------------------------------------------------------------------------- postprocessor


def seen_by(frames: list[list[float]]) -> KFrames:
    """Notes the candidates it sees; chooses [6, 6.5) where it sees it."""

    def selector(candidates, query):
        frames.append([frame.timestamp for frame in candidates])
        return [Clip(6, 6.5)]

    return KFrames(selector, candidates=20)


def test_coarse_clips_become_keyframes_for_the_query(folder, tmp_path):
    seen: list[list[float]] = []
    coarse = [
        NodeWithScore(
            node=TextNode(text="kickoff", metadata={"video": str(folder / "a.mp4"), "clip_start": 5.0, "clip_end": 8.0})
        ),
        NodeWithScore(
            node=TextNode(
                text="the rest", metadata={"video": str(folder / "a.mp4"), "timestamp": 15.0, "duration": 1.0}
            )
        ),
        NodeWithScore(node=TextNode(text="an article")),
    ]
    fine = KFramesPostprocessor(seen_by(seen), k=3, out=tmp_path).postprocess_nodes(coarse, query_str="the goal")
    assert all(5 <= t < 8 or 15 <= t < 16 for t in seen[0])
    assert len(seen[0]) == 20, "looked at closely: 20 candidates in 4 of 20 seconds"
    assert [type(n.node) for n in fine] == [ImageNode, ImageNode, ImageNode, TextNode]
    assert all(6 <= n.metadata["timestamp"] < 6.5 for n in fine[:3])
    assert fine[3].node.text == "an article"
    for node in fine[:3]:
        assert_is_the_frame(node.node.image_path, node.metadata)


def test_a_frame_outside_the_clips_stands_for_its_scene(folder, tmp_path):
    seen: list[list[float]] = []
    scene = {"video": str(folder / "a.mp4"), "timestamp": 2.0, "duration": 0.1, "scene_start": 1.0, "scene_end": 7.0}
    node = NodeWithScore(node=TextNode(text="", metadata=scene))
    fine = KFramesPostprocessor(seen_by(seen), k=2, out=tmp_path).postprocess_nodes([node], query_str="the goal")
    assert (min(seen[0]) < 1.5, max(seen[0]) > 6.5) == (True, True)
    assert all(6 <= n.metadata["timestamp"] < 6.5 for n in fine)
    (document,) = KFramesReader(KF, "the goal", k=1, out=tmp_path).load_data(folder / "a.mp4")
    assert document.metadata["scene_start"] <= document.metadata["timestamp"] < document.metadata["scene_end"]


def test_frames_of_the_reader_are_coarse_clips(folder, tmp_path):
    documents = KFramesReader(KF, "the goal", k=2, out=tmp_path).load_data(folder / "a.mp4")
    nodes = [NodeWithScore(node=node) for node in SentenceSplitter().get_nodes_from_documents(documents)]
    nodes += [
        NodeWithScore(node=TextNode(text="", metadata={"video": str(folder / "b.mp4"), "clip_start": 0, "clip_end": 9}))
    ]
    fine = KFramesPostprocessor(KF, k=5, out=tmp_path).postprocess_nodes(nodes, query_str="the goal")
    assert [Path(n.metadata["video"]).name for n in fine] == ["a.mp4"] * 3 + ["b.mp4"] * 2
    assert all(10 <= n.metadata["timestamp"] < 12 for n in fine[:3])
    assert all(3 <= n.metadata["timestamp"] < 4 for n in fine[3:]), "the part of the clips that lies inside"


def test_no_clip_inside_means_frames_over_the_given_ones_and_a_note(folder):
    selection = KFrames(lambda f, q: [], candidates=8).select(folder / "a.mp4", "q", 4, within=[(2.0, 3.0)])
    assert all(2 <= t < 3 for t in selection.timestamps)
    assert [note.code for note in selection.notes] == ["no-clip"]
    with pytest.raises(ValueError, match=r"lasts 19\.9 s; what was asked for \(30-40 s\) lies after its end"):
        KF.select(folder / "a.mp4", "q", 4, within=[(30, 40)])


def test_clips_with_fewer_frames_than_k_are_filled_up_inside_the_given_ones(folder, tmp_path):
    """Half a second of the clip lies inside, 5 frames; the other 3 come from the rest of what was given."""
    given = [(1.0, 2.0), (5.0, 6.5)]
    found = seen_by([]).select(folder / "a.mp4", "q", 8, within=given)
    loaded = Selection.load(found.save(tmp_path))
    for selection in (found, found.resample(7), loaded.resample(7)):
        times = selection.timestamps
        assert len(times) == selection.k
        assert sum(6 <= t < 6.5 for t in times) == 5
        assert all(any(start <= t < end for start, end in given) for t in times), times
    assert len(found.resample(60).timestamps) == 60, "more than they hold: from the whole video"


async def test_a_postprocessor_needs_a_query_only_for_videos(folder, tmp_path):
    processor = KFramesPostprocessor(KF, out=tmp_path)
    article = [NodeWithScore(node=TextNode(text="an article"))]
    assert processor.postprocess_nodes(article) == article
    clip = [NodeWithScore(node=TextNode(metadata={"video": str(folder / "a.mp4"), "clip_start": 0, "clip_end": 9}))]
    with pytest.raises(ValueError, match="pass query_str or query_bundle"):
        processor.postprocess_nodes(clip)
    assert len(await processor.apostprocess_nodes(clip, query_bundle=QueryBundle("q"))) == 8


# --------------------------------------------------------------------------------------------------------- embedding


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny open_clip model with random weights."""
    settings = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny_clip")
    model = open_clip.CLIP(**settings)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    config = {"model_cfg": settings, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


async def test_open_clip_embeds_texts_and_images_in_one_index(tiny_clip, folder, tmp_path):
    embedding = OpenCLIPEmbedding(str(tiny_clip), device="cpu")
    documents = KFramesReader(KF, "the goal", k=3, out=tmp_path).load_data(folder / "a.mp4")
    for vector in (
        embedding.get_text_embedding("a dog"),
        await embedding.aget_query_embedding("a dog"),
        embedding.get_image_embedding(documents[0].image_path),
        await embedding.aget_image_embedding(documents[0].image_path),
    ):
        assert sum(value * value for value in vector) == pytest.approx(1.0)
    assert OpenCLIPEmbedding.from_dict(embedding.to_dict()).get_text_embedding("a dog") == embedding.get_text_embedding(
        "a dog"
    )
    index = MultiModalVectorStoreIndex.from_documents(documents, embed_model=embedding, image_embed_model=embedding)
    found = index.as_retriever(image_similarity_top_k=3, similarity_top_k=3).text_to_image_retrieve("a dog")
    assert len(found) == 3
    for node in found:
        assert_is_the_frame(node.node.image_path, node.metadata)
        assert node.score == pytest.approx(
            sum(
                a * b
                for a, b in zip(
                    embedding.get_text_embedding("a dog"),
                    embedding.get_image_embedding(node.node.image_path),
                    strict=True,
                )
            ),
            abs=1e-5,
        )
