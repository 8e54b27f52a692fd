"""Scores that a language model gave to captions, refined by how well the scenes' pictures go with the query.

    refined = (w_caption * score + w_similarity * similarity on the scale 1 to 5) / (w_caption + w_similarity)

The paper combines both by weights it does not name, so all is a parameter here.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from kframes_training.rows import P1_SCORE, P2_SCORE

LOOKED_UP = ("needle", "attribute", "action", "count", "absent", "given")


@dataclass(frozen=True)
class Refinement:
    """How scores are refined and become priorities.

    Attributes:
        w_caption, w_similarity: weights of the two, >= 0, not both 0. By default a scene that captions call 5 and
            pictures 1 gets 3.8 and is no clip; one that is called 5 stays P1 down to a similarity worth 4.67; and one
            that is called 4 becomes P2 where it is the most alike.
        low, high: similarities that are worth 1 and 5; below and above they are worth no less and no more. None: the
            median and the highest of the query's scenes.
        kinds: of the queries that are refined. "order" and "holistic" are not: what comes after the red ball does not
            look like the red ball.
        p1_score, p2_score: least refined score of a P1 and of a P2 clip, 1 to 5.

    Raises:
        ValueError: a value outside its range.
    """

    w_caption: float = 0.7
    w_similarity: float = 0.3
    low: float | None = None
    high: float | None = None
    kinds: tuple[str, ...] = LOOKED_UP
    p1_score: float = P1_SCORE
    p2_score: float = P2_SCORE

    def __post_init__(self) -> None:
        if min(self.w_caption, self.w_similarity) < 0 or self.w_caption + self.w_similarity <= 0:
            raise ValueError(
                f"w_caption and w_similarity must be >= 0 and not both 0; got {self.w_caption} and {self.w_similarity}"
            )
        if not 1 <= self.p2_score <= self.p1_score:
            raise ValueError(
                f"1 <= p2_score <= p1_score must hold; got p2_score={self.p2_score}, p1_score={self.p1_score}"
            )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low must be below high; got {self.low} and {self.high}")


def refine(scores: Sequence[float], similarities: Sequence[float], rule: Refinement) -> list[float]:
    """The refined score of every scene, 1 to 5, to a hundredth.

    Args:
        scores: from the captions, 1 to 5.
        similarities: of the same scenes, any scale; empty: the scores stay as they are.
        rule: the weights.
    """
    if not similarities:
        return list(scores)
    low = statistics.median(similarities) if rule.low is None else rule.low
    high = max(similarities) if rule.high is None else rule.high
    both = rule.w_caption + rule.w_similarity
    found = []
    for score, similarity in zip(scores, similarities, strict=True):
        share = (similarity - low) / (high - low) if high > low else 0.0
        worth = 1 + 4 * min(1.0, max(0.0, share))
        found.append(round((rule.w_caption * score + rule.w_similarity * worth) / both, 2))
    return found
