"""A clip as an animated GIF or WebP, small enough to be sent around."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from kframes_plugin.types import Clip
from kframes_plugin.video import OpenVideo

LONG_SIDE = 480  # pixels, at most
RATE = 10.0  # pictures a second, at most
MOST_PICTURES = 200  # of one file; long clips have fewer a second
_SMALL = (128, 96)  # pixels
_LOOKED_AT = 16  # pictures, at most, from which the colours of a GIF come


def animate(video: OpenVideo, clip: Clip, kind: str) -> bytes:
    """The pictures of a clip, evenly spread, in the time that they take; it begins anew at its end.

    Args:
        video: still open.
        clip: a part of it is enough: what lies behind the end of the video is left out.
        kind: "gif" or "webp".
    """
    end = min(clip.end, video.duration)
    start = min(clip.start, float(video.timestamps[-1]))
    count = max(1, min(MOST_PICTURES, round((end - start) * min(RATE, video.frame_rate))))
    edges = np.linspace(start, end, count + 1)
    pictures = [frame.image for frame in video.frames_at(edges[:-1].tolist(), LONG_SIDE, keep=False)]
    stands = np.diff(np.round(edges * 100)).astype(int) * 10  # ms; a GIF counts hundredths
    out = io.BytesIO()
    options = {"quality": 80} if kind == "webp" else {}
    if kind == "gif":
        pictures = _in_few_colours(pictures)
    pictures[0].save(
        out,
        kind,
        save_all=True,
        append_images=pictures[1:],
        duration=np.maximum(stands, 20).tolist(),
        loop=0,
        **options,
    )
    return out.getvalue()


def _in_few_colours(pictures: list[Image.Image]) -> list[Image.Image]:
    """The pictures in 256 colours, the same ones for all: that is quick, and what stands still does not flicker."""
    shown = [np.asarray(picture.resize(_SMALL)) for picture in pictures[:: -(-len(pictures) // _LOOKED_AT)]]
    colours = Image.fromarray(np.concatenate(shown)).quantize(256)
    return [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
