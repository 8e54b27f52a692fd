"""nano's fast paths against the plain transformers model, its rows, and resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
from kframes_training.nano.data import Bank, Batches, build_bank, compose
from kframes_training.nano.dense import dense_loss
from kframes_training.nano.encoding import FORMAT, IGNORE, Row, clip_starts, collate, encode, prompt_ids
from kframes_training.nano.frame_attributes import all_names, directions, fit_tokens, list_parts, start_words
from kframes_training.nano.model import (
    build_nano,
    build_processor,
    build_tokenizer,
    cut_patches,
    frame_tokens,
)
from kframes_training.nano.training import LanguageSettings, train_on_batches
from kframes_training.nano.vision import label_scene, sample_frames, train_vision
from kframes_training.sources.synthscenes import paint, queries, sample_video
from kframes_training.sources.synthscenes.language import caption_scene
from kframes_training.sources.synthscenes.tasks import STAGE1, STAGE2, candidate_times
from PIL import Image
from transformers import AutoProcessor, TrainerCallback

from kframes_plugin.prompt import RELEVANCE, build_messages, parse_clips
from kframes_plugin.types import Frame

TASKS = {**STAGE1, **STAGE2}
DEPTHS = {"times": 1, "relevance": 1, "spans": 2}


def texts() -> list[str]:
    found = []
    for seed in range(25):
        video, rng = sample_video(seed), Random(seed)
        for query in queries(video.scenes, rng):
            found += [query.text, *(reason for reason in query.reasons if reason)]
        found += [caption_scene(scene, rng) for scene in video.scenes]
    return found


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(texts(), 900)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    nano = build_nano(tokenizer, width=64, layers=3, vision_width=32, vision_layers=2)
    fit_tokens(nano, frames=200)
    return nano.eval()


@pytest.fixture(scope="module")
def bank(model: Any) -> Bank:
    return build_bank(model, range(12), frames=2)


@pytest.fixture(scope="module")
def rows(bank: Bank, tokenizer: Any) -> list[Row]:
    return Batches(bank, tokenizer, [16], TASKS, videos=3, queries=4).rows(0)


def test_tokenizer_keeps_times_and_the_wire_form_whole(tokenizer: Any) -> None:
    text = '[{"start":12,"end":256,"priority":"P1","reason":"big red ring on teal"},'
    text += '{"start":0,"end":1,"priority":"P2","reason":""}]'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    pieces = tokenizer.tokenize(text)
    assert pieces[:6] == ['[{"start":', "12", ',"end":', "256", ',"priority":"P1","reason":"', "big"]
    strange = "Straße? 30 Élan → 'é' \n\t7"
    assert tokenizer.decode(tokenizer(strange)["input_ids"]) == strange


def test_a_checkpoint_loads_with_the_tokens_it_was_trained_on(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Loaded as Qwen's own class it took numbers apart: "12" became "1", "2", and no time was ever learned."""
    model.save_pretrained(tmp_path)
    build_processor(tokenizer).save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path).tokenizer
    for text in ("red", "the ring", '[{"start":12,"end":256', "<|im_start|>user\n", "7<|image_pad|>63"):
        assert loaded.tokenize(text) == tokenizer.tokenize(text)
    assert loaded.tokenize("12") == ["12"]


def test_every_frame_is_one_token_and_the_fast_tower_is_the_tower(model: Any, tokenizer: Any) -> None:
    processor = build_processor(tokenizer)
    pictures, _ = sample_frames(Random(0), 5)
    inputs = processor(text="<|image_pad|>" * 5, images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 5)
    torch.testing.assert_close(cut_patches(pictures).flatten(0, 1), inputs["pixel_values"])
    with torch.no_grad():
        slow = model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
        torch.testing.assert_close(frame_tokens(model, cut_patches(pictures)), slow, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(192, 144), (1280, 720), (56, 56), (144, 192)])
def test_pictures_of_any_shape_become_one_token(tokenizer: Any, size: tuple[int, int]) -> None:
    processor = build_processor(tokenizer)
    inputs = processor(text="<|image_pad|>", images=[Image.new("RGB", size)], return_tensors="pt")
    assert inputs["image_grid_thw"].tolist() == [[1, 4, 4]]


def as_the_selector_reads_it(row: Row, processor: Any) -> Any:
    picture = Image.fromarray(paint(sample_video(1), 3.0, (56, 56)))
    frames = [Frame(float(i), 1.0, picture) for i in range(len(row.relevance))]
    messages = build_messages(frames, row.query, FORMAT)
    return processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )


