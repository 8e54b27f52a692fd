"""Make long test videos from public clips, at 25 frames a second.

    python benchmarks/footage/fetch.py clips
    python benchmarks/long_videos.py clips videos --gop 10 --minutes 10,60
    python benchmarks/long_videos.py clips videos --codecs hevc,vp9,av1 --size 426x240

Two minutes of the clips are encoded once and copied packet by packet until the video lasts as long as asked. With
--gop: H.264, three B-frames, an I-frame every so many seconds, none at cuts; ``g10_60min.mp4``. With --codecs:
I-frames where each encoder puts them by itself; ``hevc_60min.mp4``. Nothing here is random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from av.video.stream import VideoStream
from decode import repeat_clip
from PIL import Image

from kframes_plugin import VideoError
from kframes_plugin.video import OpenVideo

RATE = 25
SIZE = (1280, 720)
Pixels = tuple[int, int]
# encoder, its options, container
ENCODERS = {
    "h264": ("libx264", {"preset": "fast", "crf": "28", "bf": "3"}, "mp4"),
    "hevc": ("libx265", {"preset": "fast", "crf": "30", "x265-params": "log-level=error"}, "mp4"),
    "vp9": ("libvpx-vp9", {"deadline": "good", "cpu-used": "5", "crf": "36", "b": "0"}, "webm"),
    "av1": ("libsvtav1", {"preset": "10", "crf": "40"}, "mp4"),
}
MATERIAL = 120  # seconds that are encoded: a multiple of every --gop of use
A_CLIP = 10  # seconds of one clip, at most


def pictures(path: Path, size: Pixels) -> Iterator[Image.Image]:
    """The clip's first seconds at 25 frames a second, scaled to that size."""
    with OpenVideo(path) as video:
        shown = 0
        for frame in video.frames(size):
            while shown < min(frame.end, A_CLIP) * RATE:
                yield frame.image
                shown += 1
            if shown >= A_CLIP * RATE:
                return


def material(folder: Path, size: Pixels) -> Iterator[Image.Image]:
    """The pictures of all clips of a folder, one after the other, again and again."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix not in (".json", ".md")]
    for path in cycle(files):
        try:
            yield from pictures(path, size)
        except VideoError as error:
            raise SystemExit(f"{path} cannot be read: {error}") from error


def encode(folder: Path, path: Path, codec: str, size: Pixels, gop: int | None) -> None:
    """Encode two minutes of the clips; ``gop``: seconds between I-frames, None: where the encoder puts them."""
    name, options, _ = ENCODERS[codec]
    if gop is not None:
        options = options | {"g": str(gop * RATE), "keyint_min": str(gop * RATE), "sc_threshold": "0"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(name, rate=RATE, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in islice(material(folder, size), MATERIAL * RATE):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        output.mux(stream.encode(None))


def build(
    folder: Path, out: Path, minutes: Sequence[float], *, codec: str = "h264", size: Pixels = SIZE, gop: int | None
) -> list[dict[str, object]]:
    """Write one video for every length; returns what each is made of."""
    out.mkdir(parents=True, exist_ok=True)
    suffix = ENCODERS[codec][2]
    with TemporaryDirectory() as scratch:
        clip = Path(scratch) / f"clip.{suffix}"
        encode(folder, clip, codec, size, gop)
        made = []
        for length in minutes:
            path = out / f"{codec if gop is None else f'g{gop}'}_{length:g}min.{suffix}"
            made.append({"file": path.name, **repeat_clip(clip, path, length)})
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that footage/fetch.py filled")
    parser.add_argument("out", type=Path)
    parser.add_argument("--gop", type=int, default=10, help="seconds from one I-frame to the next")
    parser.add_argument("--codecs", help=f"of {','.join(ENCODERS)}: with their encoders' own I-frames")
    parser.add_argument("--size", default="{}x{}".format(*SIZE), help="pixels")
    parser.add_argument("--minutes", default="10,60", help="lengths, with commas between them")
    options = parser.parse_args(arguments)
    minutes = [float(part) for part in options.minutes.split(",")]
    width, height = (int(part) for part in options.size.split("x"))
    jobs = [(codec, None) for codec in options.codecs.split(",")] if options.codecs else [("h264", options.gop)]
    for codec, gop in jobs:
        for made in build(options.clips, options.out, minutes, codec=codec, size=(width, height), gop=gop):
            print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
