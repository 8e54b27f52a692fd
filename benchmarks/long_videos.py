"""Make long test videos from public clips: 720p at 25 frames a second, I-frames at a fixed distance.

    python benchmarks/footage/fetch.py clips
    python benchmarks/long_videos.py clips videos --gop 10 --minutes 10,60

Two minutes of the clips are encoded once (H.264, three B-frames, no I-frame at cuts) and copied packet by packet until
the video lasts as long as asked. Names tell what is inside: ``g10_60min.mp4``. Nothing here is random.
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
from decode import repeat_clip
from PIL import Image

from kframes_plugin import VideoError
from kframes_plugin.video import OpenVideo

RATE = 25
SIZE = (1280, 720)
MATERIAL = 120  # seconds that are encoded: a multiple of every --gop of use
A_CLIP = 10  # seconds of one clip, at most


def pictures(path: Path) -> Iterator[Image.Image]:
    """The clip's first seconds at 25 frames a second, scaled to 720p."""
    with OpenVideo(path) as video:
        shown = 0
        for frame in video.frames(SIZE):
            while shown < min(frame.end, A_CLIP) * RATE:
                yield frame.image
                shown += 1
            if shown >= A_CLIP * RATE:
                return


def material(folder: Path) -> Iterator[Image.Image]:
    """The pictures of all clips of a folder, one after the other, again and again."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix not in (".json", ".md")]
    for path in cycle(files):
        try:
            yield from pictures(path)
        except VideoError as error:
            raise SystemExit(f"{path} cannot be read: {error}") from error


def encode(folder: Path, path: Path, gop: int) -> None:
    """Encode two minutes of the clips with an I-frame every ``gop`` seconds."""
    distance = str(gop * RATE)
    options = {"preset": "fast", "crf": "28", "bf": "3", "g": distance, "keyint_min": distance, "sc_threshold": "0"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in islice(material(folder), MATERIAL * RATE):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        output.mux(stream.encode(None))


def build(folder: Path, out: Path, gop: int, minutes: Sequence[float]) -> list[dict[str, object]]:
    """Write one video for every length; returns what each is made of."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        clip = Path(scratch) / "clip.mp4"
        encode(folder, clip, gop)
        made = []
        for length in minutes:
            path = out / f"g{gop}_{length:g}min.mp4"
            made.append({"file": path.name, **repeat_clip(clip, path, length)})
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that footage/fetch.py filled")
    parser.add_argument("out", type=Path)
    parser.add_argument("--gop", type=int, default=10, help="seconds from one I-frame to the next")
    parser.add_argument("--minutes", default="10,60", help="lengths, with commas between them")
    options = parser.parse_args(arguments)
    minutes = [float(part) for part in options.minutes.split(",")]
    for made in build(options.clips, options.out, options.gop, minutes):
        print(json.dumps(made))


if __name__ == "__main__":
    main()
