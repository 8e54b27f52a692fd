"""``st:``: a tiny multimodal encoder of sentence-transformers, random weights, made here and loaded by directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image

from kframes_plugin import KFrames, SelectorError
from kframes_plugin.selectors.sentence_embedder import SentenceEmbedder
from kframes_plugin.selectors.similarity import SimilaritySelector
from kframes_plugin.types import Candidates, Frame

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"
LENGTH = 24  # tokens that the text tower reads


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP, 2 layers of width 32 on both sides, saved by sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    root = tmp_path_factory.mktemp("st")
    words = tiny_models.tokenizer([])
    words.model_max_length = LENGTH
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **tower,
        "vocab_size": len(words),
        "max_position_embeddings": LENGTH,
        "bos_token_id": words.convert_tokens_to_ids("<|im_start|>"),
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = {**tower, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    model.save_pretrained(root / "clip")
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, words).save_pretrained(root / "clip")
    SentenceTransformer(str(root / "clip"), device="cpu").save_pretrained(str(root / "st"))
    return root / "st"


def pictures(*colors: str) -> list[Image.Image]:
    return [Image.new("RGB", (64, 48), color) for color in colors]


def test_pictures_and_text_are_embedded_as_the_model_does_it(checkpoint: Path) -> None:
    from sentence_transformers import SentenceTransformer

    ours, true = SentenceEmbedder(str(checkpoint), "cpu", "auto"), SentenceTransformer(str(checkpoint), device="cpu")
    shown = pictures("red", "green", "blue")
    assert ours.embed_images(shown).shape == (3, 16)
    np.testing.assert_allclose(ours.embed_images(shown), true.encode(shown), atol=1e-5)
    np.testing.assert_allclose(ours.embed_text("a red ball"), true.encode("a red ball"), atol=1e-5)
    assert not np.allclose(ours.embed_text("a red ball"), ours.embed_text("a dog"))


def test_the_picture_that_is_like_the_query_is_the_clip(checkpoint: Path) -> None:
    """Weights are random, so the query's embedding is taken from a picture: cosine 1 at that one alone."""
    model = SentenceEmbedder(str(checkpoint), "cpu", "float32")
    colors = ["red"] * 4 + ["blue"] + ["red"] * 4
    frames = Candidates([Frame(n + 0.5, 1.0, image) for n, image in enumerate(pictures(*colors))], 9.0)
    query = model.embed_images(pictures("blue"))[0]
    found = SimilaritySelector(model.embed_images, lambda _text: query)(frames, "blue")
    assert [(clip.start, clip.end) for clip in found] == [(4.0, 5.0)]


def test_it_selects_by_name_and_keeps_the_embeddings_of_a_video(checkpoint: Path) -> None:
    kf = KFrames.from_pretrained(f"st:{checkpoint}", device="cpu", candidates=16)
    with kf.open(SAMPLE) as video:
        first, second = video.select("a cup of coffee", 4), video.select("a rocket", 4)
    assert len(first.frames) == len(second.frames) == 4
    assert (first.cost.candidates, first.cost.model_calls, second.cost.model_calls) == (16, 2, 1)
    assert kf.selector.frame_size == 448


def test_what_is_said_is_joined_with_what_it_sees(checkpoint: Path) -> None:
    kf = KFrames.from_pretrained(f"st:{checkpoint}", device="cpu", candidates=8)
    found = kf.select(SAMPLE, "arches of the bridge", 4, transcript=[(30.0, 33.0, "The bridge has six arches.")])
    assert (found.clips[0].start, found.clips[0].end) == (30.0, 33.0)


def test_a_query_beyond_the_text_tower_is_a_note(checkpoint: Path) -> None:
    kf = KFrames.from_pretrained(f"st:{checkpoint}", device="cpu", candidates=4)
    assert "query-cut" not in [note.code for note in kf.select(SAMPLE, "a cup", 2).notes]
    assert "query-cut" in [note.code for note in kf.select(SAMPLE, "a cup " * LENGTH, 2).notes]


def test_what_cannot_be_loaded_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SelectorError, match=r"cannot load the sentence-transformers model .*no such directory"):
        KFrames.from_pretrained(f"st:{tmp_path / 'nowhere'}")
    with pytest.raises(ValueError, match="dtype must be one of auto, float32, bfloat16, float16; got 'int4'"):
        KFrames.from_pretrained(f"st:{checkpoint}", dtype="int4")
    with pytest.raises(ValueError, match="has one way to answer: leave prediction out"):
        KFrames.from_pretrained(f"st:{checkpoint}", prediction="scores")
    pickled = Path(shutil.copytree(checkpoint, tmp_path / "pickled"))
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(SelectorError, match=r"pytorch_model\.bin may hold code; save the model with save_pretrained"):
        KFrames.from_pretrained(f"st:{pickled}")


def test_a_model_of_text_alone_is_refused(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel

    words = tiny_models.tokenizer([])
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(words), **tower)).save_pretrained(tmp_path / "bert")
    words.save_pretrained(tmp_path / "bert")
    SentenceTransformer(str(tmp_path / "bert"), device="cpu").save_pretrained(str(tmp_path / "text"))
    with pytest.raises(SelectorError, match="embeds no images; choose a multimodal model of sentence-transformers"):
        KFrames.from_pretrained(f"st:{tmp_path / 'text'}", device="cpu")


def test_a_missing_package_is_one_line() -> None:
    code = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sentence_transformers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from kframes_plugin import KFrames, SelectorError
try:
    KFrames.from_pretrained("st:ORG/MODEL")
except SelectorError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == (
        "the sentence-transformers model 'ORG/MODEL' needs sentence_transformers, which is not installed: "
        'pip install "kframes[st]"\n'
    )
