"""Frames that cost little: distinct, in order, in their stretches; and keyframes that follow them, or are exact."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from drawn_film import SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, KFrames, OpenVideo
from kframes_plugin.clips.allocation import allocate
from kframes_plugin.clips.cheap_frames import snap_to_i_frames, spread_candidates

RATE = 25


def grid(seconds: float, gop: float) -> tuple[np.ndarray, np.ndarray]:
    """Times at 25 frames a second, and the packets that each frame needs."""
    places = np.arange(round(seconds * RATE))
    return places / RATE, places % round(gop * RATE) + 1


def packets(chosen: np.ndarray, gop: float) -> int:
    """Packets from the I-frames to the last frame wanted of each group."""
    group, depth = np.divmod(chosen, round(gop * RATE))
    return sum(int(depth[group == each].max()) + 1 for each in np.unique(group))


def share_met(times: np.ndarray, seconds: float, length: float) -> float:
    """Share of all clips of this length, anywhere in the video, that hold one of the times."""
    starts = np.linspace(0, seconds - length, 100_001)
    return float((np.searchsorted(times, starts + length) > np.searchsorted(times, starts)).mean())


def middles(seconds: float, count: int) -> np.ndarray:
    return ((np.arange(count) + 0.5) * seconds / count * RATE).astype(int)


@pytest.mark.parametrize(
    ("seconds", "gop", "count", "most_packets", "least_met"),
    [(3600, 10, 256, 1, 0.82), (3600, 10, 400, 0.02, 0.91), (600, 10, 256, 0.8, 0.90), (3600, 30, 256, 0.46, 0.90)],
)
def test_more_candidates_than_i_frames_cost_less_than_their_middles_and_meet_as_many_clips(
    seconds: float, gop: float, count: int, most_packets: float, least_met: float
) -> None:
    times, needed = grid(seconds, gop)
    chosen = spread_candidates(count, times, needed, seconds)
    assert len(chosen) == count
    assert (np.diff(chosen) > 0).all()
    assert packets(chosen, gop) <= max(count, most_packets * len(times))
    assert share_met(times[chosen], seconds, seconds / count) >= least_met
    exact = spread_candidates(count, times, np.zeros(len(times), int), seconds)
    assert exact.tolist() == middles(seconds, count).tolist()
    assert packets(chosen, gop) < packets(exact, gop)


def test_where_hardly_any_span_has_an_i_frame_the_others_keep_their_middles() -> None:
    times, needed = grid(600, 100)
    chosen = spread_candidates(256, times, needed, 600)
    assert sum(chosen != middles(600, 256)) == (needed == 1).sum()


@st.composite
def videos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Frames at uneven times, any packets needed, and the end."""
    gaps = draw(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=120))
    times = np.cumsum([0.0, *gaps])[:-1]
    needed = np.array(draw(st.lists(st.integers(1, 6), min_size=len(times), max_size=len(times))))
    return times, needed, float(times[-1] + gaps[-1])


@st.composite
def clips(draw: st.DrawFn) -> list[Clip]:
    found = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.floats(0, 60))
        found.append(Clip(start, start + draw(st.floats(0.001, 30)), draw(st.sampled_from(["P1", "P2"]))))
    return found


@settings(max_examples=200, deadline=None)
@given(videos(), clips(), st.integers(1, 40), st.sampled_from(["auto", "focused", "hybrid", "uniform"]))
def test_snapped_frames_are_distinct_in_order_and_leave_no_clip(video, found, k, strategy) -> None:  # type: ignore[no-untyped-def]
    times, needed, duration = video
    found = [clip for clip in found if clip.start < duration]
    chosen = allocate(found, k, times, duration, strategy=strategy)
    edges = [edge for clip in found for edge in (clip.start, clip.end)]
    moved = snap_to_i_frames(chosen, edges, times, needed, duration)
    assert len(moved) == len(chosen)
    assert set(moved) <= set(times.tolist())
    assert all(a < b for a, b in pairwise(moved))
    ends = np.append(times, duration)
    for clip in found:
        on_screen = [
            [at < clip.end and clip.start < ends[np.searchsorted(times, at) + 1] for at in some]
            for some in (chosen, moved)
        ]
        assert all(after or not before for before, after in zip(*on_screen, strict=True)), "none leaves its clip"
    assert snap_to_i_frames(chosen, edges, times, np.zeros(len(times), int), duration) == chosen


