"""The frames' part of a prompt is read once a video: a family gives what it gives for whole prompts, or says why not.

Tiny random checkpoints of every family that kframes knows. What is right is computed by hand here, from whole prompts.
"""

from __future__ import annotations

import gc
import logging
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tiny_families
import torch
from PIL import Image

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.inputs import without_control_tokens
from kframes_plugin.prompt import RELEVANCE, PromptFormat, build_messages, write_mark
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import PREDICTION_KINDS, Candidates, Frame, Line

WHOLE = {  # families whose prompts are read whole, and why
    "gemma3": "its attention may look ahead",
    "gemma4": "not all of its layers keep every token (DynamicSlidingWindowLayer)",
}
ONCE = [name for name in tiny_families.FAMILIES if name not in WHOLE]
SHORT = CheckpointSettings(max_new_tokens=8)
QUERIES = ("a ball", "who scores the second goal, and when?", "red")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MLLMSelector]:
    """A selector of a family; each checkpoint is built once."""
    root, built = tmp_path_factory.mktemp("models"), {}

    def load(name: str, **options: Any) -> MLLMSelector:
        if name not in built:
            built[name] = getattr(tiny_families, name)(root / name)
        return MLLMSelector.from_pretrained(built[name], device="cpu", **{"settings": SHORT, **options})

    return load


def candidates(count: int = 4) -> Candidates:
    """Frames of one colour each, 10 s apart, with a line that is spoken."""
    images = [Image.new("RGB", (56, 56), (60 * i % 256, 255 - 40 * i % 256, 99)) for i in range(count)]
    frames = [Frame(10.0 * i + 5, 10.0, image) for i, image in enumerate(images)]
    return Candidates(frames, 10.0 * count, transcript=[Line(12.0, 14.0, "over there")])


def whole_inputs(selector: MLLMSelector, query: str, asks: str = "clips") -> dict[str, Any]:
    """The inputs of a whole prompt, as the processor alone makes them."""
    asked = without_control_tokens(selector.processor, query)
    messages = build_messages(candidates(), asked, transcript_tokens=0, asks=asks)
    options = {} if selector.settings is SHORT else {"processor_kwargs": {"images_kwargs": {}}}
    return dict(
        selector.processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt", **options
        )
    )


def count_tokens(selector: MLLMSelector) -> list[int]:
    """The tokens of every pass of the language model from now on."""
    seen: list[int] = []
    selector.model.get_decoder().layers[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    return seen


@pytest.mark.parametrize("name", ONCE)
def test_a_query_is_written_as_for_the_whole_prompt(load: Callable[..., MLLMSelector], name: str) -> None:
    selector, frames = load(name), candidates()
    seen = count_tokens(selector)
    for number, query in enumerate(QUERIES):
        inputs = whole_inputs(selector, query)
        length = inputs["input_ids"].shape[1]
        with torch.no_grad():
            expected = selector.model.generate(**inputs, do_sample=False, max_new_tokens=8)[0, length:]
        seen.clear()
        ((answer, cost),) = selector._prompted.write(frames, [query], SHORT.format, 8)
        assert answer.text == selector.processor.decode(expected, skip_special_tokens=True)
        assert cost.tokens_in == length
        read = seen[: len(seen) - answer.tokens + 1]  # then a token a pass
        if number == 0:
            frames_part, own_part = read
            assert frames_part + own_part == length
        else:
            assert read == [length - frames_part]


@pytest.mark.parametrize("name", ONCE)
def test_scores_are_those_of_a_whole_prompt_a_frame(load: Callable[..., MLLMSelector], name: str) -> None:
    selector, frames = load(name, prediction="scores"), candidates()
    tokenizer = selector.processor.tokenizer
    words = {word: tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in RELEVANCE}
    assert words["P1"] == words["P2"], "these tokenizers spell P1 in two tokens, so the two share their first"
    for query in QUERIES[:2]:
        inputs, expected = whole_inputs(selector, query, "scores"), []
        for number, frame in enumerate(frames):
            mark = tokenizer(write_mark(number, frame.timestamp, SHORT.format), add_special_tokens=False)["input_ids"]
            started = {**inputs, "input_ids": torch.cat([inputs["input_ids"], torch.tensor([mark])], 1)}
            for key in ("attention_mask", "mm_token_type_ids"):
                if key in inputs:
                    fill = 1 if key == "attention_mask" else 0
                    started[key] = torch.nn.functional.pad(inputs[key], (0, len(mark)), value=fill)
            with torch.no_grad():
                logits = selector.model(**started).logits[0, -1]
            expected.append(0.8 * float(logits[[words["P1"], words["none"], words["part"]]].softmax(0)[0]))
        np.testing.assert_allclose(selector.frame_scores(frames, query), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "smolvlm"])
