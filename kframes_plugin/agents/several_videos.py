"""Keyframes over several videos: k is shared by the videos that fit the query best."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.selection import Selection

Path_ = str | os.PathLike[str]
LOOKED_AT = 4  # videos of a folder that are looked at closely


def select_over(
    kframes: KFrames, videos: Path_ | Sequence[Path_], query: str, k: int, **options: Any
) -> list[Selection]:
    """min(k, all frames) keyframes over several videos, the ones that fit the query best first.

    Of a folder the best four videos are looked at, as :meth:`KFrames.search` finds them; of a list all.

    Videos where a clip was found share k evenly, those with P1 clips and better scores first; the others are only
    used for what is left. Scores of most selectors compare clips of one video, so the order of videos is a rough one.
    ``options`` are keyword arguments of :meth:`KFrames.select`, for every video.
    """
    with kframes.kept.lock:
        if isinstance(videos, str | os.PathLike):
            videos = [hit.video for hit in kframes.search(videos, query, min(k, LOOKED_AT))]
        found = [kframes.kept.select(video, query, k, **options) for video in videos]
        if len(found) == 1:
            return found
        ranked = sorted(found, key=_worth)
        shares = share_out([(bool(s.clips), len(s.frames)) for s in ranked], k)
        given = [(selection, share) for selection, share in zip(ranked, shares, strict=True) if share]
        return [s if share == len(s.frames) else s.resample(share) for s, share in given]


def _worth(selection: Selection) -> tuple[int, float]:
    best = min((clip.priority for clip in selection.clips), default="P3")
    return int(best[1]), -max((clip.score or 0.0 for clip in selection.clips), default=0.0)


def share_out(videos: Iterable[tuple[bool, int]], k: int) -> list[int]:
    """How many of k frames each video gives, evenly.

    Args:
        videos: (whether a clip was found, frames it can give), the best first; those without a clip fill what is left.
        k: frames wanted in all.
    """
    able = list(videos)
    shares = [0] * len(able)
    for wanted in (True, False):
        while sum(shares) < k:
            hungry = [n for n, (has, frames) in enumerate(able) if has == wanted and shares[n] < frames]
            if not hungry:
                break
            for n in hungry[: k - sum(shares)]:
                shares[n] += 1
    return shares
