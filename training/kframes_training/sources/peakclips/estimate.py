"""What a build will ask for and cost, before it starts."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from kframes_plugin.errors import VideoError
from kframes_plugin.video import OpenVideo
from kframes_training.rows import Row
from kframes_training.sources.peakclips.building import Plan
from kframes_training.sources.peakclips.media import Source
from kframes_training.sources.peakclips.pipeline import find_scenes_once

# Tokens of what cannot be known before: a picture, a caption and what stands around it, an item of an answer
PICTURE, PROMPT, CAPTION, SCORE, QUERY, QUESTION = 400, 150, 45, 25, 30, 90
SCENES_A_CHAPTER = 5.7  # the paper's mean
SECONDS_A_SCENE = 8.0  # taken where the scenes have not been looked for yet


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens by task, over all videos.

    Attributes:
        videos, hours, scenes: what there is to annotate; ``scenes`` is a guess where ``exact`` is False.
        unreadable: files that cannot be opened.
        requests: by task, without repairs.
        tokens_in, tokens_out: of all requests.
        exact: whether scenes were counted.
    """

    videos: int
    hours: float
    scenes: int
    unreadable: int
    requests: dict[str, int]
    tokens_in: int
    tokens_out: int
    exact: bool

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are of a million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6

    def lines(self, prices: tuple[float, float]) -> list[str]:
        """For people."""
        guess = "" if self.exact else f" (guessed: one in {SECONDS_A_SCENE:g} s; --dry-run counts them)"
        asked = ", ".join(f"{count} {task}" for task, count in self.requests.items())
        lines = [
            f"{self.videos} videos, {self.hours:.2f} hours, {self.scenes} scenes{guess}",
            f"requests, without repairs: {sum(self.requests.values())} ({asked})",
            f"tokens, about: {self.tokens_in} read, {self.tokens_out} written",
        ]
        if any(prices):
            lines.append(f"cost, about: {self.cost(*prices):.2f} at {prices[0]:g} / {prices[1]:g} a million tokens")
        return [*lines, *([f"{self.unreadable} files cannot be read"] if self.unreadable else [])]


def estimate(sources: Sequence[Source], plan: Plan, *, count_scenes: bool) -> Estimate:
    """What a build of these videos will ask for; answers that are there already are not taken off.

    Args:
        sources: the videos.
        plan: of the build.
        count_scenes: look for the scenes now; the build then finds them done.
    """
    scenes, seconds, unreadable, read, written = 0, 0.0, 0, 0.0, 0.0
    totals = dict.fromkeys(("scene", "chapter", "video", "queries", "relevance", "questions"), 0.0)
    for source in sources:
        try:
            count, duration = _counted(source, plan) if count_scenes else _known(source, plan)
        except VideoError:
            unreadable += 1
            continue
        scenes, seconds = scenes + count, seconds + duration
        given = len(plan.given.get(source.video_id, ()))
        requests, tokens = _of_a_video(count, given, plan)
        read, written = read + tokens[0], written + tokens[1]
        totals = {task: totals[task] + requests[task] for task in totals}
    videos = len(sources) - unreadable
    counts = {task: math.ceil(total) for task, total in totals.items()}
    return Estimate(videos, seconds / 3600, scenes, unreadable, counts, round(read), round(written), count_scenes)


def _of_a_video(scenes: int, given: int, plan: Plan) -> tuple[dict[str, float], tuple[float, float]]:
    """Requests by task, and tokens read and written."""
    settings = plan.settings
    chapters = max(1.0, scenes / SCENES_A_CHAPTER)
    queries = given if given else settings.queries_per_video
    calls = math.ceil(scenes / settings.scenes_a_call)
    listed = PROMPT + scenes * CAPTION
    asks = float(settings.questions_per_video > 0)
    requests = {
        "scene": scenes,
        "chapter": chapters,
        "video": 1.0,
        "queries": float(not given and queries > 0),
        "relevance": queries * calls,
        "questions": asks,
    }
    read = scenes * (PROMPT + settings.frames_per_scene * PICTURE) + chapters * PROMPT + scenes * CAPTION + PROMPT
    read += chapters * CAPTION + requests["queries"] * listed + requests["relevance"] * listed + asks * listed
    written = (scenes + chapters + 1) * CAPTION + requests["queries"] * queries * QUERY
    written += queries * scenes * SCORE + asks * settings.questions_per_video * QUESTION
    return requests, (read, written)


def _known(source: Source, plan: Plan) -> tuple[int, float]:
    """Scenes and duration: as found by an earlier build, or guessed from the duration."""
    kept = plan.work / "steps" / source.video_id / "scenes.json"
    if kept.is_file():
        rows: list[Row] = json.loads(kept.read_text(encoding="utf-8"))["rows"]
        return len(rows), rows[0]["duration"]
    with OpenVideo(source.path) as video:
        return max(1, round(video.duration / SECONDS_A_SCENE)), video.duration


def _counted(source: Source, plan: Plan) -> tuple[int, float]:
    """Scenes and duration by the first step, whose rows are kept for the build."""
    rows = asyncio.run(find_scenes_once(source, plan.work / "steps", plan.settings))
    return len(rows), rows[0]["duration"]
