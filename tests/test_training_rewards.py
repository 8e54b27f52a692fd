"""The rewards of stage 3 against values computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("trl")

from kframes_training.stages.grpo import reward_functions
from kframes_training.stages.rewards import answer_reward, broken, choose_timestamps, format_reward, oracle_answerer

from kframes_plugin.prompt import PromptFormat

INDEX = PromptFormat(time_format="index", query_position="before", instruction="short")


@pytest.mark.parametrize(
    ("probabilities", "answer", "tau", "expected"),
    [
        ([0.25, 0.25, 0.25, 0.25], 2, 1.0, 0.0),
        ([0.7, 0.1, 0.1, 0.1], 0, 1.0, 0.96),  # ratio 7: (49 - 1) / (49 + 1)
        ([0.1, 0.7, 0.1, 0.1], 0, 1.0, -0.8),  # ratio 1/3: (1/9 - 1) / (1/9 + 1)
        ([0.5, 0.5], 1, 1.0, 0.0),
        ([0.8, 0.2], 0, 2.0, 0.6),  # ratio 4, tau 2: (4 - 1) / (4 + 1)
        ([0.8, 0.2], 0, 0.5, 255 / 257),  # ratio 4, tau .5: (4^4 - 1) / (4^4 + 1)
        ([2.0, 1.0, 3.0], 0, 1.0, 0.0),  # not normalised: 2 against a mean of 2
    ],
)
def test_answer_reward(probabilities: list[float], answer: int, tau: float, expected: float) -> None:
    assert answer_reward(probabilities, answer, tau=tau) == pytest.approx(expected, abs=1e-12)


def test_answer_reward_at_the_ends() -> None:
    assert answer_reward([1.0, 0.0, 0.0], 0) == 1.0
    assert answer_reward([0.0, 0.5, 0.5], 0) == -1.0


BROKEN = [[math.nan, 0.5], [math.inf, 0.5], [-math.inf, 0.5], [0.0, 0.0], [-0.1, 1.1]]


@pytest.mark.parametrize("said", BROKEN)
def test_a_broken_answerer_earns_what_no_preference_earns(said: list[float]) -> None:
    assert broken(said)
    assert answer_reward(said, 0) == answer_reward(said, 1) == 0.0
    assert not broken([0.5, 0.5])


def test_answer_reward_refuses_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="answer=4 of 4"):
        answer_reward([0.25] * 4, 4)
    with pytest.raises(ValueError, match="tau must be > 0; got 0"):
        answer_reward([0.5, 0.5], 0, tau=0)
    for short in ([], [1.0]):
        with pytest.raises(ValueError, match=f"at least 2 options; got answer=0 of {len(short)}"):
            answer_reward(short, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"start":10.0,"end":20.0,"priority":"P1","reason":"a goal"}]', 1.0),
        ("[]", 1.0),
        ('Sure! [{"start":10.0,"end":20.0,"priority":"P1","reason":"a goal"}]', 0.5),
        ('[{"start":10.0,"end":20.0,"priority":"P1","reas', 0.5),
        ("I cannot see it", 0.0),
        ("", 0.0),
    ],
)
def test_format_reward(text: str, expected: float) -> None:
    assert format_reward(text, 100.0) == expected


def test_frames_go_into_the_clip_or_uniformly() -> None:
    inside = choose_timestamps('[{"start":40.0,"end":60.0,"priority":"P1","reason":""}]', 100.0, 4)
    assert len(inside) == 4
    assert all(40 <= time < 60 for time in inside)
    for nothing in ("[]", "no idea"):
        spread = choose_timestamps(nothing, 100.0, 4)
        assert len(spread) == 4
        assert [int(time // 25) for time in spread] == [0, 1, 2, 3]


def test_frames_of_an_answer_in_candidate_numbers() -> None:
    times = [5.0, 15.0, 25.0, 35.0]
    chosen = choose_timestamps('[{"start":1,"end":3,"priority":"P1","reason":""}]', 40.0, 2, fmt=INDEX, times=times)
    assert all(10 <= time < 30 for time in chosen)


def test_oracle_answerer_knows_what_it_has_seen() -> None:
    answer = oracle_answerer([[(0.0, 10.0), (20.0, 30.0)], []], [2, 0])
    assert answer([50.0], 0) == pytest.approx([0.25] * 4)
    assert answer([5.0, 25.0], 0) == pytest.approx([1 / 30, 1 / 30, 0.9, 1 / 30])
    assert answer([5.0, 6.0], 0)[2] == pytest.approx(0.575)
    assert answer([5.0], 1) == pytest.approx([0.25] * 4)


def test_a_better_answer_earns_more() -> None:
    answerer = oracle_answerer([[(40.0, 60.0)]], [1])
    right, wrong, none = (
        answer_reward(answerer(choose_timestamps(text, 1000.0, 4), 0), 1)
        for text in (
            '[{"start":40.0,"end":60.0,"priority":"P1","reason":""}]',
            '[{"start":140.0,"end":160.0,"priority":"P1","reason":""}]',
            "[]",
        )
    )
    assert right == pytest.approx((27**2 - 1) / (27**2 + 1))
    assert wrong == none == pytest.approx(0.0)


# ----------------------------------------------------------------------------------------- as the trainer calls them

GOOD = '[{"start":40.0,"end":60.0,"priority":"P1","reason":""}]'


def batch(*texts: str) -> dict[str, Any]:
    """What TRL passes on: messages, and the columns of the row, one each."""
    count = len(texts)
    return {
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "times": [[25.0, 50.0, 75.0]] * count,
        "duration": [100.0] * count,
        "question": [0] * count,
        "answer": [1] * count,
    }


def test_every_answer_has_a_reward() -> None:
    """k = 4 of 100 s; the evidence is 40-60 s, right option 1 of 4. Evidence seen: p = .9 against .1 / 3, ratio 27."""
    of_answer, of_format = reward_functions(oracle_answerer([[(40.0, 60.0)]], [1]), k=4)
    texts = (
        GOOD,
        GOOD[:-10],  # cut off, mended
        '[{"start":10.0,"end":20.0,"priority":"P1","reason":""}]',  # elsewhere
        '[{"start":"ten","end":null}]',  # nothing to be read: uniform, 12.5, 37.5, 62.5, 87.5 s, misses the evidence
        "no idea",
        "",
        "[]",  # well formed, and uniform too
    )
    seen = (27**2 - 1) / (27**2 + 1)
    assert of_answer(**batch(*texts)) == pytest.approx([seen, seen, 0, 0, 0, 0, 0], abs=1e-12)
    assert of_format(**batch(*texts)) == [1.0, 0.5, 1.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("said", BROKEN)
def test_broken_answers_are_counted(said: list[float]) -> None:
    def answerer(timestamps: Sequence[float], question: int) -> Sequence[float]:
        return said if min(timestamps) >= 40 else [0.2, 0.8]

    logged: dict[str, float] = {}
    of_answer, _ = reward_functions(answerer, k=4)
    earned = of_answer(**batch(GOOD, "[]", "[]", "[]"), log_metric=logged.__setitem__, trainer_state=None)
    assert earned == pytest.approx([0.0] + [(4**2 - 1) / (4**2 + 1)] * 3)
    assert logged == {"broken_answers": 0.25}


def test_an_answerer_of_one_option_or_that_raises_ends_the_training() -> None:
    of_answer, _ = reward_functions(lambda timestamps, question: [1.0])
    with pytest.raises(ValueError, match="at least 2 options; got answer=1 of 1"):
        of_answer(**batch(GOOD))

    def lost(timestamps: Sequence[float], question: int) -> list[float]:
        raise ConnectionError("the answerer is gone")

    of_answer, of_format = reward_functions(lost)
    with pytest.raises(ConnectionError, match="the answerer is gone"):
        of_answer(**batch(GOOD))
    assert of_format(**batch(GOOD)) == [1.0]  # it asks nobody


def test_the_answerer_is_asked_once_for_the_same_frames() -> None:
    asked: list[tuple[tuple[float, ...], int]] = []

    def answerer(timestamps: Sequence[float], question: int) -> list[float]:
        asked.append((tuple(timestamps), question))
        return [0.5, 0.5]

    of_answer, _ = reward_functions(answerer, k=2)
    columns = batch(GOOD, GOOD, "[]", "", GOOD)
    columns["question"][4] = 1
    assert of_answer(**columns) == [0.0] * 5
    assert len(asked) == len(set(asked)) == 3  # the clip, uniform, and the clip for the other question


def test_tau_and_k_reach_the_reward() -> None:
    lengths = []

    def answerer(timestamps: Sequence[float], question: int) -> list[float]:
        lengths.append(len(timestamps))
        return [0.2, 0.8]

    of_answer, _ = reward_functions(answerer, k=3, tau=2.0)
    assert of_answer(**batch(GOOD)) == pytest.approx([(4 - 1) / (4 + 1)])
    assert lengths == [3]