def test_rows_are_tokenised_as_the_selector_does(rows: list[Row], tokenizer: Any) -> None:
    processor = build_processor(tokenizer)
    for row in rows:
        line, prompt = encode(row, tokenizer), prompt_ids(row, tokenizer)
        assert {len(values) for values in line.values()} == {len(line["input_ids"])}
        assert as_the_selector_reads_it(row, processor)["input_ids"][0].tolist() == prompt
        assert tokenizer.decode(line["input_ids"][len(prompt) :]) == row.answer + "<|im_end|>"


def test_dense_labels_stand_at_the_frames(rows: list[Row], tokenizer: Any) -> None:
    for row in rows:
        line = encode(row, tokenizer)
        tokens = tokenizer.convert_ids_to_tokens(line["input_ids"])
        labelled = [(token, label) for token, label in zip(tokens, line["relevance"], strict=True) if label != IGNORE]
        assert [token for token, _ in labelled] == ["<|image_pad|>"] * len(row.relevance)
        assert [tokenizer.decode([label]) for _, label in labelled] == [RELEVANCE[level] for level in row.relevance]


def test_frames_know_the_clip_they_are_in() -> None:
    answer = '[{"start":3,"end":5,"priority":"P1","reason":""},{"start":0,"end":1,"priority":"P1","reason":""}]'
    row = Row("", answer, (3, 0, 0, 3, 3, 0), (), "count", torch.empty(0))
    assert clip_starts(row) == [0, 1, -1, 3, 3, 5]
    touching = '[{"start":0,"end":2,"priority":"P1","reason":""},{"start":2,"end":6,"priority":"P2","reason":""}]'
    assert clip_starts(replace(row, answer=touching)) == [0, 0, 2, 2, 2, 2]
    assert clip_starts(replace(row, answer="[]")) == [-1] * 6
    assert clip_starts(replace(row, answer="a red ring")) == [None] * 6


def test_without_writing_only_the_first_layers_run(model: Any, tokenizer: Any, bank: Bank) -> None:
    batch = Batches(bank, tokenizer, [16], {"word": 1}, videos=1, queries=2, write=False)[0]
    model.zero_grad()
    loss, parts = dense_loss(model, batch, depths=DEPTHS, write=False)
    loss.backward()
    assert set(parts) == {"times", "times_right", "relevance", "relevance_right"}
    touched = [layer.mlp.up_proj.weight.grad is not None for layer in model.model.language_model.layers]
    assert touched == [True, False, False]
    model.zero_grad()


def test_answers_say_which_frames_are_relevant(bank: Bank, tokenizer: Any) -> None:
    stream = Batches(bank, tokenizer, [16, 32], STAGE2, videos=3, queries=4)
    seen = set()
    for row in [row for index in range(6) for row in stream.rows(index)]:
        count = len(row.relevance)
        clips = parse_clips(row.answer, float(count), fmt=FORMAT, times=candidate_times(float(count), count))
        assert not clips.notes
        told = [0] * count
        for clip in clips:
            for index in range(round(clip.start), round(clip.end)):
                told[index] = 3 if clip.priority == "P1" else 2
        seen.add(row.kind)
        if len(clips) < 6:  # more are cut
            assert tuple(told) == tuple(level if level > 1 else 0 for level in row.relevance), row
    assert seen == set(STAGE2)


def test_batches_are_functions_of_seed_and_index(bank: Bank, tokenizer: Any) -> None:
    one, two = (Batches(bank, tokenizer, [16, 32], TASKS, seed=3) for _ in range(2))
    for index in (0, 1, 5):
        for key, value in one[index].items():
            torch.testing.assert_close(value, two[index][key])
    assert not torch.equal(one[0]["input_ids"], one[2]["input_ids"])


def test_composed_videos_have_the_tokens_of_their_scenes(bank: Bank) -> None:
    scenes, where, tokens = compose(bank, bank.by_background, Random(1), 16)
    for index, token in zip(where, tokens, strict=True):
        sources = [i for i, scene in enumerate(bank.scenes) if scene.things == scenes[index].things]
        assert any(torch.equal(token, shot) for i in sources for shot in bank.tokens[i])


