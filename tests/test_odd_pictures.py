"""Pictures that are not plain SDR frames: HDR, interlaced, see-through, huge. Each comes right, and a note says so."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner
from video_maker import every, make_video, read_number

from kframes_plugin import OpenVideo, VideoError
from kframes_plugin.cli import app
from kframes_plugin.video.colour import to_sdr
from kframes_plugin.video.vpx import most_pixels

Pixels = NDArray[np.uint8]
PQ, HLG, BT2020, BT709, P3 = 16, 18, 9, 1, 12


def codes(video: OpenVideo) -> set[str]:
    return {note.code for note in video.notes}


def make_pictures(
    path: Path, picture: Callable[[int], Pixels], kind: str, codec: str, pixel_format: str, **settings: Any
) -> Path:
    """Ten pictures of 160 x 120 in ``kind``, as rgb24 or rgba; settings are attributes of the encoder or options."""
    options = settings.pop("options", {})
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 120, pixel_format
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture(number), format=kind)
            frame = frame.reformat(format=pixel_format, dst_colorspace=settings.get("colorspace"))
            for name in ("color_trc", "color_primaries"):
                if name in settings:
                    setattr(frame, name, settings[name])
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def grey(level: int) -> Callable[[int], Pixels]:
    return lambda number: np.full((120, 160, 3), level, np.uint8)


# ---- HDR: signals of ITU-R BT.2408, table 1: reference white is 58 % of PQ and 75 % of HLG


@pytest.mark.parametrize(("curve", "name", "signal"), [(PQ, "PQ", 0.58), (HLG, "HLG", 0.75)])
def test_reference_white_of_hdr_is_white_and_a_note_says_so(
    tmp_path: Path, curve: int, name: str, signal: float
) -> None:
    colours: dict[str, Any] = {"color_trc": curve, "color_primaries": BT2020, "colorspace": BT2020}
    path = make_pictures(tmp_path / "a.mkv", grey(round(255 * signal)), "rgb24", "ffv1", "yuv420p10le", **colours)
    with OpenVideo(path) as video:
        assert video.hdr == name
        assert [note.text for note in video.notes if note.code == "tone-mapped"] == [
            f"HDR ({name}): its pictures are tone-mapped to the standard range (SDR)"
        ]
        for frame in video.candidates(3, size=64):
            assert 235 <= np.asarray(frame.image).min() <= np.asarray(frame.image).max() <= 255


class Tagged:
    """A frame's curve and colours alone."""

    def __init__(self, curve: int, primaries: int) -> None:
        self.color_trc, self.color_primaries = curve, primaries


def mapped(values: list[list[int]], curve: int, primaries: int) -> Any:
    tagged: Any = Tagged(curve, primaries)
    return to_sdr(np.array([values], np.uint8), tagged)[0].astype(int)


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_greys_of_hdr_stay_grey_and_in_order(curve: int) -> None:
    greys = mapped([[level] * 3 for level in range(256)], curve, BT2020)
    assert np.ptp(greys, axis=1).max() <= 1
    assert (np.diff(greys[:, 1]) >= 0).all()
    assert (greys[0].max(), greys[255].min()) == (0, pytest.approx(254, abs=1))


def test_dark_light_of_pq_keeps_its_nits() -> None:
    """40.6 cd/m2 are 20 % of reference white: sRGB 124; PQ 10-bit 430."""
    assert mapped([[round(430 / 1023 * 255)] * 3], PQ, BT709)[0] == pytest.approx([124] * 3, abs=3)


def test_wide_colours_in_the_usual_range_are_only_turned() -> None:
    same = [[10, 10, 10], [128, 128, 128], [255, 255, 255]]
    assert mapped(same, BT709, BT2020) == pytest.approx(np.array(same), abs=1)
    red = mapped([[180, 60, 60]], BT709, BT2020)[0]
    assert red[0] > 190  # the same red needs more of BT.709's
    assert red[1] < 55
    assert mapped([[180, 60, 60]], BT709, P3)[0][0] > 183


def test_usual_pictures_are_not_touched(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 10))
    with OpenVideo(path) as video:
        assert (video.hdr, video.interlaced, video.alpha, video.offset, video.notes) == ("", False, False, 0.0, ())


# ---- two fields


def test_fields_of_two_moments_are_made_one_and_time_stamps_stay(tmp_path: Path) -> None:
    """A bar moves on between the two fields of each frame; combs are gone, times and order are those of the file."""

    def woven(number: int) -> Pixels:
        picture = np.full((120, 160, 3), 30, np.uint8)
        for field in (0, 1):
            left = 8 * (2 * number + field)
            picture[field::2, left : left + 24] = 220
        return picture

    path = make_pictures(
        tmp_path / "a.mpg", woven, "rgb24", "mpeg2video", "yuv420p", flags=1 << 29 | 1 << 18, bit_rate=8_000_000
    )
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    with OpenVideo(path) as video:
        assert video.interlaced
        assert codes(video) == {"deinterlaced"}
        frames = video.candidates(100)
        assert [frame.timestamp for frame in frames] == pytest.approx(np.arange(10) * 0.04)
        for frame, before in zip(frames, stored, strict=True):
            shown = np.asarray(frame.image.convert("L"), int)
            assert comb(before) > 5 * comb(shown)


