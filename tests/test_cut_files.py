"""Files whose end is missing, in every container: a note, and the frames that are there; whole ones have none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from video_maker import make_video, numbered_picture, read_number

from kframes_plugin import OpenVideo

FILES: dict[str, dict[str, Any]] = {
    "a.mp4": {"muxer_options": {"movflags": "faststart"}},
    "fragments.mp4": {"muxer_options": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mov": {"codec": "mpeg4", "muxer_options": {"movflags": "faststart"}},
    "a.mkv": {},
    "live.mkv": {"muxer_options": {"live": "1"}},
    "a.webm": {"codec": "libvpx-vp9"},
    "a.avi": {"codec": "mpeg4"},
    "a.ts": {},
    "blu.m2ts": {"codec": "mpeg2video", "muxer_options": {"mpegts_m2ts_mode": "1"}},
    "a.flv": {"codec": "flv"},
    "b.flv": {},
    "a.ogv": {"codec": "libtheora"},
    "a.wmv": {"codec": "wmv2"},
}


@pytest.fixture(scope="module", params=[*FILES, "a.gif"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / str(request.param)
    if path.suffix == ".gif":
        pictures = [Image.fromarray(numbered_picture(number, 160, 120)) for number in range(60)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
        return path
    settings = dict(FILES[path.name])
    if settings.get("codec") == "libtheora" and "libtheora" not in av.codecs_available:
        settings["codec"] = "libvpx"
    return make_video(path, range(60), Fraction(1, 25), gop=10, **settings)


def cuts(size: int) -> Iterator[int]:
    """Bytes that are left: nearly all, most, half; no multiple of a packet."""
    for share in (0.97, 0.8, 0.5):
        length = int(size * share)
        yield length - (length % 188 == 0 or length % 192 == 0)
    yield size - 1


def test_a_file_that_ends_too_soon_is_told_and_a_whole_one_is_not(whole: Path, tmp_path: Path) -> None:
    with OpenVideo(whole) as video:
        assert "cut-short" not in {note.code for note in video.notes}
        assert len(video.timestamps) == 60
    data = whole.read_bytes()
    for length in cuts(len(data)):
        path = tmp_path / whole.name
        path.write_bytes(data[:length])
        with OpenVideo(path) as video:
            codes = {note.code for note in video.notes}
            assert codes & {"cut-short", "damaged"}, length
            frames = video.candidates(1000)
            assert len(frames) == len(video.timestamps) <= 60
            assert (np.diff([frame.timestamp for frame in frames]) > 0).all()
            if length < 0.9 * len(data):
                assert len(frames) < 60
                assert "cut-short" in codes
                for frame in frames[:5]:
                    assert read_number(frame.image) == round(frame.timestamp / 0.04)
