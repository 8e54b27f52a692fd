"""Selectors that read nothing: what a trained one is held against. ``(frames, true, rng) -> clips``.

Only the oracles and the random clips look at the truth; the others must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from kframes_plugin.prompt import PromptFormat, parse_clips, write_clips
from kframes_plugin.selectors.scenes import SceneSelector
from kframes_plugin.selectors.uniform import UniformSelector
from kframes_plugin.types import Candidates, Clip

ReferenceClips = Callable[[Candidates, Sequence[Clip], Random], list[Clip]]
_INDEX = PromptFormat(time_format="index")


def uniform(frames: Candidates, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """The whole video as one clip: uniform sampling, midpoint convention."""
    return UniformSelector()(frames, "")


def scenes(frames: Candidates, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """Every scene as a clip, cut between the candidates."""
    return SceneSelector()(frames, "")


def random_clips(frames: Candidates, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """As many clips as there are true ones, of their lengths and priorities, anywhere: what knowing those is worth."""
    starts = [rng.uniform(0.0, max(frames.duration - clip.length, 0.0)) for clip in true]
    return [
        Clip(start, min(start + clip.length, frames.duration), clip.priority)
        for start, clip in zip(starts, true, strict=True)
    ]


def oracle_clips(frames: Candidates, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """The true clips: the ceiling."""
    return list(true)


def oracle_at_candidates(frames: Candidates, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """The true clips as a selector that sees only the candidates can write them: the ceiling of the wire form."""
    times = [frame.timestamp for frame in frames]
    inside = [clip for clip in true if clip.start < frames.duration]
    text = write_clips(inside, frames.duration, fmt=_INDEX, times=times)
    return parse_clips(text, frames.duration, fmt=_INDEX, times=times)


REFERENCE_CLIPS: Mapping[str, ReferenceClips] = {
    "uniform": uniform,
    "scenes": scenes,
    "random clips": random_clips,
    "oracle clips": oracle_clips,
    "oracle at candidates": oracle_at_candidates,
    "oracle at candidates, on cuts": oracle_at_candidates,
}
SNAPPED = ("scenes", "oracle at candidates, on cuts")  # of these, ends move to cuts, as KFrames does it