def comb(grey: Any) -> float:
    """How much each line differs from those above and below it."""
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


# ---- see-through


def hidden(number: int) -> Pixels:
    """The left half is white and whole; the right half is green that nobody is to see."""
    picture = np.zeros((120, 160, 4), np.uint8)
    picture[:, :80] = 255
    picture[:, 80:] = (0, 255, 0, 0)
    return picture


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("b.webm", "libvpx", "yuva420p"),
        ("a.mov", "png", "rgba"),
        ("b.mov", "prores_ks", "yuva444p10le"),
        ("c.mov", "qtrle", "argb"),
        ("a.mkv", "ffv1", "bgra"),
    ],
)
@pytest.mark.parametrize("size", [None, 40])
def test_what_is_see_through_is_black(tmp_path: Path, name: str, codec: str, pixel_format: str, size: Any) -> None:
    kind = {"b.webm": {"auto-alt-ref": "0"}, "b.mov": {"profile": "4444"}}.get(name, {})
    path = make_pictures(tmp_path / name, hidden, "rgba", codec, pixel_format, options=kind)
    with OpenVideo(path) as video:
        assert video.alpha
        assert "see-through" in codes(video)
        for frame in video.candidates(3, size):
            shown = np.asarray(frame.image, int)
            half = shown.shape[1] // 2
            assert shown[:, : half - 2].min() > 235
            assert shown[:, half + 2 :].max() < 12


def test_a_whole_picture_with_an_alpha_channel_needs_no_note(tmp_path: Path) -> None:
    path = make_pictures(tmp_path / "a.mov", lambda n: np.full((120, 160, 4), 255, np.uint8), "rgba", "png", "rgba")
    with OpenVideo(path) as video:
        assert video.alpha
        assert np.asarray(video.candidates(2)[1].image).min() == 255
        assert video.notes == ()


# ---- the picture starts after the sound


