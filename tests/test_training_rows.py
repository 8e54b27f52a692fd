"""Rows of images for the trainers, painted now or when they are read, and the rewards on them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("trl")

from kframes_training.sources.synthscenes import sample_video
from kframes_training.stages.grpo import join_text, reward_functions
from kframes_training.stages.rewards import oracle_answerer
from kframes_training.stages.synthscenes_rows import grpo_dataset, grpo_rows, paint_candidates, sft_dataset

from kframes_plugin.prompt import PromptFormat

INDEX = PromptFormat(time_format="index", query_position="before", instruction="short")


def test_image_rows_hold_the_prompt_and_the_answer() -> None:
    rows = sft_dataset([3], candidates=5, size=(56, 42), tasks={"needle": 1, "absent": 1}, rows_per_video=3)
    assert len(rows) == 3
    for row in rows:
        content = row["prompt"][0]["content"]
        assert sum(item["type"] == "image" for item in content) == len(row["images"]) == 5
        assert row["images"][0].size == (56, 42)
        assert json.loads(row["completion"][0]["content"][0]["text"]) is not None
    with pytest.raises(ValueError, match="got nedle"):
        sft_dataset([3], candidates=5, size=(56, 42), tasks={"nedle": 1})


def test_rows_of_stage_3_are_the_same_painted_now_or_later() -> None:
    rows, asked = grpo_rows([11, 12], candidates=3, size=(56, 56), fmt=INDEX)
    later, asked_later = grpo_dataset([11, 12], candidates=3, size=(56, 56), fmt=INDEX)
    assert asked == asked_later
    assert len(rows) == len(later) == len(asked)
    last = later[len(rows) - 1]
    assert {**last, "images": None} == {**rows[-1], "images": None}
    assert [image.tobytes() for image in last["images"]] == [image.tobytes() for image in rows[-1]["images"]]
    twice = later[[0, 0]]
    assert twice["images"][0] is twice["images"][1]


def test_painted_frames_are_candidates_that_cover_the_video() -> None:
    video = sample_video(5)
    frames = paint_candidates(video, 10, (56, 56))
    assert frames.duration == video.duration
    assert frames[0].timestamp == pytest.approx(video.duration / 20)
    assert sum(frame.duration for frame in frames) == pytest.approx(video.duration)


def test_rewards_in_the_form_of_trl() -> None:
    rows, asked = grpo_rows([11], candidates=8, size=(56, 56), fmt=INDEX)
    video, question = asked[0]
    spans = [[(video.scenes[i].start, video.scenes[i].end) for i in q.evidence] for _, q in asked]
    of_answer, of_format = reward_functions(oracle_answerer(spans, [q.answer for _, q in asked]), k=4, fmt=INDEX)
    columns = {key: [rows[0][key]] * 2 for key in ("times", "duration", "question", "answer")}
    start, end = spans[0][0]
    inside = [i for i, time in enumerate(rows[0]["times"]) if start <= time < end] or [0]
    good = f'[{{"start":{inside[0]},"end":{inside[-1] + 1},"priority":"P1","reason":"x"}}]'
    messages = [[{"role": "assistant", "content": good}], [{"role": "assistant", "content": "what?"}]]
    earned = of_answer(messages, **columns)
    assert earned[0] > 0.5
    assert earned[0] >= earned[1]
    assert of_format(messages, **columns) == [1.0, 0.0]
    assert join_text([{"role": "assistant", "content": [{"type": "text", "text": "[]"}]}]) == join_text("[]") == "[]"
    assert question.text in rows[0]["prompt"][0]["content"][0]["text"]
