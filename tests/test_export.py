"""A selection as files of other programs: each is read by a program of its own kind."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import opentimelineio as otio
import pysubs2
import pytest
from PIL import Image
from video_maker import every, make_video, numbered_picture, read_number

from kframes_plugin import Clip, Cost, KFramesError, Selection, VideoError
from kframes_plugin.export import export
from kframes_plugin.export.media import whole_rate
from kframes_plugin.types import EXPORT_KINDS, ExportKind
from kframes_plugin.video import OpenVideo

RATE, GOP, COUNT = 25, 20, 200  # 8 s, an I-frame every 0.8 s
CLIPS = (Clip(5.0, 6.5, "P1", "a cup, <b>red</b> --> here", 0.75), Clip(1.0, 2.02, "P2", "=1+1\n* FROM CLIP NAME: x"))


def film(path: Path, *, late: float = 0.0, audio: str = "aac") -> Path:
    """Numbered frames with B-frames, and a sound; the picture starts ``late`` seconds after the sound."""
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "bf": "2", "threads": "1"})
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
        picture.codec_context.gop_size = GOP
        sound: Any = out.add_stream(audio, rate=48_000, layout="mono")
        packets = []
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 160, 120), format="rgb24")
            frame.pts, frame.time_base = number + round(late * RATE), Fraction(1, RATE)
            packets += picture.encode(frame)
        for place in range(round((COUNT / RATE + late) * 50)):
            tone = np.sin(np.arange(960) / 9 + place).astype(np.float32)[None] / 3
            heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, place * 960, Fraction(1, 48_000)
            packets += sound.encode(heard)
        packets += [*picture.encode(None), *sound.encode(None)]
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            out.mux(packet)
    return path


def choose(path: Path, clips: tuple[Clip, ...] = CLIPS, query: str = 'a "cup", please') -> Selection:
    """A selection of these clips, with a frame of each and one of none."""
    with OpenVideo(path) as video:
        times = sorted({0.0, *(clip.start for clip in clips)})
        frames = tuple(video.frames_at(times, 160))
        return Selection(str(path), query, len(frames), "focused", clips, frames, Cost(), (), video.duration)


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    return choose(film(tmp_path_factory.mktemp("film") / "film.mp4"))


def read(path: Path) -> tuple[list[int], float, float]:
    """The numbers of a clip's frames, the seconds of its picture and those of its sound."""
    with OpenVideo(path) as video:
        numbers, length = [read_number(frame.image) for frame in video.frames()], video.duration
        assert not video.notes
    with av.open(str(path)) as container:
        heard = (
            sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
            if container.streams.audio
            else 0.0
        )
    return numbers, length, heard


# ---- clips


def test_copied_clips_begin_at_the_i_frame_before_and_keep_their_sound(selection: Selection, tmp_path: Path) -> None:
    paths = export(selection, "mp4", tmp_path)
    assert [path.name for path in paths] == ["clip_001.mp4", "clip_002.mp4"]
    for path, clip in zip(paths, selection.clips, strict=True):
        numbers, length, heard = read(path)
        first = int(clip.start * RATE) // GOP * GOP
        assert numbers[0] == first
        assert numbers == list(range(first, first + len(numbers)))
        assert clip.end * RATE <= first + len(numbers) <= clip.end * RATE + 4  # B-frames need those they lie between
        assert length == pytest.approx(len(numbers) / RATE, abs=0.01)
        assert heard == pytest.approx(clip.end - first / RATE, abs=0.1)
    assert {path.name for path in tmp_path.iterdir()} == {"clip_001.mp4", "clip_002.mp4"}


def test_exact_clips_are_those_frames(selection: Selection, tmp_path: Path) -> None:
    for path, clip in zip(export(selection, "mp4", tmp_path, exact=True), selection.clips, strict=True):
        numbers, length, heard = read(path)
        assert numbers == list(range(int(clip.start * RATE), round(np.ceil(clip.end * RATE - 1e-9))))
        assert length == pytest.approx(clip.length, abs=1 / RATE)
        assert heard == pytest.approx(clip.length, abs=0.1)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mov"])
def test_of_other_containers_and_a_late_picture(tmp_path: Path, suffix: str, exact: bool) -> None:
    found = choose(film(tmp_path / f"film{suffix}", late=0.6), (Clip(3.3, 4.7), Clip(0.12, 0.5)))
    for path, clip in zip(export(found, "mp4", tmp_path / "out", exact=exact), found.clips, strict=True):
        numbers, length, heard = read(path)
        first = int(clip.start * RATE) // (1 if exact else GOP) * (1 if exact else GOP)
        assert numbers == list(range(first, first + len(numbers)))
        assert length == pytest.approx(clip.end - first / RATE, abs=0.06 if exact else 0.17)
        assert heard == pytest.approx(clip.end - first / RATE, abs=0.1)