def test_the_start_of_the_picture_is_told(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as output:
        picture: Any = output.add_stream("libx264", rate=25)
        sound: Any = output.add_stream("aac", rate=8000)
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
        for number in range(200):
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            wave.sample_rate, wave.pts, wave.time_base = 8000, number * 1024, Fraction(1, 8000)
            output.mux(sound.encode(wave))
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((120, 160, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + 75, Fraction(1, 25)
            output.mux(picture.encode(frame))
        output.mux([*picture.encode(None), *sound.encode(None)])
    with OpenVideo(path) as video:
        assert video.offset == pytest.approx(3.0, abs=0.2)
        assert video.timestamps[0] == 0
        assert "picture-late" in codes(video)
    told = CliRunner().invoke(app, ["probe", str(path), "--json"])
    assert json.loads(told.stdout)["offset"] == pytest.approx(3.0, abs=0.2)


def test_probe_has_a_line_for_each_fact(tmp_path: Path) -> None:
    path = make_pictures(tmp_path / "a.mov", hidden, "rgba", "png", "rgba")
    lines = CliRunner().invoke(app, ["probe", str(path)]).stdout.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines)
    assert (told["offset"], told["hdr"], told["interlaced"], told["alpha"]) == ("0.0", "no", "False", "True")
    assert told["notes"] == "has an alpha channel: transparent areas are shown on black"


# ---- huge


def measure(code: str, *arguments: str) -> tuple[str, float, float]:
    """What a process of its own prints, its seconds beyond imports, and its peak of memory in MB."""
    told = """
import re
print()
print(seconds, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code + told, *arguments], capture_output=True, text=True, check=True)
    *said, numbers = done.stdout.splitlines()
    seconds, peak = map(float, numbers.split())
    return "\n".join(said), seconds, peak


OPEN = """
import sys, time
import kframes_plugin.video.pyav
from kframes_plugin import OpenVideo, VideoError
started = time.process_time()
try:
    OpenVideo(sys.argv[1])
except VideoError as error:
    print(error)
seconds = time.process_time() - started
"""


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4.png"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as output:
        stream: Any = output.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16200, 16200, "monob"
        frame = av.VideoFrame(16200, 16200, "monob")
        frame.pts, frame.time_base = 0, Fraction(1)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    said, seconds, peak = measure(OPEN, str(path))
    assert "than max_pixels = 67,108,864" in said
    assert seconds < 1
    assert peak < 200


@pytest.mark.parametrize("name", ["a.webm", "a.ivf"])
def test_a_packet_of_vp9_that_claims_a_huge_picture_is_not_given_to_libvpx(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, every(40, 30), codec="libvpx-vp9", gop=30)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        key = bytes(next(container.demux(video=0)))
    bits = "".join(f"{byte:08b}" for byte in key[:16])
    start = 36 if bits[2:4] == "00" else 37
    assert int(bits[start : start + 16], 2) + 1 == 160
    bits = bits[:start] + "1" * 32 + bits[start + 32 :]
    claimed = bytes(int(bits[place : place + 8], 2) for place in range(0, 128, 8)) + key[16:]
    assert most_pixels("vp9", claimed) == 65536 * 65536
    path.write_bytes(data.replace(key, claimed))
    said, seconds, peak = measure(OPEN, str(path))
    assert str(path) in said
    assert seconds < 1
    assert peak < 200


def test_sizes_of_vpx_packets_are_read(tmp_path: Path) -> None:
    for codec, name in (("libvpx-vp9", "vp9"), ("libvpx", "vp8")):
        path = make_video(tmp_path / f"{name}.webm", every(40, 20), codec=codec, gop=10, size=(322, 178))
        with av.open(str(path)) as container:
            sizes = {most_pixels(name, bytes(packet)) for packet in container.demux(video=0) if packet.size}
        assert sizes == {322 * 178, 0}


@pytest.mark.slow
def test_a_big_video_is_decoded_by_few_threads_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    """Four pictures of 8192 x 4096 in a group, k = 4: at the size of the video that were 400 MB of results alone."""
    path = tmp_path / "big.mp4"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=10, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 8192, 4096, "yuv420p"
        for number in range(4):
            frame = av.VideoFrame(8192, 4096, "yuv420p")
            for plane, level in zip(frame.planes, (40 * number + 40, 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    code = """
import sys, time
from kframes_plugin import KFrames
started = time.process_time()
print([frame.image.size for frame in KFrames.from_pretrained("uniform").select(sys.argv[1], "a", 4).frames])
seconds = time.process_time() - started
"""
    said, _, peak = measure(code, str(path))
    assert said.strip() == str([(1280, 640)] * 4)
    assert peak < 600


def test_time_is_not_lost_in_numbered_pictures(tmp_path: Path) -> None:
    """VP9 is decoded by libvpx: every frame still comes at its own time."""
    path = make_video(tmp_path / "a.webm", every(40, 40), codec="libvpx-vp9", gop=12)
    started = time.process_time()
    with OpenVideo(path) as video:
        assert [read_number(frame.image) for frame in video.candidates(100)] == list(range(40))
        assert read_number(video.frames_at([0.5])[0].image) == 12
        assert video.notes == ()
    assert time.process_time() - started < 5


def test_more_pixels_than_allowed_are_refused_by_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 4))
    with pytest.raises(VideoError, match="more than max_pixels = 1,000"):
        OpenVideo(path, max_pixels=1000)


# ---- limits that hold in total, and passes over all of a file


def test_pictures_of_one_call_have_a_limit_in_memory(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 20))
    with OpenVideo(path, max_memory=4 * 160 * 120 * 9) as video:
        assert len(video.candidates(9)) == 9
        with pytest.raises(VideoError, match=r"10 pictures of 160 x 120 take 768,000 bytes, more than max_memory"):
            video.candidates(10)
        assert len(video.candidates(20, size=32)) == 20
        assert video.frames_decoded < 60


def test_pixels_that_one_call_may_decode_have_a_limit(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", every(40, 60), gop=60, options={"sc_threshold": "0", "bf": "0"})
    with OpenVideo(path, max_decoded=160 * 120 * 30) as video:
        assert len(video.frames_at([0.0, 0.4])) == 2
        with pytest.raises(VideoError, match="more than max_decoded = 576,000 pixels in one call"):
            video.frames_at([2.0])


def joined(path: Path, times: int, size: tuple[int, int]) -> Path:
    """A stream put behind itself, so that time starts again and all of it has to be decoded."""
    part = make_video(path.with_name("part.ts"), range(50), Fraction(1, 25), codec="mpeg2video", size=size).read_bytes()
    path.write_bytes(part * times)
    return path


def test_a_pass_over_all_of_a_file_shows_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with OpenVideo(joined(tmp_path / "a.ts", 3, (160, 120)), progress=lambda *far: told.append(far)) as video:
        assert "decoded-whole" in codes(video)
    assert told[-1][0] == told[-1][1] >= 145
    with pytest.raises(VideoError, match="more than max_decoded = 1,000"):
        OpenVideo(tmp_path / "a.ts", max_decoded=1000)


def test_a_long_pass_is_announced_before_it_starts_with_an_estimate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said_when_it_began: list[int] = []
    path = joined(tmp_path / "a.ts", 22, (720, 576))
    with OpenVideo(path, progress=lambda *far: said_when_it_began.append(len(caplog.records))):
        first = caplog.records[0].getMessage()
    assert first.startswith(f"{path}: all of its 1100 frames have to be decoded to find them, once: about ")
    assert said_when_it_began[0] >= 1
