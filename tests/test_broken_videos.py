"""Hostile and odd files: an error that names file, cause and fix, or a right result with a note; in bounded time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notes import sentences

from kframes_plugin.errors import VideoError
from kframes_plugin.video import OpenVideo

pytestmark = pytest.mark.timeout(10)  # seconds a file; a hang is killed here

UNICODE = "unicode name видео 你好 (тест) 🎬 #1 %20.mp4"

# file: what the message says after the path
ERRORS = {
    "audio_only.mp4": r"has no video stream \(its streams: audio\); give",
    "audio_with_cover_art.m4a": r"has only a cover picture \(its streams: audio, video\); give",
    "dangling_symlink.mp4": "is a symbolic link to a file that does not exist; check",
    "directory.mp4": "is a directory, not a video file; give",
    "encrypted_cenc_clearkey.mp4": "cannot be opened: it is encrypted .*; decrypt",
    "header_only.mp4": "cannot be opened: its index .* truncated; copy or download it again",
    "init_segment_no_frames.mp4": "has a video stream but no decodable frame in it; the file is incomplete",
    "text_file.mp4": "cannot be opened: it is not a video",
    "truncated_no_moov.mp4": r"cannot be opened: its index \(moov\) is missing, so the file looks truncated; copy",
    "video_stream_without_frames.ts": "has a video stream but no decodable frame in it; the file is incomplete",
    "vp9_invalid_bitstream.webm": r"has a video stream \(vp9\) but no decodable frame: .*; copy or download it again",
    "zero_byte.mp4": r"cannot be opened: the file is empty \(0 bytes\); copy",
}

# file: frames that can be decoded, seconds to the end of the last one, words of the note (None: nothing odd to say)
READABLE: dict[str, tuple[int, float, str | None]] = {
    "all_black_3s.mp4": (75, 3.0, None),
    "claims_143165s_has_1s.mp4": (30, 1.001, None),  # FFmpeg already drops that claim
    "corrupt_middle.mp4": (212, 8.008, "damaged: 212 of 240 frames can be decoded"),
    "corrupt_middle.ts": (212, 8.008, "damaged: 212 of 222 frames can be decoded"),
    "edit_list_negative_start.mp4": (121, 4.037, None),
    "extreme_aspect_16x4000.ts": (30, 1.0, None),
    "huge_claimed_duration.mkv": (240, 8.008, "claims 108000.0 s, but its pictures end at 8.0 s"),
    "huge_claimed_duration.mp4": (240, 8.008, None),
    "jpeg_image.mp4": (1, 0.04, None),
    "mdat_too_long.mp4": (30, 1.001, None),
    "nonmonotonic_pts.mkv": (240, 8.008, "time stamps go back"),
    "one_frame.mp4": (1, 0.033, None),
    "resolution_change.ts": (242, 8.075, "time stamps go back or start again"),
    "starts_mid_gop.ts": (180, 6.006, "its first 24 frames cannot be decoded"),
    "static_picture_4s.mp4": (100, 4.0, None),
    "timestamp_jump_back.ts": (361, 12.045, "time stamps go back or start again"),
    "tiny_32x18.mp4": (90, 3.003, None),
    "truncated_half.webm": (176, 5.866, "claims 12.0 s, but its pictures end at 5.9 s"),
    "truncated_half_faststart.mp4": (105, 3.503, "of the 240 frames in its header are there"),
    UNICODE: (240, 8.008, None),
    "vfr_extreme_gaps.mp4": (37, 39.855, None),
    "vvc_codec.mp4": (120, 5.0, None),
    "webm_named.mp4": (90, 3.0, None),
}

# Damaged, joined, edit-listed, without pictures in time order, or of a codec from after 2022.
NOT_FOR_DECORD = {
    "corrupt_middle.mp4",
    "corrupt_middle.ts",
    "edit_list_negative_start.mp4",
    "extreme_aspect_16x4000.ts",
    "jpeg_image.mp4",
    "nonmonotonic_pts.mkv",
    "resolution_change.ts",
    "starts_mid_gop.ts",
    "timestamp_jump_back.ts",
    "truncated_half_faststart.mp4",
    "vvc_codec.mp4",
}


@pytest.fixture
def broken(shared_videos: Path, tmp_path: Path) -> Any:
    """broken(name) -> path; the three entries that are not stored are made here."""

    def find(name: str) -> Path:
        path = tmp_path / name
        if name == "directory.mp4":
            path.mkdir()
        elif name == "dangling_symlink.mp4":
            path.symlink_to(tmp_path / "nowhere.mp4")
        elif name == UNICODE:
            shutil.copy(shared_videos / "broken" / "huge_claimed_duration.mp4", path)
        else:
            path = shared_videos / "broken" / name
        return path

    return find


def test_every_entry_of_the_manifest_is_here(shared_videos: Path) -> None:
    manifest = json.loads((shared_videos / "broken" / "MANIFEST.json").read_text(encoding="utf-8"))
    assert {item["file"] for item in manifest["items"]} == ERRORS.keys() | READABLE.keys()
    assert {item["file"] for item in manifest["items"] if item["kind"] == "error"} == ERRORS.keys()


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_what_cannot_be_read_says_which_file_why_and_what_to_do(broken: Any, name: str, decoder: Any) -> None:
    path = broken(name)
    with pytest.raises(VideoError, match=ERRORS[name]) as caught:
        OpenVideo(path, decoder=decoder)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", READABLE)
def test_what_can_be_read_is_read_rightly_and_oddities_are_noted(broken: Any, name: str) -> None:
    frames, duration, note = READABLE[name]
    with OpenVideo(broken(name)) as video:
        few = video.candidates(8, size=64)
        assert len(few) == min(8, frames)
        if name.startswith(("corrupt", "truncated", "starts_mid")):
            assert sentences(video.notes)  # damage shows even where the few frames are not touched by it
        every_one = video.candidates(10_000, size=64)  # more than there are
        times = [frame.timestamp for frame in every_one]
        assert len(times) == len(video.timestamps) == frames
        assert times[0] == 0
        assert (np.diff(times) > 0).all()
        assert video.duration == pytest.approx(duration, abs=0.002)
        assert all(frame.duration > 0 for frame in every_one)
        assert len({frame.image.size for frame in every_one}) == 1
        assert min(every_one[0].image.size) >= 1
        in_passing = list(video.frames(size=64))
        assert [frame.timestamp for frame in in_passing] == times
        for one, other in zip(every_one, in_passing, strict=True):
            assert one.image.tobytes() == other.image.tobytes()
        middle = video.frames_at([frames // 2 and times[frames // 2]], size=64)[0]
        assert middle.image.tobytes() == in_passing[frames // 2].image.tobytes()
        assert (note is None and video.notes == ()) or any(note in said for said in sentences(video.notes) if note)


@pytest.mark.parametrize("name", READABLE)
def test_decord_reads_it_rightly_or_says_what_to_do(broken: Any, name: str) -> None:
    pytest.importorskip("decord", reason="decord has wheels for Linux x86-64 and Windows only")
    path = broken(name)
    if name in NOT_FOR_DECORD:
        with pytest.raises(VideoError, match=r'decoder "decord" .*codec .*Use decoder="pyav"\.$') as caught:
            OpenVideo(path, decoder="decord").candidates(8)
        assert str(caught.value).startswith(f"{path}: ")
        return
    with OpenVideo(path, decoder="decord") as video, OpenVideo(path) as other:
        candidates, expected = video.candidates(8, size=64), other.candidates(8, size=64)
    assert [frame.timestamp for frame in candidates] == [frame.timestamp for frame in expected]
    for one, two in zip(candidates, expected, strict=True):
        apart = np.abs(np.asarray(one.image, np.int16) - np.asarray(two.image, np.int16)).mean()
        assert apart < 8  # they scale differently


def test_a_change_of_picture_size_keeps_the_cut(broken: Any) -> None:
    with OpenVideo(broken("resolution_change.ts")) as video:
        before, after = video.frames_at([4.0, 4.1], size=64)
        assert before.image.size == after.image.size == (64, 36)
        same = video.frames_at([3.9, 4.0], size=64)
        apart = [np.abs(np.asarray(a.image, int) - np.asarray(b.image, int)).mean() for a, b in ((before, after), same)]
        assert apart[0] > 2 * apart[1]


def test_a_gap_shows_the_frame_before_it(broken: Any) -> None:
    with OpenVideo(broken("vfr_extreme_gaps.mp4")) as video:
        assert video.frames_at([15.0], size=64)[0].timestamp == pytest.approx(6.70, abs=0.01)
