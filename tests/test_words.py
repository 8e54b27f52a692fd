"""Words of a video: subtitles inside it and beside it, lists, recognisers; on the clock of the first frame."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from subtitled_film import LENGTH, LINES, QUERIES, SAID, make_film, span_of, write_file

from kframes_plugin import Clip, KFrames, OpenVideo, Selection, VideoError
from kframes_plugin.types import Candidates, Frame, Line
from kframes_plugin.words.files import MAX_BYTES, find_files, read_file
from kframes_plugin.words.options import WordOptions
from kframes_plugin.words.speech import Speech
from kframes_plugin.words.transcript import make_lines, read_transcript

FILMS = (
    ("mov_text.mp4", "mov_text", 0.0),
    ("subrip.mkv", "subrip", 3.0),
    ("ass.mkv", "ass", 0.0),
    ("vtt.webm", "webvtt", 3.0),
)
SHORT = [(0.5, 1.5, "One fine day"), (2.0, 3.0, "two dogs"), (3.5, 4.5, "three cats")]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The film once for every kind of subtitles inside a file, and once without."""
    folder = tmp_path_factory.mktemp("films")
    made = {name: make_film(folder / name, [(codec, "eng", LINES)], offset=offset) for name, codec, offset in FILMS}
    return made | {"plain.mkv": make_film(folder / "plain.mkv", offset=3.0)}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds without words."""
    return make_film(tmp_path_factory.mktemp("short") / "short.mp4", length=5.0)


def iou(clip: Clip, span: tuple[float, float]) -> float:
    shared = max(0.0, min(clip.end, span[1]) - max(clip.start, span[0]))
    return shared / (max(clip.end, span[1]) - min(clip.start, span[0]))


def count_found(video: Path, **words: object) -> tuple[int, int]:
    """Of the 20 queries: those whose first clip is the line, and those with a frame that carries it."""
    found = carried = 0
    with KFrames.from_pretrained("words").open(video, **words) as session:
        for query, beginning in QUERIES:
            selection = session.select(query, 8)
            found += bool(selection.clips) and iou(selection.clips[0], span_of(beginning)) >= 0.5
            carried += any(frame.said.startswith(beginning) for frame in selection.frames)
    return found, carried


@pytest.mark.parametrize("name", [name for name, _, _ in FILMS])
def test_what_is_said_is_found_in_every_format_and_frames_carry_the_line(films: dict[str, Path], name: str) -> None:
    found, carried = count_found(films[name])
    assert found >= 18, found
    assert carried >= 18, carried


@pytest.mark.parametrize("ending", [".srt", ".vtt", ".ass"])
def test_what_is_said_is_found_in_a_file_beside_the_video(films: dict[str, Path], ending: str) -> None:
    """The picture starts 3 s after the sound; players, and so subtitle files, count from the sound."""
    file = write_file(films["plain.mkv"].with_suffix(f".en{ending}"), LINES, offset=3.0)
    try:
        found, carried = count_found(films["plain.mkv"])
    finally:
        file.unlink()
    assert found >= 18
    assert carried >= 18


def test_lists_are_on_the_clock_of_the_picture_and_recognisers_on_that_of_the_sound(films: dict[str, Path]) -> None:
    heard: list[str] = []

    def recognise(path: str) -> list[tuple[float, float, str]]:
        heard.append(path)
        return [(start + 3.0, end + 3.0, text) for start, end, text in LINES]

    assert count_found(films["plain.mkv"], transcript=LINES)[0] >= 18
    assert count_found(films["plain.mkv"], transcript=recognise)[0] >= 18
    assert heard == [str(films["plain.mkv"])]  # once a session
    assert count_found(films["plain.mkv"], transcript=None)[0] == 0


@pytest.mark.parametrize(("name", "offset"), [(name, offset) for name, _, offset in FILMS])
def test_lines_have_the_times_that_the_film_was_made_with(films: dict[str, Path], name: str, offset: float) -> None:
    with OpenVideo(films[name]) as video:
        lines, notes = read_transcript(video, WordOptions())
        assert video.file is not None
        assert video.file.offset == pytest.approx(offset, abs=0.03)
        assert [note.code for note in video.notes] == (["picture-late"] if offset else [])
    assert [line.text for line in lines] == SAID
    for line, (start, end, _) in zip(lines, LINES, strict=True):
        assert line.start == pytest.approx(start, abs=0.03)
        assert line.end == pytest.approx(end, abs=0.03)
    assert notes == ()


def test_a_language_is_chosen_among_streams_and_among_files(tmp_path: Path) -> None:
    other = [(0.5, 1.5, "Ein schöner Tag"), (2.0, 3.0, "zwei Hunde")]
    film = make_film(tmp_path / "two.mkv", [("subrip", "eng", SHORT), ("ass", "ger", other)], length=5.0)
    with OpenVideo(film) as video:
        for language, first in (
            (None, "One fine day"),
            ("de", other[0][2]),
            ("German", other[0][2]),
            ("en-GB", SHORT[0][2]),
        ):
            assert read_transcript(video, WordOptions(language=language))[0][0].text == first
        lines, notes = read_transcript(video, WordOptions(language="fr"))
        assert lines == ()
        assert [note.code for note in notes] == ["no-transcript"]
        write_file(tmp_path / "two.fr.srt", [(0.0, 1.0, "Un beau jour")])
        assert read_transcript(video, WordOptions(language="fra"))[0][0].text == "Un beau jour"


def test_files_beside_a_video_the_plain_name_first_and_forced_ones_last(tmp_path: Path) -> None:
    for name in ("a.forced.srt", "a.en.srt", "a.director.srt", "A.VTT", "ab.srt", "a.txt", "b.srt", "a.de.hi.ass"):
        (tmp_path / name).write_text("x")
    found = [path.name for path in find_files(str(tmp_path / "a.mp4"), None)]
    assert found == ["A.VTT", "a.en.srt", "a.director.srt", "a.de.hi.ass", "a.forced.srt"]
    assert [path.name for path in find_files(str(tmp_path / "a.mp4"), "deu")] == ["a.de.hi.ass"]
    assert find_files(str(tmp_path / "missing" / "a.mp4"), None) == []


def test_a_file_that_cannot_be_read_is_an_error_where_it_was_named_and_a_note_where_it_was_found(short: Path) -> None:
    bad = short.with_suffix(".srt")
    bad.write_bytes(b"\x00\xff" * 50)
    try:
        kframes = KFrames(lambda frames, query: [], candidates=2)
        selection = kframes.select(short, "dogs", 2)
        assert "transcript-unreadable" in [note.code for note in selection.notes]
        assert selection.transcript == ()
        with pytest.raises(VideoError, match=r"holds no subtitles|cannot be read"):
            kframes.select(short, "dogs", 2, transcript=bad)
        write_file(short.with_suffix(".en.vtt"), SHORT)  # the next one is read
        assert [line.text for line in kframes.select(short, "dogs", 2).transcript] == [text for *_, text in SHORT]
    finally:
        bad.unlink()
        short.with_suffix(".en.vtt").unlink(missing_ok=True)


CUE = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"
HOSTILE = {
    "empty": b"",
    "zeros": b"\x00" * 1000,
    "noise": np.random.default_rng(1).bytes(20_000),
    "only a header": b"WEBVTT\n\n",
    "huge number": b"1\n99999999999999999999:00:00,000 --> 00:00:02,000\nhello\n",
    "backwards": CUE.format("hello").replace("02,000", "00,500").encode(),
    "arrows": b"-->" * 5000,
    "brackets": b"1\n00:00:01,000 --> 00:00:02,000\n" + b"<" * 200_000 + b"{" * 200_000,
    "deep ass": b"[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00," + b"{\\" * 50_000,
    "bad ass": b"[Script Info]\n[Events]\nFormat: Start\nDialogue: x\nDialogue: ,,,,,,,,,\n",
    "ass style": b"[Script Info]\n[V4+ Styles]\nFormat: Name, Fontsize\nStyle: a, many\n[Events]\n",
    "json": b'{"lines": [[1, 2]]}',
    "microdvd": b"{0}{25}hello|you\n{25}{50}you\n",
    "many cues": b"".join(
        f"{n}\n00:00:{n % 60:02d},000 --> 00:00:{n % 60:02d},900\nw\n\n".encode() for n in range(9000)
    ),
}


@pytest.mark.parametrize("ending", [".srt", ".vtt", ".ass"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_give_lines_or_a_video_error(tmp_path: Path, kind: str, ending: str) -> None:
    file = tmp_path / f"bad{ending}"
    file.write_bytes(HOSTILE[kind])
    with suppress(VideoError):
        spoken, _ = read_file(file)
        for line in make_lines(spoken, 60.0, 0.0):
            assert 0 <= line.start < line.end <= 60


def test_random_damage_gives_lines_or_a_video_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    for ending in (".srt", ".vtt", ".ass"):
        whole = write_file(tmp_path / f"whole{ending}", LINES).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in generator.integers(0, len(data), 12):
                data[place] = generator.integers(0, 256)
            file = tmp_path / f"damaged{ending}"
            file.write_bytes(bytes(data[: generator.integers(1, len(data))]))
            try:
                make_lines(read_file(file)[0], LENGTH, 0.0)
            except VideoError:
                continue


def test_too_large_a_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.srt"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.srt")
    for path, why in (
        (large, "MB"),
        (tmp_path, "directory"),
        (tmp_path / "pipe.srt", "pipe"),
        (tmp_path / "no.srt", "exist"),
    ):
        with pytest.raises(VideoError, match=why):
            read_file(path)


@pytest.mark.parametrize(
    ("encoding", "exact"), [("utf-8", True), ("utf-8-sig", True), ("utf-16", True), ("cp1252", False)]
)
def test_encodings(tmp_path: Path, encoding: str, exact: bool) -> None:
    file = tmp_path / "a.srt"
    file.write_bytes(CUE.format("Où est le café ?").encode(encoding))
    lines, notes = read_file(file)
    assert lines == [(1.0, 2.0, "Où est le café ?")]
    assert [note.code for note in notes] == ([] if exact else ["transcript-unreadable"])


def test_marks_of_style_are_no_words(tmp_path: Path) -> None:
    vtt = tmp_path / "a.vtt"
    vtt.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann><i>Hi</i> <00:01.500><c>there</c>\n")
    ass = write_file(tmp_path / "a.ass", [(1.0, 2.0, "{\\b1}Hi{\\b0}\\N there")])
    assert make_lines(read_file(vtt)[0], 9.0, 0.0)[0].text == "Hi there"
    assert make_lines(read_file(ass)[0], 9.0, 0.0)[0].text == "Hi there"


def test_lines_are_put_on_the_clock_and_tidied() -> None:
    spoken = [
        (5.0, 6.0, "  late \n one "),
        (1.0, 4.0, "cut"),
        (0.0, 1.5, "before the picture"),
        (7.0, 7.0, "without an end"),
        (8.0, 9.0, "   "),
        (99.0, 100.0, "after the end"),
    ]
    lines = make_lines(spoken, 20.0, 2.0)
    assert [(line.start, line.end, line.text) for line in lines] == [
        (0.0, 2.0, "cut"),
        (3.0, 4.0, "late one"),
        (5.0, 6.0, "without an end"),
    ]


def test_captions_that_roll_up_say_every_row_once() -> None:
    rolling = [
        (0.0, 2.0, "we begin"),
        (2.0, 4.0, "we begin\nwith the roof"),
        (4.0, 6.0, "with the roof\nof the barn"),
        (6.0, 7.0, "of the barn"),
    ]
    assert [(line.start, line.end, line.text) for line in make_lines(rolling, 10.0, 0.0)] == [
        (0.0, 2.0, "we begin"),
        (2.0, 4.0, "with the roof"),
        (4.0, 7.0, "of the barn"),
    ]


@pytest.mark.parametrize(
    ("given", "error"),
    [(5, TypeError), ([(1, 2)], TypeError), ([(0, 1, 7)], TypeError), ([(0, float("nan"), "a")], ValueError)],
)
def test_wrong_transcripts_are_wrong_arguments(short: Path, given: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="transcript"):
        KFrames(lambda frames, query: [], candidates=2).select(short, "dogs", 2, transcript=given)
    with pytest.raises(TypeError, match="transcrpt"):
        KFrames(lambda frames, query: [], transcrpt=None)


def test_frames_of_ones_own_take_a_list(short: Path) -> None:
    frames = [Frame(float(time), 1.0, Image.new("RGB", (32, 32))) for time in range(5)]
    selection = KFrames.from_pretrained("words").select(frames, "dogs", 2, transcript=SHORT)
    assert selection.clips[0].start == 2.0
    assert selection.clips[0].reason == 'said at 2 s: "two dogs"'
    with pytest.raises(ValueError, match="video file"):
        KFrames.from_pretrained("words").select(frames, "dogs", 2, transcript=lambda path: SHORT)


def test_a_selector_gets_the_lines_of_its_spans(short: Path) -> None:
    shown: list[tuple[str, ...]] = []

    def look(frames: Candidates, query: str) -> list[Clip]:
        shown.append(tuple(line.text for line in frames.transcript))
        return []

    kframes = KFrames(look, candidates=4, transcript=SHORT)
    kframes.select(short, "dogs", 2)
    kframes.select(short, "dogs", 2, within=[(0.0, 1.0), (3.6, 4.0)])
    assert shown == [("One fine day", "two dogs", "three cats"), ("One fine day", "three cats")]


def test_a_selection_keeps_its_lines(short: Path, tmp_path: Path) -> None:
    selection = KFrames(lambda frames, query: [Clip(2.0, 3.0)], candidates=4).select(short, "dogs", 2, transcript=SHORT)
    assert {frame.said for frame in selection.frames} == {"two dogs"}
    loaded = Selection.load(selection.save(tmp_path / "out"))
    again = pickle.loads(pickle.dumps(selection))
    assert loaded.transcript == again.transcript == selection.transcript == tuple(Line(*line) for line in SHORT)
    assert [frame.said for frame in loaded.frames] == [frame.said for frame in selection.frames]
    assert {frame.said for frame in loaded.resample(3).frames} == {"two dogs"}
    plain = KFrames(lambda frames, query: [], candidates=4).select(short, "dogs", 2)
    assert plain.transcript == ()
    assert all(set(entry) == {"timestamp", "duration"} for entry in plain.to_dict()["frames"])


@dataclass
class Said:
    """A segment as faster-whisper gives it."""

    start: float
    end: float
    text: str


@dataclass
class About:
    """What faster-whisper says of the sound."""

    duration: float


def test_speech_is_recognised_with_progress_and_kept_only_when_asked(short: Path) -> None:
    calls: list[str | None] = []
    steps: list[tuple[str, int, int]] = []

    def transcribe(path: str, language: str | None) -> tuple[list[Said], About]:
        calls.append(language)
        return [Said(*line) for line in SHORT], About(5.0)

    kept = Path(f"{short}.speech.json")
    kframes = KFrames.from_pretrained("words")
    speech = Speech(transcribe=transcribe, language="en", progress=lambda *step: steps.append(step))
    assert kframes.select(short, "dogs", 2, transcript=speech).clips[0].start == pytest.approx(2.0, abs=0.05)
    assert steps == [("speech", 1, 5), ("speech", 3, 5), ("speech", 4, 5)]
    assert not kept.exists()
    try:
        for _ in range(2):
            keeping = Speech(transcribe=transcribe, keep=True)
            assert kframes.select(short, "dogs", 2, transcript=keeping).clips[0].start == pytest.approx(2.0, abs=0.05)
        assert calls == ["en", None]
        assert json.loads(kept.read_text())["lines"] == [list(line) for line in SHORT]
        os.utime(short, (1, 1))  # another file now
        Speech(transcribe=transcribe, keep=True)(str(short))
        kept.write_text("{}")
        Speech(transcribe=transcribe, keep=True)(str(short))
        assert calls == ["en", None, None, None]
    finally:
        kept.unlink()


def test_a_video_without_sound_has_nothing_to_recognise(tmp_path: Path) -> None:
    film = make_film(tmp_path / "silent.mp4", length=2.0, sound=False)
    assert Speech(transcribe=lambda path, language: pytest.fail("asked"))(str(film)) == []
