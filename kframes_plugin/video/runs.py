"""Which stretches of packets are decoded for chosen frames, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kframes_plugin.video.index import FrameIndex

_BRIDGE = 4  # packets; decoding across a gap of this size costs less than draining and seeking
_COSTLY, _COSTLY_EACH = 5000, 10  # packets, in all and a frame, above which a note says so: some seconds of 720p


@dataclass
class Run:
    """One stretch of decoding: from key number ``key`` to packet ``last``, for the frames ``ranks``."""

    key: int
    first: int
    last: int
    ranks: list[int] = field(default_factory=list)


def plan_runs(index: FrameIndex, ranks: Sequence[int]) -> list[Run]:
    """The cheapest runs for rising ranks: a new one wherever seeking beats decoding on."""
    runs: list[Run] = []
    for rank in ranks:
        key, packet = index.key_of(rank), int(index.packets[rank])
        first = int(index.keys[key])
        if not runs or first > runs[-1].last + _BRIDGE:
            runs.append(Run(key, first, packet))
        runs[-1].last = max(runs[-1].last, packet)
        runs[-1].ranks.append(rank)
    return runs


def tell_cost(index: FrameIndex, frames: int, packets: int) -> str:
    """What so many frames cost where they cost many packets each, as a sentence; "" where they do not."""
    if packets <= max(_COSTLY, _COSTLY_EACH * frames):
        return ""
    known = len(index.keys)
    return (
        f"an I-frame every {index.duration / known:.0f} s: {frames} frames cost {packets:,} packets decoded on "
        f"the way; {known} or fewer candidates cost about one each"
    )