def test_frames_move_to_the_nearest_i_frame_of_their_stretch_and_never_out_of_a_clip() -> None:
    times, needed = grid(100, 10)
    chosen = [12.0, 37.0, 62.0, 87.0]
    assert snap_to_i_frames(chosen, [], times, needed, 100) == [10.0, 40.0, 60.0, 90.0]
    assert snap_to_i_frames(chosen, [11.0, 13.0, 61.0], times, needed, 100) == [12.0, 40.0, 70.0, 90.0]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s, an I-frame every 2 s."""
    return make_video(
        tmp_path_factory.mktemp("film") / "film.mp4", every(40, 1000), gop=50, options={"sc_threshold": "0", "bf": "2"}
    )


def test_of_frames_close_to_each_other_the_one_that_needs_the_fewest_packets_is_a_candidate(tmp_path: Path) -> None:
    stamps = every(40, 1000)
    path = make_video(tmp_path / "b.mp4", stamps, gop=250, options={"sc_threshold": "0", "bf": "3", "b-adapt": "0"})
    with OpenVideo(path) as video:
        depth = video.needed
        assert (np.flatnonzero(depth == 1) == [0, 250, 500, 750]).all()
        with av.open(str(path)) as container:
            order = [round(packet.pts * packet.time_base * RATE) for packet in container.demux(video=0) if packet.size]
        assert [order.index(rank) % 250 + 1 for rank in range(1000)] == depth.tolist()
        ranks = [round(frame.timestamp * RATE) for frame in video.candidates(12)]
        shown = [read_number(frame.image) for frame in video.candidates(12)]
    assert shown == ranks
    behind = [depth[rank : rank + 4].min() for rank in ranks]
    assert depth[ranks].tolist() == behind, "no frame right behind it would have cost less"


def one_clip(frames: object, query: str) -> list[Clip]:
    return [Clip(10.0, 30.0)]


def test_keyframes_cost_one_picture_each_where_their_stretches_have_i_frames(film: Path) -> None:
    cheap = KFrames(one_clip, candidates=4).select(film, "anything", 8)
    exact = KFrames(one_clip, candidates=4, exact=True).select(film, "anything", 8)
    assert exact.timestamps == [11.24, 13.72, 16.24, 18.72, 21.24, 23.72, 26.24, 28.72]
    assert all(time % 2 == 0 for time in cheap.timestamps)
    assert all(abs(one - other) <= 1.25 for one, other in zip(cheap.timestamps, exact.timestamps, strict=True))
    assert [read_number(frame.image) for frame in cheap.frames] == [round(time * 25) for time in cheap.timestamps]
    assert cheap.cost.frames_decoded <= 4 + 8
    assert exact.cost.frames_decoded > 100
    assert exact.resample(8).timestamps == exact.timestamps, "resample is exact too"
    short = KFrames(lambda frames, query: [Clip(11.0, 11.9)], candidates=4).select(film, "anything", 3)
    assert short.timestamps == [11.12, 11.44, 11.72], "no I-frame lies in this clip"


def test_an_open_session_decodes_only_what_is_new(film: Path) -> None:
    with KFrames(one_clip, candidates=4).open(film) as video:
        first = video.select("anything", 10)
        again = video.select("anything", 10)
        more = first.resample(20)
        assert again.frames == first.frames
        assert again.cost.frames_decoded == 0
        kept = set(first.timestamps) & set(more.timestamps)
        assert kept
        assert more.cost.frames_decoded > 0
        assert more.resample(10).cost.frames_decoded == 0
        refused = video.select("anything", 10, strategy="uniform")
        assert video.select("something else", 10, strategy="uniform").cost.frames_decoded == 0
        assert refused.cost.frames_decoded <= 10


def test_a_session_that_is_closed_keeps_no_pictures(film: Path) -> None:
    with OpenVideo(film) as video:
        video.candidates(8)
        assert video.kept_bytes == 8 * 160 * 120 * 4
    assert video.kept_bytes == 0


@pytest.mark.parametrize(("asked", "size"), [({}, (1280, 720)), ({"frame_size": None}, (1920, 1080))])
def test_keyframes_have_a_long_side_of_1280_unless_another_is_asked_for(
    tmp_path: Path, asked: dict[str, None], size: tuple[int, int]
) -> None:
    path = make_video(tmp_path / "hd.mp4", every(40, 10), size=(1920, 1080))
    selection = KFrames(one_clip, candidates=2, **asked).select(path, "anything", 2)
    assert [image.size for image in selection.images] == [size] * 2
    assert selection.notes == KFrames(one_clip, candidates=2, frame_size=64).select(path, "anything", 2).notes
    assert [image.size for image in KFrames(one_clip).select(SAMPLE, "anything", 1).images] == [(320, 240)]