def test_the_loss_is_that_of_the_plain_model(model: Any, tokenizer: Any) -> None:
    """Written part: transformers' own loss on pixels. Positions count up, so both must agree to rounding."""
    video = sample_video(2)
    times = candidate_times(video.duration, 8)
    pictures = torch.stack([torch.from_numpy(paint(video, time, (56, 56))) for time in times]).numpy()
    with torch.no_grad():
        row = Row(
            "the red star", "[]", (0,) * 8, (video.scenes[0],) * 8, "needle", frame_tokens(model, cut_patches(pictures))
        )
        batch = collate([row], tokenizer)
        _, parts = dense_loss(model, batch, depths=DEPTHS)
        processor = build_processor(tokenizer)
        images = processor.image_processor([Image.fromarray(p) for p in pictures], return_tensors="pt")
        ids = batch["input_ids"]
        plain = model(
            input_ids=ids,
            labels=batch["labels"],
            mm_token_type_ids=(ids == model.config.image_token_id).int(),
            **images,
        )
    assert parts["answer"].item() == pytest.approx(plain.loss.item(), abs=1e-4)


def test_padding_changes_nothing(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    with torch.no_grad():
        together = dense_loss(model, collate(rows[:3], tokenizer), depths={})[1]["answer"].item()
        weights = [sum(label != IGNORE for label in encode(row, tokenizer)["labels"]) for row in rows[:3]]
        alone = [dense_loss(model, collate([row], tokenizer), depths={})[1]["answer"].item() for row in rows[:3]]
    assert together == pytest.approx(sum(w * a for w, a in zip(weights, alone, strict=True)) / sum(weights), abs=1e-4)


def test_words_and_frames_share_their_directions(tokenizer: Any) -> None:
    nano = build_nano(tokenizer, width=128, layers=2, vision_width=32, vision_layers=1)
    assert fit_tokens(nano, frames=400) > 0.3  # even a blind tower's features tell something of the frames of the fit
    start_words(nano, tokenizer)
    towards, table = directions(128), nano.get_input_embeddings().weight
    for word in (" red", " circle", " teal"):
        ids = tokenizer(word)["input_ids"]
        assert len(ids) == 1
        assert torch.cosine_similarity(table[ids[0]], towards[(word.strip(),)], dim=0) > 0.999
    gram = torch.stack(list(towards.values()))
    torch.testing.assert_close(gram @ gram.T, torch.eye(len(all_names())), atol=1e-5, rtol=0)


def test_a_frame_says_all_that_its_scene_shows() -> None:
    for seed in range(30):
        for scene in sample_video(seed).scenes:
            names = [name for _, name in list_parts(scene)]
            assert set(names) <= set(all_names())
            assert {(thing.colour, thing.shape) for thing in scene.things} <= set(names)
            assert (scene.background,) in names
            assert ((scene.label or "no label"),) in names
            assert label_scene(scene)  # the tower learns the same things


def test_vision_learns_colours_in_seconds(tokenizer: Any) -> None:
    nano = build_nano(tokenizer, width=64, layers=2, vision_width=32, vision_layers=2)
    log: list[dict[str, float]] = []
    train_vision(nano, steps=70, batch=32, lr=3e-3, log=log.append)
    assert log[-1]["background"] >= 0.5  # chance: 1/8
    assert log[-1]["loss"] < 0.75 * log[0]["loss"]


class StopAfter(TrainerCallback):
    """Leaves the training at a step, as if killed: the schedule stays that of all steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop |= state.global_step >= self.step


def test_a_resumed_run_ends_where_an_undisturbed_one_does(tmp_path: Path, bank: Bank, tokenizer: Any) -> None:
    processor = build_processor(tokenizer)
    stream = Batches(bank, tokenizer, [16], TASKS, videos=1, queries=2)

    def fresh() -> Any:
        return build_nano(tokenizer, width=64, layers=2, vision_width=32, vision_layers=1)

    def train(nano: Any, folder: Path, stop: int | None = None) -> Any:
        settings = LanguageSettings(6, warmup=1, depths=DEPTHS, save_every=3, log_every=1)
        train_on_batches(nano, processor, stream, folder, settings, [] if stop is None else [StopAfter(stop)])
        return nano

    straight = train(fresh(), tmp_path / "straight")
    train(fresh(), tmp_path / "broken", stop=3)
    resumed = train(fresh(), tmp_path / "broken")
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert {"step", "loss", "answer", "relevance", "relevance_right"} <= set(lines[0])
