"""Text on screen: read on what changed, found where letters were misread, within bounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from time import process_time, sleep
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from kframes_plugin import Clip, KFrames
from kframes_plugin.types import Candidates, Frame
from kframes_plugin.words.screen import MOST, Budget, read_screen

SIGN, GAP, RATE = 3.0, 2.0, 2  # seconds that a sign stands, seconds between two, frames a second
# what is drawn, what is asked
SIGNS = [
    ("SALE", "the sign that says SALE"),
    ("Exit", "an exit sign"),
    ("Platform 7", "which platform does the train leave from?"),
    ("NO PARKING", "no parking sign"),
    ("Bakery", "the bakery"),
    ("Chapter One", "title of chapter one"),
    ("WET FLOOR", "warning of a wet floor"),
    ("Gate B12", "gate b12"),
    ("Harbour Hotel", "sign of the Harbour Hotel"),
    ("THE END", "the words 'the end'"),
    ("Lemonade 50c", "where does it say lemonade?"),
    ("OPEN DAILY", "open daily"),
    ("Museum of Glass", "the museum of glass"),
    ("Lost dog", "a note about a lost dog"),
    ("FERRY", "the text FERRY"),
    ("Collection", "collections"),
    ("Morning News", "the title of the morning news"),
    ("Directed by Ana Ruiz", "who directed the film?"),
    ("TAXI", "TAXI sign"),
    ("Floor 10", "the sign for floor 10"),
]


def make_signs(path: Path) -> Path:
    """A film of the signs on noise, in five sizes and colours."""
    generator = np.random.default_rng(3)
    noise = np.asarray(
        Image.fromarray(generator.integers(30, 140, (24, 80, 3), np.uint8)).resize(
            (1280, 360), Image.Resampling.BICUBIC
        )
    )
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=RATE, options={"threads": "1", "crf": "24"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(round(len(SIGNS) * (SIGN + GAP) * RATE)):
            place, at = divmod(number / RATE, SIGN + GAP)
            shift = int(place) * 31  # the camera moves between two signs
            picture = Image.fromarray(noise[:, shift : shift + 640].copy())
            if at < SIGN:
                font = ImageFont.load_default(26 + 7 * (int(place) % 5))
                colour = ("white", "yellow", "#102040", "#ffd0d0", "black")[int(place) % 5]
                box = (60 + 31 * int(place) % 200, 60 + 47 * int(place) % 220)
                if colour in ("#102040", "black"):
                    ImageDraw.Draw(picture).rectangle(
                        (box[0] - 9, box[1] - 9, box[0] + 380, box[1] + 62), fill="#e8e0c8"
                    )
                ImageDraw.Draw(picture).text(box, SIGNS[int(place)][0], fill=colour, font=font)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def is_shown(clips: tuple[Clip, ...], span: tuple[float, float]) -> bool:
    """Whether half of the first clip lies in the span."""
    if not clips:
        return False
    first = clips[0]
    return min(first.end, span[1]) - max(first.start, span[0]) >= first.length / 2


def test_drawn_signs_are_found(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    kframes = KFrames.from_pretrained("words", ocr=True)
    with kframes.open(make_signs(tmp_path / "signs.mp4")) as session:
        found = []
        for place, (_, query) in enumerate(SIGNS):
            begins = place * (SIGN + GAP)
            found.append(is_shown(session.select(query, 4).clips, (begins - 0.5, begins + SIGN + 0.5)))
        first = session.select(SIGNS[0][1], 4)
    missed = [query for (_, query), is_found in zip(SIGNS, found, strict=True) if not is_found]
    assert sum(found) >= 16, missed
    assert first.clips[0].reason.endswith('"SALE"')


REAL = [
    ("bbb_opening_30s_720p_vp8.webm", "the title Big Buck Bunny", (24.9, 29.97)),
    ("bbb_full_film_160x120_4fps.mp4", "the title 'Big Buck Bunny' in big white letters", (24.75, 30.75)),
    ("coffee_run_17s.ts", "title card 'Coffee Run' on a collage of paper", (3.875, 6.8)),
    ("chrome_advert_30s_vp8.webm", "text 'Open a new browser' on a white background", (22.4, 26.3)),
    ("bikes_street_10s.mp4", "TAXI sign on the roof of a car", (2.45, 3.04)),
]


def test_titles_and_signs_of_real_clips_are_found(shared_videos: Path) -> None:
    pytest.importorskip("rapidocr")
    kframes = KFrames.from_pretrained("words", ocr=True)
    found = {}
    for name, query, span in REAL:
        clips = kframes.select(shared_videos / "dev" / name, query, 4).clips
        found[name] = is_shown(clips, (span[0] - 0.6, span[1] + 0.6))
    assert sum(found.values()) >= 4, found


def pictures(texts: list[str]) -> Candidates:
    """A picture of its own for every text."""
    made = []
    for place, text in enumerate(texts):
        image = Image.new("RGB", (320, 180), (20, 20, 20 + 40 * (sum(map(ord, text)) % 5)))
        ImageDraw.Draw(image).text((20, 60), text, fill="white", font=ImageFont.load_default(40))
        made.append(Frame(place * 2.0, 2.0, image))
    return Candidates(made, len(texts) * 2.0)


def test_what_does_not_change_is_read_once() -> None:
    texts = ["", "SALE", "SALE", "SALE", "EXIT", "EXIT", ""]
    read: list[float] = []

    def recognise(frame: Frame) -> str:
        read.append(frame.timestamp)
        return texts[round(frame.timestamp / 2)]

    lines, notes = read_screen(pictures(texts), 14.0, recognise)
    assert sorted(read) == [0.0, 2.0, 8.0, 12.0], "what changed most first"
    assert [(line.start, line.end, line.text) for line in lines] == [(1.0, 7.0, "SALE"), (7.0, 11.0, "EXIT")]
    assert notes == ()


def test_readings_of_one_text_are_one_line() -> None:
    texts = ["Chapter one begins", "Chapter one begin5", "Chapter two begins soon again"]
    frames = pictures(texts)
    lines, _ = read_screen(frames, 6.0, lambda frame: texts[round(frame.timestamp / 2)])
    assert [line.text for line in lines] == [texts[0], texts[2]]


def test_the_reading_that_comes_most_often_is_the_text() -> None:
    texts = ["BUNKSY", "BUNKY", "BONKY", "BUNKY"]
    lines, _ = read_screen(pictures(texts), 8.0, lambda frame: texts[round(frame.timestamp / 2)])
    assert [(line.start, line.end, line.text) for line in lines] == [(0.0, 8.0, "BUNKY")]


def test_no_more_than_the_bound_is_read_and_a_note_says_so() -> None:
    generator = np.random.default_rng(0)
    many = [
        Frame(float(place), 1.0, Image.fromarray(generator.integers(0, 256, (9, 16, 3), np.uint8)).resize((64, 36)))
        for place in range(MOST + 20)
    ]
    read: list[Frame] = []
    _, notes = read_screen(many, float(len(many)), lambda frame: read.append(frame) or "")
    assert len(read) == MOST
    assert [note.code for note in notes] == ["text-cut"]
    assert [note.code for note in read_screen(many[:9], 9.0, lambda frame: "", budget=Budget(0.0))[1]] == ["text-cut"]


def test_any_recogniser_serves_and_reads_once_a_session(tmp_path: Path) -> None:
    film = make_signs(tmp_path / "signs.mp4")
    read: list[tuple[int, int]] = []

    def recognise(image: Image.Image) -> str:
        read.append(image.size)
        return "5ALE" if len(read) == 5 else ""

    with KFrames.from_pretrained("words").open(film, ocr=recognise) as session:
        first = session.select("the sale", 2)
        count = len(read)
        assert session.select("the sale", 4).clips == first.clips
        assert [clip.reason.split(" s: ")[1] for clip in first.clips] == ['"5ALE"']
    assert len(read) == count
    assert set(read) == {(640, 360)}


@pytest.mark.parametrize("busy", [True, False], ids=["CPU", "elsewhere"])
def test_the_time_for_text_is_bounded_and_what_changed_most_comes_first(busy):
    """A reader that takes .1 s a picture, by itself or by waiting for another machine."""
    levels = [0, 30, 60, 255, 225, 195, 165]
    frames = [Frame(float(n), 1.0, Image.new("RGB", (64, 48), (level,) * 3)) for n, level in enumerate(levels)]
    read = []

    def recognise(frame: Frame) -> str:
        read.append(frame.timestamp)
        begun = process_time()
        while busy and process_time() - begun < 0.1:
            pass
        if not busy:
            sleep(0.1)
        return "text"

    _, notes = read_screen(frames, 7.0, recognise, budget=Budget(0.15 if busy else 0.08))
    assert [note.code for note in notes] == ["text-cut"]
    assert read in ([0.0], [0.0, 3.0])  # on a busy machine the first takes all the time
