"""Make examples/sample.mp4, a film of photographs that anyone may redistribute, and write the truth to sample.json.

    python examples/make_sample.py [FOLDER]

The photographs are in the public domain or under CC0 and ship in scikit-image's wheel; nothing is downloaded. A shot
moves slowly over one of them. sample.json holds "queries" (query, and "clips": the true spans in seconds, none where
nothing matches), "cuts" (seconds), "dissolves" (spans of seconds) and "photos" (who made them, licence, source).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from PIL import Image

SIZE, FPS, GOP = (640, 360), 12, 96  # pixels, frames a second, frames between I-frames
DISSOLVE = 12  # frames, half of them on either side of the boundary; a fade from or to black takes as many
ENCODER = {"preset": "veryfast", "crf": "27", "threads": "1"}
Box = tuple[float, float, float]  # left, top, width in pixels of the photograph; the height follows from SIZE

NASA = "NASA; public domain"
CC0 = "CC0 1.0"
PHOTOS = {
    "hubble_deep_field.jpg": ("NASA and ESA, Hubble eXtreme Deep Field", NASA, "hubblesite.org, release 2012/37"),
    "rocket.jpg": ("SpaceX, Falcon 9 with DSCOVR", "public domain", "flickr.com/photos/spacexphotos/16511594820"),
    "astronaut.png": ("NASA, Eileen Collins", NASA, "flic.kr/p/r9qvLn"),
    "coffee.png": ("Rachel Michetti, courtesy of Pikolo Espresso Bar", CC0, "scikit-image"),
    "chelsea.png": ("Stefan van der Walt, Chelsea the cat", CC0, "scikit-image"),
    "camera.png": ("Lav Varshney", CC0, "scikit-image"),
    "brick.png": ("cc0textures.com, Bricks25", CC0, "cc0textures.com"),
    "grass.png": ("linolafett, Grass 01", CC0, "deviantart.com/linolafett"),
    "gravel.png": ("cc0textures.com, Gravel04", CC0, "cc0textures.com"),
    "retina.jpg": ("Mikael Häggström, fundus of a normal left eye", CC0, "doi.org/10.15347/wjm/2014.008"),
}


@dataclass(frozen=True)
class Shot:
    """A slow move over one photograph."""

    photo: str  # file of scikit-image
    seconds: int  # length, dissolves included
    first: Box  # what the first frame shows
    last: Box  # what the last frame shows
    shows: tuple[str, ...]  # queries that this shot answers
    dissolve: bool = False  # whether it comes in by a dissolve; a hard cut otherwise


SPACE, ROCKET, SUIT = "stars and galaxies", "a rocket on its launch pad", "an astronaut in an orange space suit"
CUP, CAT, CAMERA = "a cup of coffee", "find the cat", "the man with a camera on a tripod"
BRICKS, GRASS, STONES, EYE = "a brick wall", "grass", "gravel, many small stones", "blood vessels inside an eye"
SHUTTLE, SPOON, GREY = "the model of a space shuttle", "where do we see the spoon?", "pictures in black and white"
QUERIES = (CAT, CAMERA, CUP, ROCKET, SUIT, SPACE, SHUTTLE, SPOON, BRICKS, GRASS, STONES, EYE, GREY)
NOTHING = ("a dog on the beach", "a birthday cake with candles")  # queries that no shot answers

SHOTS = (
    Shot("hubble_deep_field.jpg", 7, (0, 150, 1000), (180, 260, 620), (SPACE,), dissolve=True),
    Shot("rocket.jpg", 7, (0, 67, 640), (120, 170, 440), (ROCKET,)),
    Shot("astronaut.png", 8, (0, 0, 512), (30, 80, 440), (SUIT, SHUTTLE)),
    Shot("coffee.png", 6, (0, 20, 600), (80, 30, 460), (CUP, SPOON)),
    Shot("chelsea.png", 7, (0, 20, 400), (51, 46, 400), (CAT,)),
    Shot("camera.png", 7, (0, 40, 512), (60, 60, 400), (CAMERA, GREY), dissolve=True),
    Shot("brick.png", 5, (0, 200, 512), (60, 60, 400), (BRICKS, GREY)),
    Shot("retina.jpg", 6, (0, 300, 1411), (150, 500, 700), (EYE,)),
    Shot("chelsea.png", 5, (120, 50, 230), (150, 60, 260), (CAT,)),
    Shot("grass.png", 5, (0, 0, 420), (90, 200, 420), (GRASS, GREY), dissolve=True),
    Shot("rocket.jpg", 6, (200, 250, 260), (210, 110, 260), (ROCKET,)),
    Shot("gravel.png", 5, (90, 200, 420), (0, 100, 420), (STONES, GREY)),
    Shot("coffee.png", 5, (230, 150, 260), (300, 190, 220), (CUP, SPOON)),
    Shot("astronaut.png", 5, (296, 10, 216), (290, 110, 222), (SHUTTLE,), dissolve=True),
    Shot("hubble_deep_field.jpg", 6, (500, 350, 400), (100, 100, 800), (SPACE,)),
)


def pictures(shot: Shot) -> Iterator[np.ndarray]:
    """Every frame of a shot: float (height, width, 3), 0 to 255."""
    photo = Image.open(Path(skimage.data.__file__).with_name(shot.photo)).convert("RGB")
    count = shot.seconds * FPS
    for step in np.linspace(0, 1, count):
        left, top, width = (a + (b - a) * step for a, b in zip(shot.first, shot.last, strict=True))
        height = width * SIZE[1] / SIZE[0]
        if left + width > photo.width + 0.5 or top + height > photo.height + 0.5:
            raise ValueError(f"{shot.photo} is {photo.size}, the shot needs {left + width:.0f} x {top + height:.0f}")
        box = (left, top, min(left + width, photo.width), min(top + height, photo.height))
        yield np.asarray(photo.resize(SIZE, Image.Resampling.LANCZOS, box=box), np.float32)


def film() -> Iterator[np.ndarray]:
    """Every frame of the film: uint8 (height, width, 3). A dissolve mixes the shots' frames, so no time is lost.

    In the half before the boundary the next shot's first frame comes in; after it, the last shot's last frame goes.
    """
    half, black = DISSOLVE // 2, np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    before = black
    for index, shot in enumerate(SHOTS):
        frames = list(pictures(shot))
        after = next(pictures(SHOTS[index + 1])) if index + 1 < len(SHOTS) else black
        leaves = index + 1 == len(SHOTS) or SHOTS[index + 1].dissolve
        for place, frame in enumerate(frames):
            mixed, left = frame, len(frames) - place
            if shot.dissolve and place < half:
                share = 0.5 + (place + 0.5) / DISSOLVE
                mixed = before * (1 - share) + frame * share
            elif leaves and left <= half:
                share = 0.5 + (left - 0.5) / DISSOLVE
                mixed = frame * share + after * (1 - share)
            yield np.rint(mixed).astype(np.uint8)
        before = frames[-1]


def truth() -> dict[str, list[object]]:
    """What sample.json holds. Half of a dissolve belongs to either shot; neighbouring spans of a query are one."""
    ends = np.cumsum([shot.seconds for shot in SHOTS]).tolist()
    starts = [0, *ends[:-1]]
    clips: dict[str, list[list[int]]] = {query: [] for query in (*QUERIES, *NOTHING)}
    for shot, start, end in zip(SHOTS, starts, ends, strict=True):
        for query in shot.shows:
            spans = clips[query]
            if spans and spans[-1][1] == start:
                spans[-1][1] = end
            else:
                spans.append([start, end])
    half = DISSOLVE / FPS / 2
    joints = [(start, shot.dissolve) for shot, start in zip(SHOTS, starts, strict=True) if start]
    return {
        "queries": [{"query": query, "clips": spans} for query, spans in clips.items()],
        "cuts": [start for start, dissolve in joints if not dissolve],
        "dissolves": [[start - half, start + half] for start, dissolve in joints if dissolve],
        "photos": [
            dict(zip(("file", "by", "licence", "source"), (file, *row), strict=True)) for file, row in PHOTOS.items()
        ],
    }


def main(folder: Path) -> None:
    """Write both files."""
    with av.open(str(folder / "sample.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=ENCODER)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", GOP
        for index, picture in enumerate(film()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    parts = [
        f'"{name}": [\n' + ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows) + "\n]"
        for name, rows in truth().items()
    ]
    (folder / "sample.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent))
