"""Which stretches of packets are decoded for chosen frames, what that costs, and several of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from kframes_plugin.video.index import FrameIndex

_BRIDGE = 4  # packets; decoding across a gap of this size costs less than draining and seeking
_COSTLY, _COSTLY_EACH = 5000, 10  # packets, in all and a frame, above which a note says so: some seconds of 720p
_LANE_PACKETS = 64  # that each decoder gets at least
_A_LANE_PACKET = 2000  # frames of the file for one more: each reads its tables, of 10 hours 50 to 90 MB in .1 s
_LANE_PIXELS = 4 * 1920 * 1088  # of one picture in all decoders together; each holds up to 16 pictures
Decoded = TypeVar("Decoded")


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


def count_packets(runs: Sequence[Run]) -> int:
    """Packets that are read for the runs."""
    return sum(run.last - run.first + 1 for run in runs)


def count_lanes(index: FrameIndex, runs: Sequence[Run], pixels: int, most: int) -> int:
    """How many decoders the runs are worth, 0 to ``most``, for pictures of so many pixels."""
    least = _LANE_PACKETS + len(index) // _A_LANE_PACKET
    return min(most, len(runs), count_packets(runs) // least, _LANE_PIXELS // pixels)


def side_by_side(decode: Callable[[Run, int], list[Decoded]], runs: Sequence[Run], lanes: int) -> Iterator[Decoded]:
    """What ``decode(run, lane)`` gives for all runs, in their order; lanes 0 to ``lanes`` - 1 work at once."""
    free = SimpleQueue[int]()
    for lane in range(lanes):
        free.put(lane)

    context = copy_context()  # threads must see whether somebody still waits

    def work(run: Run) -> list[Decoded]:
        lane = free.get()
        try:
            return context.copy().run(decode, run, lane)
        finally:
            free.put(lane)

    with ThreadPoolExecutor(lanes, "kframes-decoder") as pool:
        for decoded in pool.map(work, runs):
            yield from decoded


def tell_cost(index: FrameIndex, frames: int, packets: int) -> str:
    """What so many frames cost where they cost many packets each, as a sentence; "" where they do not."""
    if packets <= max(_COSTLY, _COSTLY_EACH * frames):
        return ""
    known = len(index.keys)
    return (
        f"an I-frame every {index.duration / known:.0f} s: {frames} frames cost {packets:,} packets decoded on "
        f"the way; {known} or fewer candidates cost about one each"
    )
