"""Stages 1 and 2 each learn by themselves: minutes on a core, from a fresh language model with nano's own eyes.

Captions are a task of stage 1 that needs a time of its own here: in the mixture of minutes they are written without
looking. The scenes of the tests come from the dev split, never from training.
"""

from __future__ import annotations

from copy import deepcopy
from random import Random
from statistics import mean
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
from kframes_training.nano.data import Bank, Batches, build_bank
from kframes_training.nano.dense import embed
from kframes_training.nano.encoding import FORMAT, Row, prompt_ids
from kframes_training.nano.frame_attributes import start_words
from kframes_training.nano.model import build_nano, build_processor
from kframes_training.nano.recipe import load_tokenizer
from kframes_training.nano.training import LanguageSettings, train_on_batches
from kframes_training.sources.synthscenes.world import SPLITS
from kframes_training.stages.shared_prompt import pad_left
from transformers import Qwen2_5_VLForConditionalGeneration

from kframes_plugin.clips.geometry import iou
from kframes_plugin.prompt import parse_clips
from kframes_plugin.selectors.load import NANO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
T = 16
CLIPS = {"needle": 6.0, "attribute": 2.0, "action": 1.5}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(NANO)


@pytest.fixture(scope="module")
def fresh(tokenizer: Any) -> Any:
    """nano with its trained vision tower and an untrained language model."""
    shipped = Qwen2_5_VLForConditionalGeneration.from_pretrained(NANO, dtype="float32")
    text, vision = shipped.config.text_config, shipped.config.vision_config
    model = build_nano(
        tokenizer,
        0,
        width=text.hidden_size,
        layers=text.num_hidden_layers,
        vision_width=vision.hidden_size,
        vision_layers=vision.depth,
    )
    model.model.visual.load_state_dict(shipped.model.visual.state_dict())
    start_words(model, tokenizer)
    return model


@pytest.fixture(scope="module")
def taught(fresh: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Bank]:
    """What is measured before training, after stage 1 and after stage 2; and the held-out scenes."""
    bank, held_out = (build_bank(fresh, SPLITS[split][:count], 3) for split, count in (("train", 200), ("dev", 40)))
    folder, processor = tmp_path_factory.mktemp("runs"), build_processor(tokenizer)

    def train(name: str, tasks: dict[str, float], steps: int, *, written: bool = True, model: Any = fresh) -> None:
        stream = Batches(bank, tokenizer, [T], tasks, 6, 4, seed=len(name), write=written)
        settings = LanguageSettings(steps, lr=1.5e-3, decay=0.2, write=written)
        train_on_batches(model, processor, stream, folder / name, settings)

    scores = {"fresh": measured(fresh, tokenizer, held_out)}
    train("words", {"word": 1.0}, 400, written=False)
    train("stage1", {"word": 1.0, "ground": 4.0, "describe": 1.0, "score": 1.0}, 500)
    scores["stage1"] = measured(fresh, tokenizer, held_out)
    writer = deepcopy(fresh)
    train("captions", {"describe": 1.0}, 250, model=writer)
    scores["captions"] = measured(writer, tokenizer, held_out)
    train("stage2", CLIPS, 300)
    scores["stage2"] = measured(fresh, tokenizer, held_out)
    print(scores)
    return scores, held_out


def rows_of(tokenizer: Any, bank: Bank, kind: str, count: int = 120) -> list[Row]:
    stream = Batches(bank, tokenizer, [T], {kind: 1.0}, 4, 2, seed=7)
    return [row for index in range(count // 8) for row in stream.rows(index)]


def measured(model: Any, tokenizer: Any, bank: Bank) -> dict[str, float]:
    """On held-out scenes: IoU of a caption's span, share of a caption's words that are right, IoU of needles."""
    model.eval()
    found: dict[str, float] = {}
    for kind in ("ground", "needle", "describe"):
        rows = rows_of(tokenizer, bank, kind)
        written = write_answers(model, tokenizer, rows)
        score = shared_words if kind == "describe" else clip_iou
        found[kind] = mean(score(answer, row.answer) for answer, row in zip(written, rows, strict=True))
    return found


@torch.no_grad()
def write_answers(model: Any, tokenizer: Any, rows: list[Row], longest: int = 64) -> list[str]:
    """What the model writes to the prompts of the rows, in one batch."""
    prompts = [prompt_ids(row, tokenizer) for row in rows]
    ids, mask = pad_left(prompts, tokenizer.pad_token_id), pad_left([[1] * len(prompt) for prompt in prompts], 0)
    embeds = embed(model, ids, torch.cat([row.tokens for row in rows]))
    tokens = model.generate(inputs_embeds=embeds, attention_mask=mask, max_new_tokens=longest, do_sample=False)
    return tokenizer.batch_decode(tokens, skip_special_tokens=True)


def clip_iou(written: str, true: str) -> float:
    """IoU in frames of the clips of two texts."""
    times = [float(index) for index in range(T)]
    spans = [
        [(c.start, c.end) for c in parse_clips(text, float(T), fmt=FORMAT, times=times)] for text in (written, true)
    ]
    return iou(*spans)


def shared_words(one: str, other: str) -> float:
    """Words that both have over words that one of them has."""
    mine, its = set(one.split()), set(other.split())
    return len(mine & its) / len(mine | its)


def chance(tokenizer: Any, bank: Bank, kind: str) -> float:
    """The score of another row's true answer: what knowing only the language, or the usual lengths, is worth."""
    rows = rows_of(tokenizer, bank, kind)
    others = [row.answer for row in rows]
    Random(0).shuffle(others)
    score = shared_words if kind == "describe" else clip_iou
    return mean(score(answer, row.answer) for answer, row in zip(others, rows, strict=True))


def test_stage_1_learns_to_ground_captions(taught: Any, tokenizer: Any) -> None:
    scores, bank = taught
    assert scores["fresh"]["ground"] < 0.05
    assert scores["stage1"]["ground"] > chance(tokenizer, bank, "ground") + 0.2, scores


def test_stage_1_learns_to_caption(taught: Any, tokenizer: Any) -> None:
    scores, bank = taught
    assert scores["fresh"]["describe"] < 0.05
    assert scores["captions"]["describe"] > chance(tokenizer, bank, "describe") + 0.1, scores


def test_stage_2_learns_clips(taught: Any, tokenizer: Any) -> None:
    scores, bank = taught
    assert scores["stage2"]["needle"] > chance(tokenizer, bank, "needle") + 0.2, scores
    assert scores["stage2"]["needle"] > scores["stage1"]["needle"] + 0.05, scores
