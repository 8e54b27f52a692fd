"""OpenVideo on videos whose pixels tell which frame they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from notes import sentences
from PIL import Image
from video_maker import MILLISECONDS, every, make_video, numbered_picture, read_number

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Frame
from kframes_plugin.video import OpenVideo

PER_FRAME = Fraction(1, 25)
UNEVEN = [0, 10, 15, 200, 240, 900, 905, 1300, 1310, 1320, 1330, 1900, 2500, 2501, 2600, 2700, 3000, 3900, 4000, 5300]
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:scenecut=0:keyint=12:min-keyint=12"}

# name: (time stamps, other arguments of make_video). Constant and variable rate, late start, B-frames, open groups of
# pictures, hidden frames (VP8/9 alt-ref), rotation, odd sizes, 10 bit, and containers that say little.
CASES: dict[str, tuple[list[int], dict[str, Any]]] = {
    "constant.mp4": (every(40, 60), {"options": {"bf": "2"}}),
    "no_b_frames.mp4": (every(40, 60), {"options": {"bf": "0"}}),
    "late_start.mp4": (every(40, 60, start=1480), {}),
    "late_start.mkv": (every(40, 60, start=1480), {}),
    "late_start.ts": (every(40, 60, start=1480), {}),
    "variable.mp4": (UNEVEN, {}),
    "variable.mkv": (UNEVEN, {}),
    "variable.ts": (UNEVEN, {}),
    "open_gop.mp4": (every(40, 60), {"options": OPEN_GOP}),
    "open_gop.ts": (every(40, 60), {"options": OPEN_GOP}),
    "one_i_frame.mp4": (every(40, 60), {"gop": 1000}),
    "intra_refresh.mp4": (every(40, 60), {"options": {"x264-params": "intra-refresh=1:keyint=20"}}),
    "fragmented.mp4": (every(40, 60), {"muxer_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "turned_90.mp4": (every(40, 30), {"rotation": 90, "size": (160, 96)}),
    "turned_180.mp4": (every(40, 30), {"rotation": 180}),
    "turned_270.mkv": (every(40, 30), {"rotation": 270, "size": (160, 96)}),
    "hevc.mp4": (every(40, 40), {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}}),
    "hevc_closed.mp4": (
        every(40, 40),
        {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3:open-gop=0"}},
    ),
    "vp8.webm": (every(40, 40), {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    "vp9_odd.webm": (every(40, 40), {"codec": "libvpx-vp9", "size": (161, 117), "options": {"cpu-used": "8"}}),
    "mpeg4.avi": (list(range(40)), {"codec": "mpeg4", "time_base": PER_FRAME, "options": {"bf": "2"}}),
    "mpeg4_no_b.avi": (list(range(40)), {"codec": "mpeg4", "time_base": PER_FRAME}),
    "mpeg2.ts": (list(range(60)), {"codec": "mpeg2video", "time_base": PER_FRAME, "options": {"bf": "2"}}),
    "mpeg2.mpg": (list(range(60)), {"codec": "mpeg2video", "time_base": PER_FRAME, "options": {"bf": "2"}}),
    "h264_10_bit.mkv": (every(40, 30), {"pixel_format": "yuv420p10le"}),
    "prores.mov": (every(40, 12), {"codec": "prores_ks", "pixel_format": "yuv422p10le"}),
    "raw.h264": (list(range(40)), {"time_base": PER_FRAME}),
}
FOR_DECORD = [
    "constant.mp4",
    "late_start.mp4",
    "late_start.mkv",
    "variable.mp4",
    "variable.mkv",
    "open_gop.mp4",
    "vp8.webm",
    "hevc_closed.mp4",
    "one_i_frame.mp4",
    "turned_90.mp4",
    "turned_180.mp4",
    "vp9_odd.webm",
    "mpeg4_no_b.avi",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """made(name) -> path of a case, written once."""
    folder = tmp_path_factory.mktemp("videos")

    def make(name: str) -> Path:
        stamps, options = CASES[name]
        path = folder / name
        return path if path.exists() else make_video(path, stamps, **options)

    return make


def numbers(frames: Any) -> list[int]:
    return [read_number(frame.image) for frame in frames]


def true_times(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    stamps, options = CASES[name]
    base = options.get("time_base", MILLISECONDS)
    return np.array([float((stamp - stamps[0]) * base) for stamp in stamps])


@pytest.mark.parametrize(
    ("name", "decoder"), [*((name, "pyav") for name in CASES), *((name, "decord") for name in FOR_DECORD)]
)
def test_the_frame_at_t_is_the_one_on_screen(made: Any, name: str, decoder: Any) -> None:
    if decoder == "decord":
        pytest.importorskip("decord", reason="decord has wheels for Linux x86-64 and Windows only")
    with OpenVideo(made(name), decoder=decoder) as video:
        times = video.timestamps
        assert times[0] == 0
        assert times == pytest.approx(true_times(name), abs=0.0011)  # Matroska and some muxers keep milliseconds
        assert video.duration > times[-1]
        count = len(times)
        ranks = list(range(count))
        assert numbers(video.frames_at(times)) == ranks
        just_before = np.nextafter(times[1:], 0)
        assert numbers(video.frames_at(just_before)) == ranks[:-1]
        ends = [*times[1:], video.duration]
        shuffled = np.random.default_rng(0).permutation(np.repeat(ranks, 2))[:30]
        inside = [times[rank] + 0.7 * (ends[rank] - times[rank]) for rank in shuffled]
        assert numbers(video.frames_at(inside)) == shuffled.tolist()
        assert numbers(video.frames_at([inside[0]])) == [shuffled[0]]
        every_one = list(video.frames())
        assert numbers(every_one) == ranks
        assert [frame.timestamp for frame in every_one] == times.tolist()
        assert [frame.end for frame in every_one] == pytest.approx(ends)


@pytest.mark.parametrize("name", ["constant.mp4", "variable.mkv", "open_gop.ts", "mpeg4.avi", "one_i_frame.mp4"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 19, 20, 59, 60, 1000])
def test_candidates_are_distinct_in_order_and_cover_the_video(made: Any, name: str, count: int) -> None:
    with OpenVideo(made(name)) as video:
        candidates = video.candidates(count)
        assert len(candidates) == min(count, len(video.timestamps))
        assert candidates.duration == video.duration
        seen = numbers(candidates)
        assert seen == sorted(set(seen))
        assert [frame.timestamp for frame in candidates] == [video.timestamps[rank] for rank in seen]
        for frame, following in pairwise(candidates):
            assert frame.end == pytest.approx(following.timestamp)
        assert candidates[-1].end == pytest.approx(video.duration)


def test_a_candidate_is_the_nearest_i_frame_within_half_a_stride_and_costs_one_picture(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 300), gop=10, options={"sc_threshold": "0", "bf": "2"})
    with OpenVideo(path) as video:
        before = video.frames_decoded
        assert numbers(video.candidates(15)) == list(range(10, 300, 20))
        assert video.frames_decoded - before == 15
        assert numbers(video.candidates(30)) == list(range(0, 300, 10))
        assert video.frames_decoded - before == 30, "15 of them were there"


def test_what_was_decoded_is_kept_by_rank_and_size_until_there_is_no_room(made: Any) -> None:
    a_frame = 160 * 120 * 4
    with OpenVideo(made("constant.mp4"), kept_bytes=3 * a_frame) as video:
        first = video.frames_at([0.0, 0.4])
        cost = video.frames_decoded
        again = video.frames_at([0.0, 0.4])
        assert video.frames_decoded == cost
        assert [frame.image for frame in again] == [frame.image for frame in first]
        small = video.frames_at([0.0], size=80)
        assert video.frames_decoded > cost, "another size is another picture"
        assert small[0].image.size == (80, 60)
        video.frames_at([0.0])
        video.frames_at([0.8, 1.2])  # no room for these and all others: 0.4 goes, 0.0 was used later
        cost = video.frames_decoded
        video.frames_at([0.0, 0.8, 1.2])
        assert video.frames_decoded == cost
        assert numbers(video.frames_at([0.4])) == [10]
        assert video.frames_decoded > cost
    with OpenVideo(made("constant.mp4"), kept_bytes=0) as video:
        video.frames_at([0.0])
        cost = video.frames_decoded
        video.frames_at([0.0])
        assert video.frames_decoded > cost
    with pytest.raises(ValueError, match="kept_bytes must be at least 0; got -1"):
        OpenVideo(made("constant.mp4"), kept_bytes=-1)


def test_where_i_frames_are_rare_candidates_are_near_their_middles(made: Any) -> None:
    with OpenVideo(made("one_i_frame.mp4")) as video:
        assert numbers(video.candidates(5)) == [0, 18, 30, 43, 54], "43 needs fewer packets than 42, a B-frame"


@pytest.mark.parametrize(("start", "container"), [(0, "mp4"), (1480, "ts")])
def test_where_a_frame_begins_it_is_on_screen(tmp_path: Path, start: int, container: str) -> None:
    with OpenVideo(make_video(tmp_path / f"a.{container}", every(100, 60, start=start))) as video:
        assert video.timestamps[39] == 3.9
        times = [3.9, 3.9000000000000004, 3.8999999999999995, 3.95, 0.0, np.nextafter(video.duration, 0)]
        assert numbers(video.frames_at(times)) == [39, 39, 38, 39, 0, 59]


@pytest.mark.parametrize("time", [-0.001, float("nan"), float("inf"), 2.4])
def test_times_outside_the_video_are_refused(made: Any, time: float) -> None:
    with OpenVideo(made("constant.mp4")) as video, pytest.raises(ValueError, match=r"must lie in \[0, 2.4\) s; got"):
        video.frames_at([0.0, time])


def test_what_a_video_says_of_itself(made: Any) -> None:
    with OpenVideo(made("turned_90.mp4")) as video:
        assert (video.width, video.height, video.rotation) == (96, 160, 90)
        assert (video.codec, video.container, video.decoder) == ("h264", "mp4", "pyav")
        assert video.path == str(made("turned_90.mp4"))
        assert video.duration == pytest.approx(1.2)
        assert video.frame_rate == pytest.approx(25)
        assert video.notes == ()
        assert video.frames_at([0.5])[0].image.size == (96, 160)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, (160, 120)),
        (80, (80, 60)),
        (1000, (160, 120)),
        (1, (1, 1)),
        ((50, 70), (50, 70)),
        ((300, 200), (300, 200)),
    ],
)
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_sizes(made: Any, size: Any, expected: tuple[int, int], decoder: Any) -> None:
    if decoder == "decord":
        pytest.importorskip("decord", reason="decord has wheels for Linux x86-64 and Windows only")
        if size == 1:  # more than it can do, and it says so
            with (
                OpenVideo(made("constant.mp4"), decoder=decoder) as video,
                pytest.raises(VideoError, match="fails while"),
            ):
                video.candidates(2, size=size)
            return
    with OpenVideo(made("constant.mp4"), decoder=decoder) as video:
        frames = [
            *video.candidates(2, size=size),
            *video.frames_at([1.0], size=size),
            next(iter(video.frames(size=size))),
        ]
        assert {frame.image.size for frame in frames} == {expected}
        assert {frame.image.mode for frame in frames} == {"RGB"}
        if min(expected) >= 50:
            assert numbers(video.frames_at([1.0], size=size)) == [25]


@pytest.mark.parametrize("size", [0, -3, (0, 10), (10,)])
def test_sizes_that_make_no_sense_are_refused(made: Any, size: Any) -> None:
    with OpenVideo(made("constant.mp4")) as video, pytest.raises(ValueError, match="at least 1"):
        video.candidates(2, size=size)


def test_arguments_that_make_no_sense_are_refused(made: Any) -> None:
    with pytest.raises(ValueError, match='"pyav" or "decord"; got \'opencv\''):
        OpenVideo(made("constant.mp4"), decoder="opencv")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path must be a str"):
        OpenVideo(b"a.mp4")  # type: ignore[arg-type]
    with OpenVideo(made("constant.mp4")) as video, pytest.raises(ValueError, match="count must be at least 1; got 0"):
        video.candidates(0)


def test_progress_counts_frames(made: Any) -> None:
    seen: list[tuple[int, int]] = []
    with OpenVideo(made("constant.mp4")) as video:
        video.candidates(5, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(done, 5) for done in range(1, 6)]
        seen.clear()
        video.frames_at([0.1, 0.1, 2.0], progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 2), (2, 2)]


def test_a_closed_video_says_so(made: Any) -> None:
    video = OpenVideo(made("constant.mp4"))
    video.close()
    video.close()
    assert video.duration == pytest.approx(2.4)
    with pytest.raises(ValueError, match="is closed; open it again"):
        video.candidates(3)
    with pytest.raises(ValueError, match="is closed; open it again"):
        next(video.frames())


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    for ratio, width in ((Fraction(32, 27), 190), (Fraction(144, 143), 160), (Fraction(1, 2), 80)):
        path = tmp_path / f"{width}.mp4"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            stream.codec_context.sample_aspect_ratio = ratio
            for number in range(5):
                output.mux(
                    stream.encode(av.VideoFrame.from_ndarray(numbered_picture(number, 160, 120), format="rgb24"))
                )
            output.mux(stream.encode(None))
        with OpenVideo(path) as video:
            assert (video.width, video.height) == (width, 120)
            assert numbers(video.frames()) == list(range(5))


# ---- damaged, joined and wrongly named files


def test_the_name_does_not_choose_the_container(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "видео 你好 #1 %20 🎬.mp4"
    path.write_bytes(made("vp8.webm").read_bytes())
    with OpenVideo(path) as video:
        assert (video.container, video.codec) == ("matroska", "vp8")
        assert len(video.candidates(100)) == 40


def test_joined_streams_get_one_rising_time_line(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(made("late_start.ts").read_bytes() * 2)
    with OpenVideo(path) as video:
        assert len(video.timestamps) == 120
        assert np.diff(video.timestamps) == pytest.approx(np.full(119, 0.04), abs=1e-6)
        assert numbers(video.frames_at([2.36, 2.4, 4.0])) == [59, 0, 40]
        assert numbers(video.candidates(4)) == [15, 45, 15, 45]
        assert any("time stamps go back or start again" in note for note in sentences(video.notes))


def test_a_leap_of_hours_in_a_broadcast_stream_is_a_splice(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", [*every(40, 30), *every(40, 30, start=7_200_000)], gop=10)
    with OpenVideo(path) as video:
        assert video.duration < 3
        assert numbers(video.frames_at(video.timestamps)) == list(range(60))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """100 frames in groups of 20; the middle tenth of the picture data is noise."""
    path = make_video(tmp_path / "a.mp4", every(40, 100), gop=20, size=(320, 240), options={"sc_threshold": "0"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    noise = np.random.default_rng(1).integers(0, 256, length // 10, np.uint8).tobytes()
    middle = start + length * 45 // 100
    data[middle : middle + len(noise)] = noise
    path.write_bytes(data)
    return path


def test_of_a_damaged_video_all_that_can_be_decoded_comes_and_a_note(damaged: Path) -> None:
    with OpenVideo(damaged) as video:
        frames = video.candidates(1000)
        assert 80 <= len(frames) < 100
        assert len(frames) == len(video.timestamps)
        assert any(note.startswith("damaged: ") and "of 100 frames" in note for note in sentences(video.notes))
        for frame in frames[:30]:  # before the damage; inside it the decoder conceals what is lost
            assert read_number(frame.image) == round(frame.timestamp / 0.04)
        assert len(list(video.frames())) == len(frames)


def test_a_video_cut_short_is_read_to_its_true_end(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 100), muxer_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with OpenVideo(path) as video:
        frames = video.candidates(1000)
        assert 30 < len(frames) < 90
        assert video.duration == pytest.approx(len(frames) * 0.04, abs=0.1)
        assert any("of the 100 frames in its header are there" in note for note in sentences(video.notes))


def test_a_stream_cut_at_its_start_begins_with_what_can_be_decoded(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    data = made("open_gop.ts").read_bytes()
    path.write_bytes(data[len(data) // 188 // 3 * 188 :])
    with OpenVideo(path) as video:
        seen = numbers(video.frames())
        assert 20 < len(seen) < 60
        assert seen == list(range(seen[0], 60))
        assert numbers(video.candidates(1000)) == seen
        assert any("starts in the middle" in note for note in sentences(video.notes))


@pytest.mark.parametrize("name", ["constant.mp4", "late_start.mkv", "open_gop.ts", "vp8.webm", "mpeg4.avi"])
def test_bytes_changed_at_random_give_consistent_frames_or_an_error(made: Any, tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(7)
    sound = made(name).read_bytes()
    path = tmp_path / name
    for round_ in range(25):
        data = bytearray(sound)
        start = int(rng.integers(len(data)))
        if round_ % 3 == 0:
            del data[start : start + int(rng.integers(1, len(data) // 4))]
        elif round_ % 3 == 1:
            data[start : start + 200] = rng.bytes(200)
        else:
            for place in rng.integers(0, min(3000, len(data)), 5):
                data[place] = int(rng.integers(256))
        path.write_bytes(data)
        with suppress(VideoError), OpenVideo(path) as video:
            few = video.candidates(5, size=32)
            assert len(few) == min(5, len(video.timestamps)) or sentences(video.notes)
            frames = video.candidates(10_000, size=32)
            assert [frame.timestamp for frame in frames] == video.timestamps.tolist()
            assert (np.diff(video.timestamps) > 0).all()
            assert video.duration > video.timestamps[-1]


def test_other_calls_may_come_between_the_frames_of_a_pass(made: Any) -> None:
    with OpenVideo(made("open_gop.mp4")) as video:
        seen = []
        for place, frame in enumerate(video.frames()):
            seen.append(read_number(frame.image))
            if place % 10 == 0:
                assert numbers(video.frames_at([2.0, 0.4])) == [50, 10]
                assert len(video.candidates(60)) == 60
        assert seen == list(range(60))


# ---- what is refused


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_pixels": 160 * 120 - 1}, r"160 x 120 = 19,200 pixels, more than max_pixels = 19,199"),
        ({"max_duration": 2.3}, r"more than max_duration = 2"),
    ],
)
def test_limits(made: Any, limits: Any, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        OpenVideo(made("constant.mp4"), **limits)
    with OpenVideo(made("constant.mp4"), max_pixels=160 * 120, max_duration=2.4, max_streams=1) as video:
        assert len(video.timestamps) == 60


def test_other_streams_count_but_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "three.mp4"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("mpeg4", rate=25) for _ in range(3)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(10):
            for offset, stream in enumerate(streams):
                picture = numbered_picture(number + 100 * offset, 160, 120)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            output.mux(stream.encode(None))
    with pytest.raises(VideoError, match="more than 2 streams, the most that max_streams allows; raise max_streams"):
        OpenVideo(path, max_streams=2)
    with OpenVideo(path, max_streams=3) as video:
        assert numbers(video.frames()) == list(range(10))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n")
    expected = {
        tmp_path: "is a directory, not a video file",
        tmp_path / "missing.mp4": "does not exist; check the path",
        tmp_path / "dangling.mp4": "symbolic link to a file that does not exist",
        tmp_path / "pipe.mp4": "is a pipe, not a video file",
        Path(os.devnull): "is a device, not a video file",
        tmp_path / "empty.mp4": r"the file is empty \(0 bytes\)",
        tmp_path / "text.mp4": "not a video in a known container",
        tmp_path / "frame%03d.png": "does not exist",
    }
    for path, message in expected.items():
        with pytest.raises(VideoError, match=message) as caught:
            OpenVideo(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "name", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "lavfi:testsrc", "pipe:0", "-"]
)
def test_no_path_is_read_as_a_protocol(made: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("a.mp4", "b.mp4"):
        (tmp_path / part).write_bytes(made("constant.mp4").read_bytes())
    with pytest.raises(VideoError, match="does not exist"):
        OpenVideo(name)
    (tmp_path / name).write_bytes(made("vp8.webm").read_bytes())
    with OpenVideo(name) as video:
        assert video.codec == "vp8"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2.4,\nreal.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2.4,\n{server}/real.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile real.ts\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_playlists_are_not_followed_whatever_they_are_called(
    made: Any, tmp_path: Path, server: Any, text: str, name: str
) -> None:
    (tmp_path / "real.ts").write_bytes(made("late_start.ts").read_bytes())
    (tmp_path / name).write_text(text.format(server=server.url))
    with pytest.raises(VideoError, match="is a playlist that points to other files"):
        OpenVideo(tmp_path / name)
    assert server.asked == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """Serves tmp_path on loopback; ``asked`` lists the requests."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as running:
        running.asked = asked  # type: ignore[attr-defined]
        running.url = f"http://127.0.0.1:{running.server_port}"  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


