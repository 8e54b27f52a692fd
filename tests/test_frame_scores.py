"""One score a frame from one prefill: shapes, ranges, the same numbers as by hand, and skill where it was taught."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from notes import sentences
from PIL import Image

from kframes_plugin import KFrames
from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.frame_scores import frame_ends, image_token, merged_clips
from kframes_plugin.prompt import RELEVANCE, PromptFormat, build_messages
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import Candidates, Clip, Frame

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "idefics3")
COLOURS = ("red", "green", "green", "blue")
SHORT = PromptFormat("index", "before", "short")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_models, name)(root / name) for name in FAMILIES}


@pytest.fixture(scope="module")
def taught(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learned, in seconds, which of four coloured frames is meant; read after its first layer."""
    folder = Path(shutil.copytree(checkpoints["qwen2_5_vl"], tmp_path_factory.mktemp("taught") / "model"))
    lessons = [
        (build_messages(candidates(), query, SHORT), labels)
        for query, labels in {
            "green": ("none", "P1", "P1", "none"),
            "blue": ("none", "none", "none", "P1"),
            "red then blue": ("P1", "none", "none", "P2"),
            "black": ("none", "none", "part", "none"),
        }.items()
    ]
    assert tiny_models.teach_frames(folder, lessons, layer=1) < 0.1
    vocabulary = ("black", "blue", "green", "red", "then")
    settings = CheckpointSettings(4, 56, 12, SHORT, vocabulary=vocabulary, prediction="scores", scores_layer=1)
    settings.save(folder)
    return folder


def candidates() -> Candidates:
    """Four frames of one colour each, 10 s apart, in a video of 40 s."""
    frames = [Frame(10.0 * i, 10.0, Image.new("RGB", (56, 42), colour)) for i, colour in enumerate(COLOURS)]
    return Candidates(frames, 40.0)


def test_what_was_taught_is_read(taught: Path) -> None:
    selector = MLLMSelector.from_pretrained(taught, device="cpu")
    assert selector.prediction == "scores"
    found = selector(candidates(), "Green")
    assert [(clip.start, clip.end, clip.priority) for clip in found] == [(5.0, 25.0, "P1")]
    assert found[0].score is not None
    assert found[0].score > 0.9
    assert found[0].reason.startswith("relevance peaks at ")
    assert found.notes == ()
    assert (found.cost.candidates, found.cost.model_calls, found.cost.tokens_out) == (4, 1, 0)
    assert found.cost.tokens_in > 4 * 4
    both = selector(candidates(), "red then blue")
    assert [(clip.start, clip.end, clip.priority) for clip in both] == [(0.0, 5.0, "P1"), (25.0, 40.0, "P2")]
    np.testing.assert_allclose(selector.frame_scores(candidates(), "red then blue"), [1, 0, 0, 0.6], atol=0.1)


def test_nothing_found_is_a_note(taught: Path) -> None:
    found = MLLMSelector.from_pretrained(taught, device="cpu")(candidates(), "black")
    assert list(found) == []
    (note,) = sentences(found.notes)
    assert note.startswith("the model found nothing in the video that matches the query (highest relevance of a frame")
    assert found.cost.model_calls == 1


def test_unknown_words_abstain_without_a_model_call(taught: Path) -> None:
    selector = MLLMSelector.from_pretrained(taught, device="cpu")
    looked = []
    selector.model.register_forward_hook(lambda *_: looked.append(1))
    selector.model.model.register_forward_hook(lambda *_: looked.append(1))
    for prediction in ("text", "scores"):
        selector.prediction = prediction
        found = selector(candidates(), "a green dog, then a sofa")
        assert list(found) == []
        (note,) = sentences(found.notes)
        assert note.startswith("the query has words this model was never trained on: 'a', 'dog', 'sofa'; use a larger")
        assert (found.cost.model_calls, found.cost.tokens_in, found.cost.candidates) == (0, 0, 4)
    assert looked == []
    assert selector.frame_scores(candidates(), "a green dog").shape == (4,), "raw scores are for any query"
    assert looked == [1]
    frames = list(candidates())
    selection = KFrames(selector).select(frames, "the dog", 2)
    assert "'dog'" in sentences(selection.notes)[0]
    assert "no clip was found" in sentences(selection.notes)[1]
    assert (selection.strategy, len(selection.frames)) == ("uniform", 2)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("layer", [None, 1, 2])
