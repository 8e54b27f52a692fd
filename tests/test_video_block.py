"""Video blocks of chats: what their keys say is followed, and what is not followed is named."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_film import SAMPLE

from kframes_plugin import Clip, KFrames, Selection
from kframes_plugin.agents.video_block import select_block

KF = KFrames(lambda frames, query: [Clip(0, 120)], candidates=16)


def select(k: int = 6, **keys: Any) -> Selection:
    return select_block(KF, {"type": "video", "video": str(SAMPLE), **keys}, "a cross", k)


@pytest.mark.parametrize(
    "keys",
    [
        {"start": 30, "end": 40},
        {"video_start": 30.0, "video_end": 40.0},
        {"start_time": "0:30", "end_time": "0:40"},
        {"start": 30, "video_end": 40, "end": None},
    ],
    ids=str,
)
def test_start_and_end_in_every_spelling(keys: dict[str, Any]):
    selection = select(**keys)
    assert selection.sampling.within == ((30, 40),)
    assert selection == KF.select(SAMPLE, "a cross", 6, start=30, end=40)
    assert selection.notes == ()


def test_what_the_block_says_goes_before_what_the_call_says():
    block = {"type": "video", "video": SAMPLE, "start": 30}
    assert select_block(KF, block, "q", 4, start=10, end=50).sampling.within == ((30, 50),)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"num_frames": 3}, 3),
        ({"nframes": 12}, 12),
        ({"fps": 0.2, "start": 0, "end": 20}, 4),
        ({"fps": 2.0}, 6),
        ({"fps": 0.001}, 1),
        ({"max_frames": 4}, 4),
        ({"min_frames": 9}, 9),
        ({"fps": 0.1, "start": 0, "end": 20, "min_frames": 5}, 5),
    ],
    ids=str,
)
def test_the_number_of_frames(keys: dict[str, Any], count: int):
    assert len(select(**keys).frames) == count


@pytest.mark.parametrize(("key", "share"), [("max_pixels", 1), ("total_pixels", 6)])
def test_frames_have_no_more_pixels_than_they_may(key: str, share: int):
    before, whole = KF.sampling, select().images[0]
    limit = whole.width * whole.height // 4
    image = select(**{key: limit * share}).images[0]
    assert 0.8 * limit < image.width * image.height <= limit * 1.02
    assert select(**{key: 10**9}).images[0].size == whole.size
    assert KF.sampling == before


def test_a_key_that_is_not_followed_is_named():
    selection = select(min_pixels=100, sample_rate=2)
    assert [(note.code, note.text) for note in selection.notes] == [
        ("keys-unread", "the video block has keys that are ignored: min_pixels, sample_rate")
    ]


@pytest.mark.parametrize("keys", [{"fps": 0}, {"nframes": "many"}, {"max_pixels": -1}, {"fps": 1e999}, {"end": 0}])
def test_values_that_cannot_be_are_refused(keys: dict[str, Any]):
    with pytest.raises(ValueError, match=r"of a video block must be a number > 0|end must lie after start"):
        select(**keys)
