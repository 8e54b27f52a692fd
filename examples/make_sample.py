"""Draw examples/sample.mp4: 48 s in eight scenes, each a coloured shape that moves over a background of its own.

python examples/make_sample.py [OUT.mp4]
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw

SIZE, RATE, SECONDS = (320, 180), 10, 6
# (name, background, shape, colour)
SCENES = (
    ("a red circle on a blue field", "#1f3a5f", "circle", "#e23b3b"),
    ("a yellow star in the night", "#10101c", "star", "#f5d547"),
    ("a green square on sand", "#d9c38c", "square", "#2f9e44"),
    ("a white triangle on red", "#9b2226", "triangle", "#ffffff"),
    ("an orange circle on teal", "#1b7f79", "circle", "#ff922b"),
    ("a purple star on grey", "#adb5bd", "star", "#7048e8"),
    ("a black square on yellow", "#ffd43b", "square", "#111111"),
    ("a pink triangle on green", "#2b8a3e", "triangle", "#f783ac"),
)
CORNERS = {"square": 4, "triangle": 3, "star": 10}


def draw(scene: int, progress: float) -> Image.Image:
    """The picture of a scene at ``progress`` 0..1: the shape crosses the field from left to right and turns."""
    _, background, shape, colour = SCENES[scene]
    image = Image.new("RGB", SIZE, background)
    pen = ImageDraw.Draw(image)
    x, y, radius = 50 + 220 * progress, 90 + 25 * math.sin(2 * math.pi * progress), 38
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        return image
    corners = []
    for number in range(CORNERS[shape]):
        angle = 2 * math.pi * (number / CORNERS[shape] + progress / 2)
        reach = radius / 2 if shape == "star" and number % 2 else radius
        corners.append((x + reach * math.sin(angle), y - reach * math.cos(angle)))
    pen.polygon(corners, fill=colour)
    return image


def write(path: Path) -> None:
    """Write the video as H.264, one I-frame in five seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "26", "preset": "slow"})
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.gop_size = "yuv420p", 5 * RATE
        for number in range(len(SCENES) * SECONDS * RATE):
            scene, at = divmod(number, SECONDS * RATE)
            frame = av.VideoFrame.from_image(draw(scene, at / (SECONDS * RATE)))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("sample.mp4")))
