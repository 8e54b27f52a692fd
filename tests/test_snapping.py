"""Ends of clips find the cuts between candidates, in made videos and in real ones, and stay where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from kframes_plugin import Clip, KFrames
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.types import Candidates, Frame
from kframes_plugin.video import OpenVideo

RATE = 10
COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60), (60, 200, 200))


def film(
    path: Path,
    cuts: Sequence[float],
    duration: float,
    *,
    gop: int,
    options: dict[str, str] | None = None,
    placed: bool = False,
) -> Path:
    """A video with a plain colour a scene and, all through it, a white bar that goes to and fro."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.gop_size = gop
        for number in range(round(duration * RATE)):
            scene = sum(number / RATE >= cut for cut in cuts)
            pixels = np.empty((120, 160, 3), np.uint8)
            pixels[:] = COLOURS[scene % len(COLOURS)]
            pixels[:, abs(number % 280 - 140) :][:, :12] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            if placed and any(number == round(cut * RATE) for cut in cuts):
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def snapped(path: Path, clips: Sequence[Clip], count: int = 10) -> tuple[list[Clip], int, Candidates]:
    """The snapped clips, and how many frames were decoded for them."""
    with OpenVideo(path) as video:
        candidates = video.candidates(count, size=64)
        before = video.frames_decoded
        return snap_to_cuts(clips, candidates, video, size=64), video.frames_decoded - before, candidates


CUTS = (13.3, 27.6)
WAYS = [(12, None), (250, None), (250, {"sc_threshold": "0"}), (100, {"bf": "0"})]


@pytest.mark.parametrize(("gop", "options"), WAYS)
def test_ends_move_to_the_cuts(tmp_path: Path, gop: int, options: dict[str, str] | None) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=gop, options=options)
    with OpenVideo(path) as video:
        times = [frame.timestamp for frame in video.candidates(10, size=64)]
    inside = [time for time in times if CUTS[0] <= time < CUTS[1]]
    coarse = Clip(inside[0], min(time for time in times if time >= CUTS[1]), "P2", "green", 0.5)
    (fine,), decoded, _ = snapped(path, [coarse])
    assert (fine.start, fine.end) == pytest.approx(CUTS, abs=0.3), (coarse, fine)
    assert (fine.priority, fine.reason, fine.score) == ("P2", "green", 0.5)
    assert coarse.start - CUTS[0] > 0.3 or coarse.end - CUTS[1] > 0.3, "nothing was to be found"
    assert 0 < decoded <= 2 * (gop + 10)


@pytest.mark.parametrize("placed", [True, False])
def test_an_unsure_selector_has_its_ends_on_i_frames_at_cuts(tmp_path: Path, placed: bool) -> None:
    """Where the encoder put none at the cut, the ends stay, and no group of pictures is decoded."""
    cuts, coarse = (13.3, 31.6), Clip(15.0, 33.0, "P1", "green", 0.3)
    options = {"sc_threshold": "0", "forced-idr": "1"}
    path = film(tmp_path / "film.mp4", cuts, 60, gop=250, options=options, placed=placed)
    with OpenVideo(path) as video:
        assert set(cuts) & {*video.i_frames.round(1).tolist()} == (set(cuts) if placed else set())
        candidates = Candidates(video.frames_at(np.arange(3.0, 60, 6).tolist(), size=64), video.duration)
        before = video.frames_decoded
        (unsure,) = KFrames(lambda frames, query: [coarse], snap_to_cuts=True).find(candidates, "green", video)
        assert video.frames_decoded - before <= 4
        surely = replace(coarse, score=None)
        (sure,) = KFrames(lambda frames, query: [surely], snap_to_cuts=True).find(candidates, "green", video)
    exact = pytest.approx(cuts, abs=0.3)
    assert (sure.start, sure.end) == exact
    assert (unsure.start, unsure.end) == (exact if placed else (15.0, 33.0))


def test_what_is_decoded_for_ends_is_not_kept(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=250, options={"sc_threshold": "0"})
    with OpenVideo(path) as video:
        candidates = video.candidates(10, size=64)
        kept = video.kept_bytes
        snap_to_cuts([Clip(14.0, 28.0)], candidates, video, size=64)
        assert video.kept_bytes == kept


