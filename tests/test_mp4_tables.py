"""Long MP4 files are opened by their own tables, as packet by packet; unsound tables are not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from video_maker import every, make_video, read_number

from kframes_plugin import OpenVideo
from kframes_plugin.video.decoder import Limits
from kframes_plugin.video.index import read_packets
from kframes_plugin.video.mp4_tables import LONG, read_mp4_tables
from kframes_plugin.video.reading import Reading

SECONDS = 10
LIMITS = Limits(pixels=2**20, duration=86400.0, streams=8)


def lengthen(
    clip: Path, path: Path, options: dict[str, str] | None = None, container: str | None = None, most: int = LONG
) -> Path:
    """The clip's packets again and again, until tables are used."""
    with (
        av.open(str(clip)) as source,
        av.open(str(path), "w", format=container, container_options=options or {}) as output,
    ):
        stream = source.streams.video[0]
        target = output.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in source.demux(stream) if p.size]
        step = round(SECONDS / stream.time_base)
        for again in range(most // len(packets) + 1):
            for data, pts, dts, duration, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + again * step, dts + again * step, duration
                packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, key, target
                output.mux(packet)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"sc_threshold": "0", "bf": "3"}
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, every(40, SECONDS * 25), gop=50, size=(64, 48), options=options)


@pytest.fixture(scope="module")
def film(clip: Path) -> Path:
    return lengthen(clip, clip.with_name("film.mp4"), {"movflags": "+faststart"})


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
def test_tables_say_what_the_packets_say(tmp_path: Path, codec: str) -> None:
    short = make_video(tmp_path / "short.mp4", every(40, SECONDS * 25), gop=50, size=(64, 64), codec=codec)
    path = lengthen(short, tmp_path / "long.mp4")
    reading = Reading(str(path), str(path), LIMITS)
    tables = read_mp4_tables(reading)
    container, stream, _ = reading.shared(1, fresh=True)
    packets = read_packets(container, stream, 10**6)
    assert tables is not None
    assert len(tables) >= LONG
    for name in ("pts", "dts", "durations", "key", "shown", "corrupt"):
        assert np.array_equal(getattr(tables, name), getattr(packets, name)), name
    assert (tables.empty, tables.error) == (packets.empty, packets.error)
    reading.close()


def test_frames_of_a_film_opened_by_its_tables_are_right(film: Path) -> None:
    with OpenVideo(film) as video:
        assert video.notes == ()
        assert len(video.timestamps) == len(np.unique(video.timestamps)) >= LONG
        wanted = [0, 3, 249, 250, LONG // 2 + 7, len(video.timestamps) - 1]
        frames = video.frames_at(video.timestamps[wanted])
        assert [read_number(frame.image) for frame in frames] == [rank % (SECONDS * 25) for rank in wanted]


TEN_HOURS = 10 * 3600 * 25
LOOK = """
import resource, sys, time
import kframes_plugin.video.pyav
from kframes_plugin import OpenVideo

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before, start = peak(), time.process_time()
video = OpenVideo(sys.argv[1])
opening = time.process_time() - start
frames = video.candidates(256, size=448)
print(opening, peak() - before, len(video.timestamps), *(round(frame.timestamp * 25) for frame in frames))
"""


@pytest.mark.slow
def test_ten_hours_open_in_two_seconds_and_little_memory(clip: Path) -> None:
    path = lengthen(clip, clip.with_name("hours.mp4"), most=TEN_HOURS)
    done = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
    opening, memory, count, *ranks = map(float, done.stdout.split())
    path.unlink()
    assert count >= TEN_HOURS
    assert opening < 2
    assert memory < 300
    assert len(ranks) == 256
    assert all(rank % 50 == 0 for rank in ranks), "each candidate is an I-frame"


def cut_short(film: Path, path: Path) -> None:
    path.write_bytes(film.read_bytes()[:-20_000])


def noise(film: Path, path: Path) -> None:
    data = bytearray(film.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[middle:] = np.random.default_rng(0).bytes(len(data) - middle)
    path.write_bytes(data)


def fragments(film: Path, path: Path) -> None:
    lengthen(film.with_name("clip.mp4"), path, {"movflags": "+frag_keyframe+empty_moov"})


def hidden_frames(film: Path, path: Path) -> None:
    data = bytearray(film.read_bytes())
    at = data.index(b"elst") + 16  # start of the edit, in ticks of the track
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + 20_000).to_bytes(4, "big")
    path.write_bytes(data)


def test_frames_that_cost_much_for_want_of_i_frames_are_noted(film: Path) -> None:
    with OpenVideo(film) as video:
        video.candidates(len(video.i_frames), size=16)
        assert video.notes == ()
        before = video.frames_decoded
        video.frames_at(video.i_frames[:300] + 1.9, size=16)
        (note,) = video.notes
        assert note.code == "rare-i-frames"
        assert "an I-frame every 2 s: 300 frames cost" in note.text
        assert video.frames_decoded - before > 10 * 300


@pytest.mark.parametrize("change", [cut_short, noise, fragments, hidden_frames])
def test_tables_that_are_not_sound_or_not_simple_are_not_used(film: Path, tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "changed.mp4"
    change(film, path)
    reading = Reading(str(path), str(path), LIMITS)
    assert reading.shared(1).stream.frames >= LONG or change is fragments
    assert read_mp4_tables(reading) is None
    reading.close()


def test_a_long_film_cut_short_is_still_read_to_its_true_end(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    cut_short(film, path)
    with OpenVideo(path) as video:
        assert any(note.code == "cut-short" for note in video.notes)
        last = video.frames_at([video.timestamps[-1]])[0]
        assert read_number(last.image) == round(last.timestamp * 25) % (SECONDS * 25)


def test_other_containers_and_short_files_are_read_packet_by_packet(clip: Path, tmp_path: Path) -> None:
    for path in (clip, lengthen(clip, tmp_path / "film.mkv")):
        reading = Reading(str(path), str(path), LIMITS)
        assert read_mp4_tables(reading) is None
        reading.close()
