"""OpenVideo on real files against a plain sequential decode of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from kframes_plugin.errors import VideoError
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.colour import needs_mapping, to_sdr
from kframes_plugin.video.picture import is_interlaced, join_fields

# Cheap to decode, and every codec, container and oddity of the set; `pytest -m slow` takes all 41.
SOME = [
    "asl_book_4s.mkv",
    "bbb_15s_mpeg4_568x320.mp4",
    "bikes_street_10s.mp4",
    "city_towers_night_7s_mpeg1.mpg",
    "coffee_run_17s.ts",
    "d_bee_h264_hi10p.mkv",
    "d_bikes_oddsize_321x137_vp9.webm",
    "d_bottles_xvid.avi",
    "d_crystal_anamorphic_sar.mp4",
    "d_dog_walk_hevc_gop250.mp4",
    "d_geese_prores_1s.mov",
    "d_rooftops_interlaced_mpeg2.ts",
    "nasa_webb_mirror_16s_two_streams.mp4",
    "space_needle_17s_msmpeg4.avi",
    "toy_elf_8s_vp8.webm",
    "venus_transit_12s_theora.mkv",
]
HEAVY = ["dog_in_bed_5s_rot180.mp4", "window_rooftops_4s_av1_10bit.mp4"]
# Where decord's random access gave wrong frames (MPEG-TS and -PS, edit list, open HEVC groups), or it has no codec.
NOT_FOR_DECORD = {  # or interlaced, or HDR
    "city_towers_night_7s_mpeg1.mpg",
    "coffee_run_17s.ts",
    "d_bottles_xvid.avi",
    "d_dog_walk_hevc_gop250.mp4",
    "d_rooftops_interlaced_mpeg2.ts",
    "station_roof_3s_hevc10_rot90.mp4",
    "window_rooftops_4s_av1_10bit.mp4",
}


def decode_all(path: Path, size: tuple[int, int], turns: int) -> NDArray[np.uint8]:
    """(n, h, w, 3): every frame of a plain sequential decode, in the order of display."""
    pictures: list[tuple[int, NDArray[np.uint8]]] = []
    stored = size if turns % 2 == 0 else (size[1], size[0])
    with av.open(str(path)) as container:
        stream: Any = container.streams.best("video")
        stream.thread_type = "AUTO"
        decoder: Any = stream.codec_context  # FFmpeg's own for VP9 places the chroma a quarter of a pixel from libvpx's
        if decoder.name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(stream):
            if packet.size == 0 and packet.dts is not None:
                continue
            for frame in decoder.decode(packet if packet.size else None):
                frame = join_fields(frame) if is_interlaced(frame) else frame
                scaled = frame.reformat(width=stored[0], height=stored[1], format="rgb24", interpolation="AREA")
                rgb = to_sdr(scaled.to_ndarray(), frame) if needs_mapping(frame) else scaled.to_ndarray()
                pictures.append((frame.pts or 0, np.rot90(rgb, k=-turns)))
    if path.suffix != ".avi":  # whose time stamps are those of decoding
        pictures.sort(key=lambda entry: entry[0])
    return np.stack([picture for _, picture in pictures])


def asked_times(video: OpenVideo) -> list[float]:
    """Start, end, boundaries from both sides, and places in between."""
    times = video.timestamps
    middle = len(times) // 2
    inside = np.random.default_rng(0).uniform(0, video.duration, 3)
    return [0.0, np.nextafter(video.duration, 0), times[middle], max(0.0, np.nextafter(times[middle], 0)), *inside]


def check(path: Path, decoder: Any) -> None:
    with OpenVideo(path, decoder=decoder) as video:
        size = video._size(64)
        truth = decode_all(path, size, video.rotation // 90).astype(np.int16)
        assert len(truth) == len(video.timestamps)
        asked = asked_times(video)
        at = video.frames_at(asked, size=size)
        on_screen = [int(np.flatnonzero(video.timestamps <= time)[-1]) for time in asked]
        assert [frame.timestamp for frame in at] == [video.timestamps[rank] for rank in on_screen]
        candidates = video.candidates(16, size=size)
        times = [frame.timestamp for frame in candidates]
        assert times == sorted(set(times))
        assert len(times) == min(16, len(truth))
        everything = list(video.frames(size=size)) if decoder == "pyav" else []
        for frame in [*at, *candidates, *everything]:
            rank = int(np.flatnonzero(video.timestamps == frame.timestamp)[0])
            picture = np.asarray(frame.image, np.int16)
            if decoder == "pyav":
                assert np.array_equal(picture, truth[rank])
            else:  # it scales with another filter, so: no other frame is closer
                near = slice(max(0, rank - 3), rank + 4)
                apart = np.abs(truth[near] - picture).mean(axis=(1, 2, 3))
                assert apart[rank - near.start] <= apart.min() + 0.05


@pytest.mark.parametrize("name", SOME)
def test_frames_are_those_of_a_sequential_decode(shared_videos: Path, name: str) -> None:
    check(shared_videos / "dev" / name, "pyav")


@pytest.mark.parametrize("name", HEAVY)
def test_frames_of_turned_and_10_bit_videos(shared_videos: Path, name: str) -> None:
    path = shared_videos / "dev" / name
    with OpenVideo(path) as video:
        truth = decode_all(path, video._size(64), video.rotation // 90)
        for frame in video.candidates(2, size=64):
            rank = int(np.flatnonzero(video.timestamps == frame.timestamp)[0])
            assert np.array_equal(np.asarray(frame.image), truth[rank])


@pytest.mark.parametrize("name", [*SOME, *HEAVY])
def test_decord_gives_the_same_frames_or_says_what_to_do(shared_videos: Path, name: str) -> None:
    pytest.importorskip("decord", reason="decord has wheels for Linux x86-64 and Windows only")
    path = shared_videos / "dev" / name
    if name in NOT_FOR_DECORD:
        with pytest.raises(VideoError, match=r'decoder "decord" .*codec .*Use decoder="pyav"\.$'):
            OpenVideo(path, decoder="decord")
    else:
        check(path, "decord")


def test_every_file_is_as_the_manifest_says(shared_videos: Path, dev_manifest: dict[str, Any]) -> None:
    for item in dev_manifest["items"]:
        with OpenVideo(shared_videos / "dev" / item["file"]) as video:
            assert len(video.timestamps) == item["n_frames"], item["file"]
            assert video.timestamps[-1] == pytest.approx(item["last_frame_s"], abs=0.002), item["file"]
            assert video.duration == pytest.approx(item["duration"], abs=0.05), item["file"]
            assert video.rotation == -item["rotation"] % 360, item["file"]
            across, down = (int(part) for part in item["sar"].split(":"))
            width = item["w"] if abs(across / down - 1) < 0.02 else round(item["w"] * across / down)
            shown = (item["h"], width) if video.rotation % 180 else (width, item["h"])
            assert (video.width, video.height) == shown, item["file"]


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_frames_of_all_files(shared_videos: Path, dev_manifest: dict[str, Any], decoder: Any) -> None:
    for item in dev_manifest["items"]:
        if decoder == "pyav" or item["file"] not in NOT_FOR_DECORD:
            check(shared_videos / "dev" / item["file"], decoder)