@pytest.mark.parametrize("exact", [False, True])
def test_a_turned_film_without_sound_stays_upright(tmp_path: Path, exact: bool) -> None:
    found = choose(make_video(tmp_path / "turned.mp4", every(40, 50), rotation=90, size=(160, 96)), (Clip(1.0, 1.5),))
    numbers, _, heard = read(export(found, "mp4", tmp_path, exact=exact)[0])
    assert numbers[0] == (25 if exact else 16)
    assert heard == 0


def test_exact_clips_of_a_variable_rate_keep_its_times(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 500, 520, 540, 1500, 1540, 2000, 2040]
    found = choose(make_video(tmp_path / "film.mkv", stamps), (Clip(0.3, 1.9),))
    with OpenVideo(export(found, "mp4", tmp_path, exact=True)[0]) as video:
        assert video.timestamps == pytest.approx([0, 0.2, 0.22, 0.24, 1.2, 1.24], abs=2e-3)
        assert video.duration == pytest.approx(1.6, abs=0.04)


def test_what_mp4_cannot_hold_is_said_and_encoded(tmp_path: Path) -> None:
    found = choose(
        make_video(tmp_path / "film.avi", every(40, 50), codec="ffv1", pixel_format="yuv420p"), (Clip(0.5, 1.0),)
    )
    with pytest.raises(VideoError, match="cannot be copied into MP4") as told:
        export(found, "mp4", tmp_path / "out")
    assert "\n" not in str(told.value)
    assert list((tmp_path / "out").iterdir()) == []
    assert read(export(found, "mp4", tmp_path / "out", exact=True)[0])[0][0] == 12


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_pictures_that_move(selection: Selection, tmp_path: Path, kind: ExportKind) -> None:
    for path, clip in zip(export(selection, kind, tmp_path), selection.clips, strict=True):
        with Image.open(path) as picture:
            stands, numbers = [], []
            for place in range(picture.n_frames):
                picture.seek(place)
                numbers.append(read_number(picture.convert("RGB")))
                stands.append(picture.info["duration"])
        assert picture.format == kind.upper()
        assert sum(stands) / 1000 == pytest.approx(clip.length, abs=0.05)
        assert numbers[0] == clip.start * RATE
        assert numbers == sorted(set(numbers))
        assert numbers[-1] < clip.end * RATE


# ---- tables, timelines, chapters, labels


def test_tables(selection: Selection, tmp_path: Path) -> None:
    texts = [path.read_bytes().decode() for path in export(selection, "csv", tmp_path)]
    clips, frames = (list(csv.DictReader(io.StringIO(text, newline=""))) for text in texts)
    assert [(float(row["start"]), float(row["end"]), row["priority"], row["score"]) for row in clips] == [
        (5.0, 6.5, "P1", "0.75"),
        (1.0, 2.02, "P2", ""),
    ]
    assert {row["query"] for row in clips + frames} == {'a "cup", please'}
    assert clips[1]["reason"].startswith("'=1+1")  # a spreadsheet runs no formula of a model
    assert [(float(row["timestamp"]), row["clip"]) for row in frames] == [(0.0, ""), (1.0, "2"), (5.0, "1")]


def test_opentimelineio_reads_the_timeline(selection: Selection, tmp_path: Path) -> None:
    timeline = otio.adapters.read_from_file(str(export(selection, "otio", tmp_path)[0]))
    cuts = list(timeline.find_clips())
    spans = [cut.source_range for cut in cuts]
    assert [(span.start_time.value, span.duration.value, span.duration.rate) for span in spans] == [
        (25, 26, 25),
        (125, 37, 25) if spans[1].duration.value == 37 else (125, 38, 25),
    ]
    assert [(marker.marked_range.start_time.value) for cut in cuts for marker in cut.markers] == [25, 125]
    assert cuts[0].media_reference.target_url == Path(selection.video).as_uri()
    assert cuts[0].media_reference.available_range.duration.value == COUNT
    assert cuts[1].metadata["kframes"]["reason"] == CLIPS[0].reason
    assert cuts[1].metadata["kframes"]["score"] == 0.75
    assert timeline.duration().to_seconds() == pytest.approx(sum(clip.length for clip in CLIPS), abs=2 / RATE)


@pytest.mark.parametrize(("rate", "base"), [(Fraction(25), 25), (Fraction(30_000, 1001), 30)])
def test_opentimelineio_reads_the_edl(tmp_path: Path, rate: Fraction, base: int) -> None:
    stamps = [round(number / rate * 90_000) for number in range(120)]
    found = choose(
        make_video(tmp_path / "film.mp4", stamps, Fraction(1, 90_000)),
        (Clip(2.0, 3.0, reason=CLIPS[1].reason), Clip(1.0, 1.5)),
    )
    timeline = otio.adapters.read_from_file(str(export(found, "edl", tmp_path)[0]), rate=base)
    cuts = list(timeline.find_clips())
    assert [cut.name for cut in cuts] == ["film.mp4"] * 2  # no line is made by a reason
    frames = [(cut.source_range.start_time.value, cut.source_range.duration.value) for cut in cuts]
    assert frames == [
        (round(clip.start * rate), round(clip.end * rate) - round(clip.start * rate)) for clip in found.clips[::-1]
    ]


