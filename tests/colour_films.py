"""Tiny films of plain colours, and an embedder that knows colours: search without a model.

Run as a program it builds an index, one line a film that it embeds: ``python colour_films.py FOLDER SECONDS``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin import KFrames
from kframes_plugin.types import Clip, Frame

COLOURS = {"red": (230, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 230), "gray": (110, 110, 110)}


def make_film(path: Path, *parts: tuple[str, float], rate: int = 4, gop: int = 250) -> Path:
    """A film of parts, each a colour and its seconds; ``gop`` frames from I-frame to I-frame."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = path.stem  # no two films are of one content
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = gop
        colours = [COLOURS[colour] for colour, seconds in parts for _ in range(round(seconds * rate))]
        for number, colour in enumerate(colours):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), colour))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class Colours:
    """A selector that embeds frames by their mean colour; it notes how many frames it embedded, and takes its time."""

    name, embedding_key, candidates, frame_size = "colours", "mean colours 1", 16, 32

    def __init__(self, seconds: float = 0.0, out: Any = None) -> None:
        self.seconds, self.out = seconds, out
        self.embedded = 0

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        rows = self.embed(frames)
        best = frames[int(self.score_embedded(rows, query, scenes=np.arange(len(rows))).argmax())]
        return [Clip(best.timestamp, best.timestamp + 0.5, score=0.9)]

    def embed(self, frames: Sequence[Frame], /) -> NDArray[np.float32]:
        self.embedded += len(frames)
        time.sleep(self.seconds)
        if self.out is not None:
            print("embedded", frames[0].image.getpixel((0, 0)), file=self.out, flush=True)
        rows = np.stack([np.asarray(frame.image, np.float32).mean(axis=(0, 1)) for frame in frames])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def score_embedded(self, rows: NDArray[Any], query: str, /, *, scenes: NDArray[np.int64]) -> NDArray[np.float32]:
        wanted = np.array(COLOURS[query], np.float32)
        return np.asarray(rows, np.float32) @ (wanted / np.linalg.norm(wanted))


if __name__ == "__main__":
    made = KFrames(Colours(float(sys.argv[2]), sys.stdout)).searcher.build(sys.argv[1])
    print("errors", sum(map(bool, made.values())), "of", len(made), flush=True)
