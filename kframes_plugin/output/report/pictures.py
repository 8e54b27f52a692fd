"""Which pictures a report holds: those of the frames that any k can show, as far as little decoding gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.chat.images import data_url, jpeg
from kframes_plugin.keyframes import choose_times

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection
    from kframes_plugin.types import Strategy
    from kframes_plugin.video import OpenVideo

MOST_K = 64  # of the slider, where the selection has no more itself
# Characters of all pictures of a page, and of the large ones. The rest is some 300 kB, so a page stays below 5 MB.
BYTES, LARGE_BYTES = 4_500_000, 2_500_000
SIDES = (960, 640, 480, 320, 200)  # long side of the frames of the chosen k, the largest that fits
SAMPLED = 6  # frames that tell how large all will be
SMALL_SIDE, SMALL_QUALITY = 176, 60
# What decoding may cost, in frames of 1280 x 720 that depend on others (1.6 ms each); an I-frame, with its seek, is as
# four (6 ms). So the pictures of a page take a second at most, whatever the video. Cheap frames come before others.
BUDGET, I_FRAME, CHEAP, PIXELS = 500.0, 4.0, 8.0, 1280 * 720


def large_pictures(selection: Selection) -> list[str]:
    """The frames of the selection as data URLs of JPEGs, as large as fits: mostly 960 pixels for 8, 480 for 64."""
    images = selection.images
    for side in SIDES:
        sample = [_shrunk(image, side) for image in images[:: -(-len(images) // SAMPLED)]]
        if sum(map(len, sample)) * len(images) > LARGE_BYTES * len(sample) and side > SIDES[-1]:
            continue
        pictures = [_shrunk(image, side) for image in images]
        if sum(map(len, pictures)) <= LARGE_BYTES:
            break
    return pictures


def _shrunk(image: Image.Image, side: int, quality: int = 75) -> str:
    """A picture as data URL of a JPEG of that long side at most."""
    scale = min(1.0, side / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
    return data_url(jpeg(small, long_side=None, quality=quality))


def small_pictures(selection: Selection, video: OpenVideo, room: int) -> list[tuple[float, str]]:
    """(time, data URL) of the other frames that some k can show, in time order; all together in so many bytes.

    Those of the selection's own strategy come first, then those of uniform sampling, each from small k to large. Frames
    that an open session keeps cost nothing. Of the others as many are decoded as the budget allows.
    """
    own = set(selection.timestamps)
    union = [time for time in dict.fromkeys(_union(selection, video)) if time not in own]
    kept = video.kept_pictures(union)
    decoded = _affordable([time for time in union if time not in kept], video)
    frames = video.frames_at(decoded, size=SMALL_SIDE, keep=False)
    pictures = kept | {time: frame.image for time, frame in zip(decoded, frames, strict=True)}
    held = {}
    for time in (time for time in union if time in pictures):
        held[time] = _shrunk(pictures[time], SMALL_SIDE, SMALL_QUALITY)
        room -= len(held[time])
        if room < 0:
            held.popitem()
            break
    return sorted(held.items())


def _union(selection: Selection, video: OpenVideo) -> Iterable[float]:
    """The times of the frames of every k: those of the selection's strategy, then uniform; with repeats."""
    strategies: tuple[Strategy, Strategy] = (selection.sampling.strategy, "uniform")
    return chain.from_iterable(
        choose_times(
            video,
            selection.clips,
            k,
            replace(selection.sampling, strategy=strategy),
            nearest=selection.nearest,
            scenes=selection.scenes,
        )[0]
        for strategy in strategies
        for k in range(1, MOST_K + 1)
    )


def _affordable(times: Sequence[float], video: OpenVideo) -> list[float]:
    """Those of the times whose frames the budget pays for; frames of one I-frame share what is decoded.

    Cheap ones are served first, in order, then the others, in order.
    """
    starts: NDArray[np.int64] = np.flatnonzero(video.is_i_frame)
    needed = video.needed if video.needed.any() or not video.path else np.arange(1, len(video.timestamps) + 1)
    pixels = video.width * video.height / PIXELS
    left, reached, paid = BUDGET, dict[int, int](), set[float]()
    for most in (CHEAP, BUDGET):
        for time in times:
            rank = int(np.searchsorted(video.timestamps, time))
            place = int(np.searchsorted(starts, rank, side="right")) - 1
            start = int(starts[place]) if place >= 0 else 0
            packets = int(needed[rank])
            cost = max(0, packets - reached[start]) if start in reached else I_FRAME + packets - 1
            if time not in paid and cost <= most and cost * pixels <= left:
                left -= cost * pixels
                reached[start] = max(packets, reached.get(start, 0))
                paid.add(time)
    return [time for time in times if time in paid]