def test_urls_are_read_only_when_asked_for(made: Any, tmp_path: Path, server: Any) -> None:
    (tmp_path / "a.mkv").write_bytes(made("constant.mp4").read_bytes())
    url = f"{server.url}/a.mkv"
    with pytest.raises(VideoError, match="is a URL, not a local file; download it, or pass allow_urls=True"):
        OpenVideo(url)
    assert server.asked == []
    with OpenVideo(url, allow_urls=True) as video:
        assert numbers(video.frames_at([0.4, 2.0])) == [10, 50]
    with pytest.raises(VideoError, match=r"missing\.mkv: cannot be opened"):
        OpenVideo(f"{server.url}/missing.mkv", allow_urls=True)


def test_decord_says_what_it_cannot_read(made: Any) -> None:
    pytest.importorskip("decord", reason="decord has wheels for Linux x86-64 and Windows only")
    for name in ("late_start.ts", "mpeg4.avi", "hevc.mp4", "turned_270.mkv", "raw.h264"):
        with pytest.raises(VideoError, match=r'decoder "decord" .*codec .*Use decoder="pyav"'):
            OpenVideo(made(name), decoder="decord")


# ---- frames given by the user


def test_frames_of_ones_own() -> None:
    pictures = np.stack([numbered_picture(number, 40, 50) for number in range(4)])
    times = [0.0, 1.0, 1.5, 9.0]
    for given in (pictures, list(pictures), [Image.fromarray(picture) for picture in pictures]):
        with OpenVideo.from_frames(given, times, duration=12.0) as video:
            assert (video.width, video.height, video.duration, video.path) == (40, 50, 12.0, "")
            assert numbers(video.frames_at([8.999, 9.0, 0.0, 11.9])) == [2, 3, 0, 3]
            assert numbers(video.candidates(10)) == [0, 1, 2, 3]
            assert video.candidates(2, size=25)[0].image.size == (20, 25)
            assert [frame.duration for frame in video.frames()] == [1.0, 0.5, 7.5, 3.0]
    frames = [Frame(0.5, 1.5, Image.fromarray(pictures[0])), Frame(2.0, 3.0, Image.fromarray(pictures[1]))]
    with OpenVideo.from_frames(frames) as video:
        assert video.duration == 5.0


