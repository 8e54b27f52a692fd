"""The report's allocation in JavaScript gives Python's frames, for every k of 1..64; and its clock is exact."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import zlib
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kframes_plugin import Clip
from kframes_plugin.clips.allocation import Allocation
from kframes_plugin.clips.geometry import check_spans, overlaps
from kframes_plugin.keyframes import SamplingOptions, choose_times
from kframes_plugin.output.report.clock import pack_counts, pack_runs, pack_times
from kframes_plugin.types import STRATEGIES

JS = Path(__file__).parents[1] / "kframes_plugin/output/report/allocation.js"
KS = range(1, 65)


def random_film(seed: int) -> tuple[SimpleNamespace, dict[str, Any], SamplingOptions]:
    """A video's times, what a selector found in it, and how frames are taken; all that a seed can vary."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([1, 2, 5, 40, 70, 400, 3000]))
    gaps = np.full(count, 1 / rng.choice([1, 8, 25, 30000 / 1001])) if rng.random() < 0.6 else rng.exponential(1, count)
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    times, duration = times[:-1], float(times[-1])
    is_i_frame = rng.random(count) < rng.choice([0, 0.003, 0.02, 0.1, 1])
    needed = np.arange(count) - np.maximum.accumulate(np.where(is_i_frame, np.arange(count), 0)) + 1
    if rng.random() < 0.7:  # B-frames need the frame behind them too
        needed = np.where((needed % 3 == 1) | is_i_frame, needed, needed + 2 - needed % 2)
    needed = needed * is_i_frame.any()
    damaged = np.zeros(len(times), np.bool_)
    video = SimpleNamespace(timestamps=times, needed=needed, duration=duration, is_damaged=damaged)
    cuts = np.unique(np.concatenate([[0.0], rng.uniform(0, duration, rng.integers(0, 40)), [duration]])).tolist()
    scenes = list(pairwise(cuts))
    spans = check_spans(random_spans(rng, int(rng.integers(0, 3)), duration)) if rng.random() < 0.3 else ()
    best = rng.choice([0.3, 1.0])
    clips = random_clips(rng, int(rng.choice([0, 1, 2, 5, 30])), duration, best, rng.random() < 0.8)
    nearest = random_clips(rng, int(rng.choice([0, 0, 3, 40])), duration, best, True)
    if spans:
        clips, nearest = ([part for clip in each for part in cut(clip, spans)] for each in (clips, nearest))
        scenes = overlaps(scenes, spans)
    settings = Allocation(p2_weight=float(rng.uniform(0.1, 1)), dense_share=float(rng.choice([0.0, 0.5, 0.75, 1.0])))
    options = SamplingOptions(allocation=settings, within=spans, exact=bool(rng.random() < 0.2))
    return video, {"clips": clips, "nearest": nearest, "scenes": scenes}, options


def random_spans(rng: np.random.Generator, count: int, duration: float) -> list[tuple[float, float]]:
    starts = rng.uniform(0, 0.9 * duration, count)
    return [(float(start), float(start + rng.uniform(0.01, 0.1) * duration)) for start in starts]


def random_clips(rng: np.random.Generator, count: int, duration: float, best: float, scored: bool) -> list[Clip]:
    scores = np.round(rng.uniform(0, best, count), int(rng.integers(1, 4)))
    return [
        Clip(start, end + (duration * (rng.random() < 0.02)), "P1" if rng.random() < 0.6 else "P2", "", float(score))
        if scored
        else Clip(start, end, "P1" if rng.random() < 0.6 else "P2")
        for (start, end), score in zip(random_spans(rng, count, duration), scores, strict=True)
    ]


def cut(clip: Clip, spans: tuple[tuple[float, float], ...]) -> list[Clip]:
    return [replace(clip, start=start, end=end) for start, end in overlaps([(clip.start, clip.end)], spans)]


def as_film(video: Any, found: dict[str, Any], options: SamplingOptions) -> dict[str, Any]:
    return {
        "clips": [asdict(clip) for clip in found["clips"]],
        "nearest": [asdict(clip) for clip in found["nearest"]],
        "scenes": found["scenes"],
        "spans": options.within,
        "times": video.timestamps.tolist(),
        "needed": video.needed.tolist(),
        "duration": video.duration,
        "settings": asdict(options.allocation),
        "exact": options.exact,
    }


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js; the tests with Chromium run it too")
@pytest.mark.parametrize("seeds", [range(16), pytest.param(range(16, 200), marks=pytest.mark.slow)], ids=str)
def test_javascript_gives_pythons_frames_for_every_k(seeds: range) -> None:
    films = [random_film(seed) for seed in seeds]
    sent = [{"film": as_film(*film), "strategies": STRATEGIES} for film in films]
    command = ["node", str(Path(__file__).with_name("report_allocation.js")), str(JS)]
    done = subprocess.run(command, input=json.dumps(sent), capture_output=True, text=True, check=True)
    for seed, (video, found, options), theirs in zip(seeds, films, json.loads(done.stdout), strict=True):
        for strategy, lists in zip(STRATEGIES, theirs, strict=True):
            for k, (chosen, used) in zip(KS, lists, strict=True):
                ours = choose_times(video, k=k, options=replace(options, strategy=strategy), **found)
                assert (video.timestamps[chosen].tolist(), used) == ours, f"seed {seed}, {strategy}, k = {k}"


def unpack(packed: dict[str, Any]) -> list[float]:
    """As page.js does."""
    if "seconds" in packed:
        return packed["seconds"]
    gaps = np.repeat(packed["gaps"][::2], packed["gaps"][1::2])
    return [0.0, *(np.cumsum(gaps) / packed["ticks"]).tolist()]


@pytest.mark.parametrize(
    ("ticks", "gaps", "longest"),
    [
        ((1, 25), [1] * 90_000, 40),
        ((1, 1000), [33, 33, 34] * 30_000, 1_000_000),
        ((1001, 30000), [1] * 50_000, 45),
        ((1, 90000), [3003, 3004, 1, 7507] * 1000, 50_000),
        ((1, 12800), [], 30),
    ],
)
def test_times_are_packed_exactly_and_small(ticks: tuple[int, int], gaps: list[int], longest: int) -> None:
    line = np.concatenate([[0], np.cumsum(gaps, dtype=np.int64)])
    times = line.astype(np.float64) * ticks[0] / ticks[1]  # as the index of a video has them
    packed = json.loads(json.dumps(pack_times(times)))
    assert unpack(packed) == times.tolist()
    assert len(json.dumps(packed, separators=(",", ":"))) <= longest


def test_times_of_no_clock_stay_seconds() -> None:
    times = np.concatenate([[0.0], np.cumsum(np.random.default_rng(0).exponential(1, 200))])
    assert unpack(pack_times(times)) == times.tolist()


def test_counts_are_packed_small_and_come_back() -> None:
    counts = np.tile([1, 4, 3, 2, 7, 6, 5], 20_000)
    packed = pack_counts(counts)
    assert len(packed) < 3000
    differences = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<i4")
    assert np.cumsum(differences).tolist() == counts.tolist()


def test_runs_count_equal_neighbours() -> None:
    assert pack_runs(np.array([5, 5, 1, 5])) == [5, 2, 1, 1, 5, 1]
    assert pack_runs(np.zeros(0, np.int64)) == []
