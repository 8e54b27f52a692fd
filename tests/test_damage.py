"""Pictures that come with errors: told, and sound ones near by are taken, k of them as before."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fuzz_worker import K
from numpy.typing import NDArray
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, OpenVideo
from kframes_plugin.clips.cheap_frames import move_off_damage

TIMES = np.arange(100) * 0.1


def bad(*spans: tuple[int, int]) -> NDArray[np.bool_]:
    marks = np.zeros(100, np.bool_)
    for start, end in spans:
        marks[start:end] = True
    return marks


@pytest.mark.parametrize(
    ("chosen", "edges", "damaged", "expected"),
    [
        ([2.0, 5.0, 8.0], [], bad((45, 53)), [2.0, 5.3, 8.0]),
        ([2.0, 5.0, 8.0], [4.8, 5.2], bad((45, 53)), [2.0, 5.0, 8.0]),  # nothing sound in its own clip
        ([2.0, 5.0, 8.0], [4.0, 6.0], bad((45, 60)), [2.0, 4.4, 8.0]),
        ([0.0, 9.9], [], bad((0, 100)), [0.0, 9.9]),
        ([0.0, 9.9], [], bad((0, 10), (90, 100)), [1.0, 8.9]),
        ([1.0, 1.1, 1.2], [], bad((11, 12)), [1.0, 1.1, 1.2]),  # no room between its neighbours
    ],
)
def test_damaged_frames_move_inside_their_own_stretches(
    chosen: list[float], edges: list[float], damaged: NDArray[np.bool_], expected: list[float]
) -> None:
    assert move_off_damage(chosen, edges, TIMES, damaged, 10.0) == pytest.approx(expected)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """100 frames in groups of ten; the packets of the fifth group, but for its I-frame's head, are noise."""
    options = {"sc_threshold": "0", "bf": "0"}
    path = make_video(tmp_path / "a.ts", every(40, 100), gop=10, size=(320, 240), options=options)
    data = bytearray(path.read_bytes())
    packets = len(data) // 188
    rng = np.random.default_rng(2)
    for packet in range(int(packets * 0.43), int(packets * 0.5)):
        data[packet * 188 + 40 : packet * 188 + 180] = rng.bytes(140)
    path.write_bytes(data)
    return path


def test_a_sound_frame_of_the_clip_is_taken_and_k_stays(film: Path) -> None:
    clip = Clip(0.0, 4.0)
    selection = KFrames(lambda frames, query: [clip], candidates=10).select(film, "a", K, strategy="focused")
    assert len(selection.frames) == K
    assert "damaged-pictures" in {note.code for note in selection.notes}
    assert [read_number(frame.image) for frame in selection.frames] == [
        round(frame.timestamp / 0.04) for frame in selection.frames
    ]


def test_damage_is_told_and_exact_spacing_is_kept_where_it_is_asked_for(film: Path) -> None:
    with OpenVideo(film) as video:
        video.frames_at(video.timestamps)
        assert 1 <= video.is_damaged.sum() < 30
        assert "damaged-pictures" in {note.code for note in video.notes}
        asked = video.timestamps[::5]
    exact = KFrames(lambda frames, query: [], exact=True, candidates=4).select(film, "a", 20, strategy="uniform")
    assert len(exact.frames) == 20
    assert set(exact.timestamps) <= {*asked, *video.timestamps}


def test_sound_files_have_no_marks(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.ts", "mpeg2video")):
        settings = {"bf": "2"} if codec == "libx264" else {}
        path = make_video(tmp_path / name, range(50), Fraction(1, 25), codec=codec, options=settings)
        with OpenVideo(path) as video:
            video.frames_at(video.timestamps[::7])
            assert not video.is_damaged.any()
            assert video.notes == ()