def test_scores_of_every_family(checkpoints: dict[str, Path], name: str, layer: int | None) -> None:
    settings = CheckpointSettings(scores_layer=layer)
    selector = MLLMSelector.from_pretrained(checkpoints[name], device="cpu", settings=settings, prediction="scores")
    frames = candidates()
    scores = selector.frame_scores(frames, "the ball")
    assert scores.shape == (4,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(set(scores)) > 1
    np.testing.assert_array_equal(selector.frame_scores(frames, "the ball"), scores)
    np.testing.assert_array_equal(selector.frame_scores(list(frames), "the ball"), scores)
    untrained = 'this model was not trained to score frames (prediction="scores"); its scores may say nothing'
    assert (untrained in sentences(selector(frames, "the ball").notes)) == (layer is None)


@pytest.mark.parametrize(
    ("layer", "position"),
    [(1, "after"), (2, "after"), *((layer, at) for layer in (None, 1, 2) for at in ("before", "both"))],
)
def test_scores_are_those_computed_by_hand(checkpoints: dict[str, Path], layer: int | None, position: str) -> None:
    fmt = PromptFormat("index", position, "short")
    settings = CheckpointSettings(format=fmt, scores_layer=layer)
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=settings)
    scores = selector.frame_scores(candidates(), "the ball")

    model, processor = selector.model, selector.processor
    fmt = replace(fmt, query_position="before") if position == "after" else fmt  # where a frame can know of it
    inputs = processor.apply_chat_template(
        build_messages(candidates(), "the ball", fmt),
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = inputs["input_ids"][0].tolist()
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    ends = [at for at in range(len(ids)) if ids[at] == image and ids[at + 1] != image]
    assert len(ends) == 4
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
        below = model.lm_head(model.model.language_model.norm(out.hidden_states[1]))
        logits = below[0] if layer == 1 else out.logits[0]  # there are two layers
    token = {word: processor.tokenizer(word)["input_ids"][0] for word in RELEVANCE}
    assert token["P1"] == token["P2"], "these tokenizers spell P1 in two tokens, so the two share their first"
    for score, end in zip(scores, ends, strict=True):
        p, none, part = logits[end, [token["P1"], token["none"], token["part"]]].softmax(0).tolist()
        assert score == pytest.approx(0.8 * p, abs=1e-5)
        assert p + none + part == pytest.approx(1)


def test_frames_without_times_between_them_are_told_apart() -> None:
    ids = torch.tensor([9, 7, 7, 7, 7, 7, 7, 9])
    assert frame_ends(ids, 7, 3).tolist() == [2, 4, 6]
    assert frame_ends(torch.tensor([7, 7, 9, 7, 9, 7, 7, 7]), 7, 3).tolist() == [1, 3, 7], "runs of any length"
    rows = torch.tensor([7, 7, 8, 7, 7, 8, 5, 7, 7, 8, 7, 7, 8])
    assert frame_ends(rows, 7, 2).tolist() == [4, 11], "two frames, a token 8 after every row of patches"
    with pytest.raises(SelectorError, match=r'6 image tokens cannot be shared among 4 frames; .*prediction="text"'):
        frame_ends(ids, 7, 4)


def test_errors_say_what_to_do(checkpoints: dict[str, Path]) -> None:
    settings = CheckpointSettings(scores_layer=9)
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=settings)
    with pytest.raises(SelectorError, match="scores_layer=9 cannot be read: Qwen2_5_VLTextModel has 2 layers"):
        selector.frame_scores(candidates(), "ball")
    with pytest.raises(SelectorError, match=r"does not say which token is an image's .*use prediction=.text."):
        image_token(selector.model.get_decoder())  # of text alone
    with pytest.raises(ValueError, match="prediction must be one of text, scores, both; got 'dense'"):
        MLLMSelector(selector.model, selector.processor, prediction="dense")


def test_merged_clips_have_the_ends_of_the_scores_and_the_reasons_of_the_writing() -> None:
    written = [Clip(10, 21, "P1", "red star"), Clip(40, 50, "P2", "what comes after")]
    scored = [Clip(70, 80, "P1", "relevance peaks at 74 s", 0.9), Clip(12, 20, "P2", "relevance peaks at 15 s", 0.7)]
    assert merged_clips(written, scored) == [scored[0], Clip(12, 20, "P2", "red star", 0.7), written[1]]
    assert merged_clips(written, []) == written
    assert merged_clips([], scored) == scored
    assert merged_clips([Clip(0, 12, "P1", "before")], scored) == [
        *scored,
        Clip(0, 12, "P1", "before"),
    ]  # they only touch


def test_both_predictions_are_merged_and_paid_for(taught: Path) -> None:
    found = {}
    for prediction in ("text", "scores", "both"):
        selector = MLLMSelector.from_pretrained(taught, device="cpu", prediction=prediction)
        found[prediction] = selector(candidates(), "green")
    assert found["scores"], "the model was taught to score"
    assert list(found["both"]) == merged_clips(found["text"], found["scores"])
    assert found["both"].cost.model_calls == 2
    assert found["both"].cost.candidates == 4
    assert found["both"].cost.tokens_in == found["text"].cost.tokens_in + found["scores"].cost.tokens_in
