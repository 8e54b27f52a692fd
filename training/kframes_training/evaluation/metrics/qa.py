"""Right and wrong answers: accuracy with an interval over videos, and two selectors on the same questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kframes_training.evaluation.statistics import (
    ByVideo,
    Estimate,
    difference,
    discordant,
    estimate,
    mcnemar,
    plain,
)


@dataclass(frozen=True)
class Comparison:
    """Two selectors on the same questions.

    Attributes:
        difference: of the accuracies, one - other, with its interval by paired bootstrap over videos.
        only_one, only_other: questions that only one of them has right.
        p: of McNemar's exact test, two-sided.
    """

    difference: Estimate
    only_one: int
    only_other: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "difference": plain(self.difference)}


def accuracy(right: ByVideo) -> Estimate:
    """Share of right answers with the interval of 95% by bootstrap over videos.

    Args:
        right: of every video 1 or 0 for each of its questions.

    Raises:
        ValueError: no question, or a value that is neither 0 nor 1.
    """
    _zeros_and_ones(right)
    return estimate(right)


def compare(one: ByVideo, other: ByVideo) -> Comparison:
    """Paired: the same questions of the same videos, in the same order.

    Raises:
        ValueError: no video in common, different numbers of questions, or a value that is neither 0 nor 1.
    """
    for side in (one, other):
        _zeros_and_ones(side)
    only_one, only_other = discordant(one, other)
    return Comparison(difference(one, other), only_one, only_other, mcnemar(only_one, only_other))


def _zeros_and_ones(right: ByVideo) -> None:
    for video, values in right.items():
        if wrong := [value for value in values if value not in (0, 1)]:
            raise ValueError(f"answers are right (1) or wrong (0); {video} has {wrong[0]}")
