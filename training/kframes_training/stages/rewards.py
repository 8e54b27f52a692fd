"""What GRPO rewards: plain functions of plain values.

answer -> clips (prompt.py) -> k timestamps (allocation.py) -> p(option) of a frozen answerer -> answer_reward
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, parse_clips
from kframes_plugin.types import Clip, Strategy

TAU = 1.0  # the paper's temperature is not known to us
NEUTRAL = 0.0  # when the answerer said nothing that can be read
MENDED = ("answer-repaired", "answer-unreadable")  # codes of notes: the answer was not in the wire form

# (timestamps of the k frames in seconds, index of the question) -> probability of every option
Answerer = Callable[[Sequence[float], int], Sequence[float]]


def answer_reward(probabilities: Sequence[float], answer: int, *, tau: float = TAU) -> float:
    """tanh((1 / tau) * log(p(answer) / mean of the wrong options' p)): the paper's reward of stage 3.

    Args:
        probabilities: of every option, >= 0, at least two; they need not add up to 1.
        answer: index of the right option.
        tau: temperature, > 0.

    Returns:
        -1 to 1; 0 where the answerer has no preference. Only the right option possible: 1; impossible: -1. A broken
        answerer (NaN, infinite, negative or all zero) gives ``NEUTRAL``, 0, which is what no preference earns.

    Raises:
        ValueError: fewer than two options, ``answer`` is none of them, or tau <= 0.
    """
    if len(probabilities) < 2 or not 0 <= answer < len(probabilities):
        raise ValueError(f"answer must be one of at least 2 options; got answer={answer} of {len(probabilities)}")
    if tau <= 0:
        raise ValueError(f"tau must be > 0; got {tau}")
    if broken(probabilities):
        return NEUTRAL
    right = probabilities[answer]
    wrong = (sum(probabilities) - right) / (len(probabilities) - 1)
    if right <= 0 or wrong <= 0:
        return 1.0 if right > 0 else -1.0
    return math.tanh(math.log(right / wrong) / tau)


def broken(probabilities: Sequence[float]) -> bool:
    """Whether an answerer said nothing that can be read: NaN, infinite, negative or all zero."""
    return not all(math.isfinite(p) and p >= 0 for p in probabilities) or not any(probabilities)


def format_reward(
    text: str, duration: float, *, fmt: PromptFormat = DEFAULT_FORMAT, times: Sequence[float] | None = None
) -> float:
    """1 for an answer in the wire form, .5 for one that had to be repaired, 0 where no clip could be read.

    Args:
        text: what the model wrote.
        duration: of the video, seconds.
        fmt, times: as :func:`kframes_plugin.prompt.parse_clips`.

    Returns:
        0, .5 or 1. ``[]`` is well formed: 1.
    """
    clips = parse_clips(text, duration, fmt=fmt, times=times)
    if not any(note.code in MENDED for note in clips.notes):
        return 1.0
    return 0.5 if clips else 0.0


def choose_timestamps(
    text: str,
    duration: float,
    k: int,
    *,
    fmt: PromptFormat = DEFAULT_FORMAT,
    times: Sequence[float] | None = None,
    frame_rate: float = 4.0,
    strategy: Strategy = "focused",
) -> list[float]:
    """The k timestamps that an answer leads to, by the allocation of the library (no clips: uniform).

    Args:
        text: what the model wrote.
        duration: of the video, seconds.
        k: frames for the answerer, >= 1.
        fmt, times: as :func:`kframes_plugin.prompt.parse_clips`.
        frame_rate: frames of the video that may be chosen, per second.
        strategy: as :func:`kframes_plugin.clips.allocation.allocate`.
    """
    clips: Sequence[Clip] = parse_clips(text, duration, fmt=fmt, times=times)
    count = max(1, round(duration * frame_rate))
    grid = [i / frame_rate for i in range(count) if i / frame_rate < duration] or [0.0]
    return allocate(clips, k, grid, duration, strategy=strategy)


def oracle_answerer(
    evidence: Sequence[Sequence[tuple[float, float]]],
    answers: Sequence[int],
    *,
    options: Sequence[int] | int = 4,
    sure: float = 0.9,
) -> Answerer:
    """An answerer that knows: the more evidence spans hold a frame, the surer it is of the right option.

    Args:
        evidence: for every question its spans, seconds.
        answers: for every question the index of the right option.
        options: their number, for every question or for all.
        sure: probability of the right option when every span holds a frame; with none all are as likely.
    """

    def answer(timestamps: Sequence[float], question: int) -> list[float]:
        spans, count = evidence[question], options if isinstance(options, int) else options[question]
        seen = sum(any(start <= time < end for time in timestamps) for start, end in spans)
        right = 1 / count + (sure - 1 / count) * (seen / len(spans) if spans else 0.0)
        rest = (1 - right) / (count - 1)
        return [right if option == answers[question] else rest for option in range(count)]

    return answer