def test_nothing_moves_without_a_cut(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", (), 60, gop=50)
    clips = [Clip(9, 27), Clip(33, 60, "P2")]
    assert snapped(path, clips)[0] == clips


def test_the_ends_of_the_video_stay(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=50)
    assert snapped(path, [Clip(0, 60)])[0] == [Clip(0, 60)]


def test_of_several_cuts_in_a_gap_the_nearest_to_the_clip_is_taken(tmp_path: Path) -> None:
    """Candidates every 10 s, scenes of 2 and 3 s between them."""
    path = film(tmp_path / "film.mp4", (11, 13, 31, 34), 60, gop=250, options={"sc_threshold": "0"})
    with OpenVideo(path) as video:
        picture = {time: frame.image for time in (5, 15, 25, 35) for frame in video.frames_at([float(time)], size=64)}
        frames = [Frame(float(time), 10.0, image) for time, image in picture.items()]
        clip = snap_to_cuts([Clip(15, 35)], Candidates(frames, 60.0), video, size=64)[0]
    assert (clip.start, clip.end) == pytest.approx((13, 31), abs=0.3)


def test_a_budget_of_nothing_decodes_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=50)
    clips = [Clip(15, 30)]
    with OpenVideo(path) as video:
        candidates = video.candidates(10, size=64)
        before = video.frames_decoded
        assert snap_to_cuts(clips, candidates, video, size=64, budget=0) == clips
        assert video.frames_decoded == before


class Coarse:
    """A selector whose clips are those of a dictionary, by query, and end at candidates."""

    snap_to_cuts = True
    candidates = 10

    def __init__(self, clips: dict[str, list[Clip]]) -> None:
        self.clips = clips

    def __call__(self, frames: Sequence[Frame], query: str, /) -> list[Clip]:
        return self.clips[query]


def test_select_snaps_for_selectors_that_ask_for_it(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=50)
    selector = Coarse({"green": [Clip(15, 30)], "red": [Clip(0, 15)]})
    plain = KFrames(selector, snap_to_cuts=False).select(path, "green", 4)
    fine = KFrames(selector).select(path, "green", 4)
    assert plain.clips == (Clip(15, 30),)
    assert (fine.clips[0].start, fine.clips[0].end) == pytest.approx(CUTS, abs=0.3)
    assert fine.cost.seconds["snapping"] > 0
    assert "snapping" not in plain.cost.seconds
    assert KFrames(selector.__call__, candidates=10).select(path, "green", 4).clips == (Clip(15, 30),)
    assert KFrames(selector.__call__, candidates=10, snap_to_cuts=True).select(path, "green", 4).clips == fine.clips


def test_what_was_asked_before_changes_nothing_but_the_cost(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", CUTS, 60, gop=50, options={"sc_threshold": "0"})
    kframes = KFrames(Coarse({"green": [Clip(15, 30)], "red": [Clip(0, 15)], "blue": [Clip(30, 60)]}))
    with kframes.open(path) as video:
        first = [video.select(query, 4) for query in ("red", "blue", "green")]
    alone = [kframes.select(path, query, 4) for query in ("red", "blue", "green")]
    assert [one.clips for one in first] == [one.clips for one in alone]
    assert [one.timestamps for one in first] == [one.timestamps for one in alone]


def test_real_clips(shared_videos: Path) -> None:
    """Scenes of real footage, given at the candidates: most ends find the true cut."""
    folder = shared_videos / "dev"
    coarse_errors: list[float] = []
    fine_errors: list[float] = []
    for item in json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["items"]:
        if not item.get("cuts_s"):
            continue
        with OpenVideo(folder / item["file"]) as video:
            candidates = video.candidates(min(64, max(4, int(video.duration / 3))), size=224)
            edges = [0.0, *item["cuts_s"], video.duration]
            scenes = [(span, clip) for span in pairwise(edges) if (clip := at_candidates(span, candidates))]
            fine = snap_to_cuts([clip for _, clip in scenes], candidates, video, size=224, budget=10_000)
            for (span, clip), moved in zip(scenes, fine, strict=True):
                coarse_errors += errors(clip, span, video.duration)
                fine_errors += errors(moved, span, video.duration)
    near = [float(np.mean(np.array(found) < 0.3)) for found in (coarse_errors, fine_errors)]
    assert len(fine_errors) > 100
    assert near[0] < 0.6, near
    assert near[1] > 0.75, near
    assert np.mean(fine_errors) < 0.4 * np.mean(coarse_errors), (np.mean(fine_errors), np.mean(coarse_errors))


def at_candidates(span: tuple[float, float], candidates: Candidates) -> Clip | None:
    """The scene as who sees only the candidates would give it; None if none shows it."""
    inside = [frame for frame in candidates if span[0] <= frame.timestamp < span[1]]
    return Clip(inside[0].timestamp, inside[-1].end) if inside else None


def errors(clip: Clip, span: tuple[float, float], duration: float) -> list[float]:
    """Seconds between the ends of a clip and the cuts; the ends of the video do not count."""
    return [abs(found - true) for found, true in zip((clip.start, clip.end), span, strict=True) if 0 < true < duration]