@pytest.mark.parametrize("prediction", PREDICTION_KINDS)
def test_further_queries_equal_first_ones_to_the_last_bit(
    load: Callable[..., MLLMSelector], name: str, prediction: str
) -> None:
    selector, frames = load(name, prediction=prediction), candidates()
    for query in (*QUERIES, QUERIES[0]):
        further, fresh = selector(frames, query), selector(candidates(), query)
        assert list(further) == list(fresh)
        assert (further.notes, further.cost) == (fresh.notes, fresh.cost)
        alone = selector.frame_scores(candidates(), query)
        np.testing.assert_array_equal(selector.frame_scores(frames, query), alone)


def test_text_and_scores_share_one_reading_of_the_frames(load: Callable[..., MLLMSelector]) -> None:
    selector, frames = load("qwen2_5_vl", prediction="both"), candidates()
    seen = count_tokens(selector)
    selector.predict_all(frames, QUERIES)
    assert seen.count(seen[0]) == 1, "the frames' part is the first that is read, and is read once"
    assert len(seen) == 1 + 8 + len(QUERIES), "three texts of eight tokens together, then each query's scores"


def test_queries_of_one_batch_need_not_be_equally_long(load: Callable[..., MLLMSelector]) -> None:
    for name in ("qwen2_5_vl", "qwen3_vl", "glm4v", "internvl"):
        alone, together = load(name), load(name, batch_size=3)
        answers = [answer for answer, _ in together._prompted.write(candidates(), QUERIES, SHORT.format, 8)]
        for query, answer in zip(QUERIES, answers, strict=True):
            ((expected, _),) = alone._prompted.write(candidates(), [query], SHORT.format, 8)
            assert answer == expected


@pytest.mark.parametrize("name", WHOLE)
def test_a_family_that_cannot_says_why_and_reads_whole_prompts(
    load: Callable[..., MLLMSelector], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "kframes"):
        selector = load(name)
    (line,) = [record.getMessage() for record in caplog.records if "from its start" in record.getMessage()]
    assert line.endswith(f"reads every prompt from its start: {WHOLE[name]}")
    frames = candidates()
    first = selector(frames, "a ball")
    seen = count_tokens(selector)
    assert selector(frames, "a ball").notes == first.notes
    assert max(seen) == first.cost.tokens_in


@pytest.mark.parametrize("position", ["before", "both"])
def test_a_query_before_the_frames_is_read_with_them(load: Callable[..., MLLMSelector], position: str) -> None:
    settings = CheckpointSettings(max_new_tokens=4, format=PromptFormat(query_position=position))
    selector, frames = load("qwen2_5_vl", settings=settings), candidates()
    selector(frames, "a ball")
    seen = count_tokens(selector)
    further = selector(frames, "red")
    assert seen[0] == further.cost.tokens_in
    assert selector._prompted._inputs.prefix.kept_bytes == 0


def test_one_video_is_kept_and_dropped_with_its_frames(load: Callable[..., MLLMSelector]) -> None:
    selector = load("qwen2_5_vl")
    prefix = selector._prompted._inputs.prefix
    few, many = candidates(2), candidates(8)
    selector(few, "a ball")
    small = prefix.kept_bytes
    selector(many, "a ball")
    large = prefix.kept_bytes
    assert 0 < small < large
    selector(few, "a ball")
    assert prefix.kept_bytes == small, "one at a time"
    assert pickle.loads(pickle.dumps(prefix)).kept_bytes == 0
    del few
    gc.collect()
    assert prefix.kept_bytes == 0


def test_a_full_gpu_reads_fewer_queries_at_once(load: Callable[..., MLLMSelector]) -> None:
    selector, alone = load("qwen2_5_vl", batch_size=3), load("qwen2_5_vl")
    sizes = []

    def hold_one(_: object, inputs: tuple[torch.Tensor]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")

    selector.model.lm_head.register_forward_pre_hook(hold_one)  # as a GPU that holds one prompt raises it
    found = selector.predict_all(candidates(), QUERIES)
    assert sizes[0] == 3
    assert [one.notes for one in found] == [alone(candidates(), query).notes for query in QUERIES]
