"""The ceiling: frames inside the true spans. It looks at the truth; print it in every table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.types import Clip, Span
from kframes_training.evaluation.baselines.common import Floats
from kframes_training.evaluation.baselines.uniform import uniform_midpoint


def oracle(
    scores: Floats, times: Floats, k: int, *, duration: float, truth: Sequence[Span] = (), **unused: Any
) -> list[int]:
    """k frames spread over the true spans by their lengths, every span served first; others only where they hold fewer.

    Args:
        truth: the true spans, seconds; none: uniform.
    """
    spans = [Clip(start, end) for start, end in truth if 0 <= start < end]
    if not spans:
        return uniform_midpoint(scores, times, k, duration=duration)
    place = {float(time): index for index, time in enumerate(times)}
    return [place[time] for time in allocate(spans, k, times, duration, strategy="focused")]