@pytest.mark.parametrize("late", [0.0, 0.6])
def test_pysubs2_reads_the_chapters_on_the_clock_of_players(tmp_path: Path, late: float) -> None:
    found = choose(film(tmp_path / "film.mkv", late=late))
    cues = pysubs2.load(str(export(found, "vtt", tmp_path)[0]))
    with OpenVideo(tmp_path / "film.mkv") as video:
        assert video.offset == pytest.approx(late, abs=0.05)
        times = [round((time + video.offset) * 1000) for clip in CLIPS[::-1] for time in (clip.start, clip.end)]
    assert [time for cue in cues for time in (cue.start, cue.end)] == times
    text = (tmp_path / "chapters.vtt").read_text()
    assert text.startswith("WEBVTT\n\n")
    assert text.count("-->") == 2
    assert "<b>" not in text


def test_label_studio(selection: Selection, tmp_path: Path) -> None:
    (task,) = json.loads(export(selection, "label-studio", tmp_path)[0].read_text())
    assert task["data"] == {"video": "/data/local-files/?d=film.mp4", "fps": 25.0, "query": 'a "cup", please'}
    best, second = task["predictions"][0]["result"]
    assert best["value"] == {"ranges": [{"start": 126, "end": 163}], "timelinelabels": ["P1"]}
    assert (best["score"], "score" in second) == (0.75, False)
    assert second["value"]["ranges"] == [{"start": 26, "end": 51}]


def test_whole_rates() -> None:
    known = {
        23.976: Fraction(24_000, 1001),
        24.0: 24,
        29.97: Fraction(30_000, 1001),
        29.4: 29,
        0.1: 1,
        59.94: Fraction(60_000, 1001),
    }
    assert {rate: whole_rate(rate) for rate in known} == known


# ---- doors


def kframes(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "export", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, encoding="utf-8")


def test_the_command_writes_a_saved_selection_and_finds_a_moved_video(selection: Selection, tmp_path: Path) -> None:
    selection.save(tmp_path / "saved")
    moved = tmp_path / "elsewhere.mp4"
    moved.write_bytes(Path(selection.video).read_bytes())
    done = kframes(str(tmp_path / "saved"), *EXPORT_KINDS, "--out", str(tmp_path / "out"), "--video", str(moved))
    assert done.returncode == 0, done.stderr
    assert {Path(line) for line in done.stdout.splitlines()} == set((tmp_path / "out").iterdir())
    assert len(done.stdout.splitlines()) == 12


def test_errors_are_one_line(selection: Selection, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", every(40, 100))
    replace(selection, video=str(tmp_path / "gone.mp4")).save(tmp_path / "gone")
    replace(selection, clips=()).save(tmp_path / "none")
    replace(selection, clips=(Clip(100, 200),)).save(tmp_path / "late")
    (tmp_path / "file").write_text("")
    for arguments, code, said in (
        ((str(tmp_path / "gone"), "edl"), 1, "gone.mp4"),
        ((str(tmp_path / "gone"), "mp4", "--video", str(other)), 1, "is not the video of the selection"),
        ((str(tmp_path / "none"), "mp4"), 1, "no clips"),
        ((str(tmp_path / "late"), "edl"), 1, "starts at 100.0 s, but the video ends at 8.0 s"),
        ((str(tmp_path / "none"), "csv", "--out", str(tmp_path / "file")), 1, "cannot be written"),
        ((str(tmp_path), "csv"), 1, "no selection can be read"),
        ((str(tmp_path / "gone"), "avi"), 2, "avi"),
    ):
        done = kframes(*arguments)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert code == 2 or done.stderr.count("\n") == 1, done.stderr


def test_an_earlier_file_stays_where_writing_fails(selection: Selection, tmp_path: Path) -> None:
    found = choose(make_video(tmp_path / "film.avi", every(40, 50), codec="ffv1"), (Clip(0.5, 1.0),))
    (tmp_path / "clip_001.mp4").write_text("mine")
    with pytest.raises(KFramesError):
        export(found, "mp4", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"film.avi", "clip_001.mp4"}
    assert (tmp_path / "clip_001.mp4").read_text() == "mine"
    with pytest.raises(ValueError, match="kind must be one of"):
        export(found, "mpeg", tmp_path)  # type: ignore[arg-type]