@pytest.mark.parametrize(
    ("frames", "times", "duration", "message"),
    [
        ([], [], None, "frames is empty"),
        (np.zeros((2, 4, 4, 3), np.uint8), None, None, "one time for each of the 2 frames; got none"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0], None, "one time for each of the 2 frames; got 1"),
        (np.zeros((2, 4, 4, 3), np.uint8), [1.0, 1.0], None, "rise from frame to frame"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0, float("nan")], None, "finite"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0, 2.0], 2.0, "after the last timestamp, 2.0 s; got 2.0"),
        ([Frame(0, 1, Image.new("RGB", (2, 2)))], [0.0], None, "carry their own timestamps"),
    ],
)
def test_frames_that_make_no_sense_are_refused(frames: Any, times: Any, duration: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenVideo.from_frames(frames, times, duration)


def test_pictures_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match=r"uint8 RGB pictures of shape \(h, w, 3\); got ndarray of float32"):
        OpenVideo.from_frames(np.zeros((2, 4, 4, 3), np.float32), [0.0, 1.0])


# ---- memory


def test_a_pass_over_all_frames_keeps_one_at_a_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 300), size=(640, 360), options={"preset": "ultrafast"})
    code = f"""
import resource
from kframes_plugin.video import OpenVideo
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with OpenVideo({str(path)!r}) as video:
    frames = video.frames()
    for _ in range(20):
        next(frames)
    before = peak()
    assert sum(1 for _ in frames) == 280
    print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40  # MB; the frames together are 194
