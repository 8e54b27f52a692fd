"""A film of three scenes in which people talk, with its words inside the file, beside it, or both.

The picture is one colour a scene with a bar that moves; 5 frames a second, 150 s. The sound is silence. In the film
with an offset the sound starts 3 s before the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

RATE, SIZE, SCENE = 5, (160, 120), 50.0
LENGTH = 3 * SCENE
SAID = """
Hello, and welcome to my garden.
I have kept bees for eleven years now.
This hive is called the palace, because it is so big.
In winter there are only ten thousand bees inside.
The smoke makes them calm, it does not hurt them.
Never wear dark clothes, they think you are a bear.
The queen has a green dot on her back.
She lays two thousand eggs a day in May.
Last autumn a wasp nest killed my smallest colony.
We harvest the honey at the end of July.
So your bicycle has a flat tyre.
First take the wheel out and let the air go.
These plastic levers cost three euros.
Pull the tube out, and look for the hole under water.
Bubbles show you where it is.
Rub the rubber with sandpaper so that the glue sticks.
Wait five minutes before you press the patch on it.
Check the inside of the coat for glass.
My neighbour once found a nail as long as a finger.
Pump it up to four bar, and off you go.
The old bridge was built in twelve hundred and six.
Before that there was only a ferry.
A ferryman had to be paid with salt.
The stone came from a quarry upstream.
Six arches stand, the seventh fell in a flood.
Nobody died, since it happened at night.
The mayor sold the tower to a brewer.
In the war soldiers hid under the second arch.
Today forty thousand cars cross it every day.
A new tunnel will open the year after next.
""".strip().splitlines()
LINES = [(place * 5.0 + 0.5, place * 5.0 + 4.5, text) for place, text in enumerate(SAID)]
# what is asked, and the lines that say it; the first ten share words with their line, the others hardly any
QUERIES = [
    ("what does he say about the queen?", "The queen has a green dot"),
    ("honey harvest", "We harvest the honey"),
    ("wasps", "Last autumn a wasp nest"),
    ("How many eggs does she lay in a day?", "She lays two thousand eggs"),
    ("the levers and what they cost", "These plastic levers"),
    ("sandpaper", "Rub the rubber with sandpaper"),
    ("When is a nail mentioned?", "My neighbour once found a nail"),
    ("the ferryman was paid with salt", "A ferryman had to be paid"),
    ("soldiers in the war", "In the war soldiers hid"),
    ("Where did the stones come from?", "The stone came from a quarry"),
    ("how long has he been a beekeeper?", "I have kept bees"),
    ("which clothing should be avoided?", "Never wear dark clothes"),
    ("the insects are soothed with smoke", "The smoke makes them calm"),
    ("finding the leak in the inner tube", "Pull the tube out"),
    ("how much pressure does the wheel need?", "Pump it up to four bar"),
    ("the patch must dry for a while", "Wait five minutes before"),
    ("how old is the bridge?", "The old bridge was built"),
    ("an arch collapsed when the river rose", "Six arches stand"),
    ("how much traffic uses the bridge now?", "Today forty thousand cars"),
    ("plans for a tunnel", "A new tunnel will open"),
]
HEADER = b"""[Script Info]\r
ScriptType: v4.00+\r
\r
[V4+ Styles]\r
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, \
MarginV, Encoding\r
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r
\r
[Events]\r
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r
"""
Spoken = Sequence[tuple[float, float, str]]


def span_of(beginning: str) -> tuple[float, float]:
    """Seconds from the first frame of the line that begins so."""
    return next((start, end) for start, end, text in LINES if text.startswith(beginning))


def make_film(
    path: Path,
    subtitles: Iterable[tuple[str, str, Spoken]] = (),
    *,
    offset: float = 0.0,
    length: float = LENGTH,
    sound: bool = True,
) -> Path:
    """Write the film; ``subtitles`` are (codec, language, lines), seconds from the first frame.

    ``offset``: seconds by which the sound starts before the picture.
    """
    with av.open(str(path), "w") as output:
        is_webm = path.suffix == ".webm"
        picture: Any = output.add_stream("libvpx" if is_webm else "libx264", rate=RATE, options={"threads": "1"})
        picture.width, picture.height, picture.pix_fmt = *SIZE, "yuv420p"
        voice: Any = output.add_stream("libopus" if is_webm else "aac", rate=48_000) if sound else None
        texts = []
        for codec, language, lines in subtitles:
            stream: Any = output.add_stream(codec)
            stream.codec_context.subtitle_header = HEADER
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.metadata["language"] = language
            texts.append((stream, lines))
        output.start_encoding()
        packets = [*_pictures(picture, length, offset), *(_silence(voice, length + offset) if sound else ())]
        for stream, lines in texts:
            packets += [_text(stream, number, line, offset) for number, line in enumerate(lines)]
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            output.mux(packet)
    return path


def _pictures(stream: Any, length: float, offset: float) -> list[Any]:
    packets = []
    for number in range(round(length * RATE)):
        pixels = np.full((SIZE[1], SIZE[0], 3), (40, 90, 60), np.uint8)
        pixels = np.roll(pixels, int(number / RATE // SCENE), axis=2)
        at = number * 3 % SIZE[0]
        pixels[20:40, at : at + 12] = 220
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = number + round(offset * RATE), Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _silence(stream: Any, length: float) -> list[Any]:
    packets = []
    for number in range(round(length * 10)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 4_800, Fraction(1, 48_000)
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _text(stream: Any, number: int, line: tuple[float, float, str], offset: float) -> Any:
    start, end, text = line
    text = text.replace("\n", "\\N")
    event = f"{number},0,Default,,0,0,0,,{text}".encode()
    packet = stream.codec_context.encode_subtitle(SubtitleSet.create(event, 0, round((end - start) * 1000)))
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = round((start + offset) * 1000)
    packet.duration = round((end - start) * 1000)
    return packet


def write_file(path: Path, lines: Spoken, offset: float = 0.0) -> Path:
    """Write a subtitle file by its ending: .srt, .vtt or .ass; seconds from the first frame, plus ``offset``."""
    times = [(start + offset, end + offset, text) for start, end, text in lines]
    if path.suffix == ".ass":
        rows = [f"Dialogue: 0,{_clock(a, '.', 2)},{_clock(b, '.', 2)},Default,,0,0,0,,{text}" for a, b, text in times]
        path.write_text(HEADER.decode().replace("\r", "") + "\n".join(rows) + "\n", encoding="utf-8")
        return path
    point = "," if path.suffix == ".srt" else "."
    cues = [f"{_clock(a, point)} --> {_clock(b, point)}\n{text}\n" for a, b, text in times]
    if path.suffix == ".srt":
        cues = [f"{number}\n{cue}" for number, cue in enumerate(cues, 1)]
    path.write_text(("WEBVTT\n\n" if path.suffix == ".vtt" else "") + "\n".join(cues), encoding="utf-8")
    return path


def _clock(seconds: float, point: str, digits: int = 3) -> str:
    whole, part = divmod(round(seconds * 10**digits), 10**digits)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{part:0{digits}d}"
