"""A Selection is data, and a KFrames can go to worker processes: pickled, copied, compared, hashed."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from drawn_film import SAMPLE

from kframes_plugin import Clip, Frame, KFrames, Selection

QUERY = "a green cross"


def around_the_middle(frames: Sequence[Frame], query: str) -> list[Clip]:
    """A plain function of a module."""
    middle = frames[len(frames) // 2].timestamp
    return [Clip(middle, middle + 5, reason=query, score=0.5), Clip(3.0, 9.0, "P2")]


def in_numpy(frames: Sequence[Frame], query: str) -> list[Clip]:
    return [Clip(np.float32(10.5), np.float64(20.25), score=np.float32(0.5)), Clip(np.int64(30), np.int32(40))]


@pytest.fixture(scope="module")
def selection() -> Selection:
    return KFrames(around_the_middle, candidates=16).select(SAMPLE, QUERY, 4)


@pytest.mark.parametrize("copied", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy])
def test_a_copy_is_equal_and_goes_on_where_the_original_was(selection: Selection, copied):
    other = copied(selection)
    assert other == selection
    assert hash(other) == hash(selection)
    assert len({other, selection}) == 1
    assert other.notes == selection.notes
    assert other.selector == selection.selector
    for one, same in zip(other.images, selection.images, strict=True):
        assert np.array_equal(one, same)
    assert other.resample(9) == selection.resample(9)


def test_a_copy_of_a_session_that_is_open_holds_no_decoder():
    with KFrames(around_the_middle, candidates=16).open(SAMPLE) as video:
        selection = video.select(QUERY, 4)
        other = pickle.loads(pickle.dumps(selection))
        assert other == selection == copy.deepcopy(selection)
    assert other.resample(6).timestamps == selection.resample(6).timestamps


@pytest.mark.parametrize(
    "other",
    [{"k": 5}, {"query": "else"}, {"video": "else.mp4"}, {"strategy": "uniform"}, {"clips": ()}, {"frames": ()}],
)
def test_selections_that_differ_are_not_equal(selection: Selection, other: dict[str, object]):
    assert replace(selection, **other) != selection
    assert selection != selection.to_dict()


def test_a_selection_shows_itself_in_one_line(selection: Selection):
    shown = repr(selection)
    assert "\n" not in shown
    assert len(shown) < 200
    for part in ("sample.mp4", QUERY, "k=4", "focused", "2 clips", "4 frames"):
        assert part in shown
    assert len(repr(replace(selection, query="word " * 500))) < 250


def test_it_names_its_selector_and_settings_also_when_saved(selection: Selection, tmp_path: Path):
    assert selection.selector["name"] == "around_the_middle"
    assert selection.selector["candidates"] == 16
    assert selection.to_dict()["selector"] == dict(selection.selector)
    loaded = Selection.load(selection.save(tmp_path))
    assert loaded == selection
    assert loaded.selector == selection.selector


def test_numbers_of_numpy_become_numbers_of_python(tmp_path: Path):
    selection = KFrames(in_numpy, candidates=8).select(SAMPLE, QUERY, np.int64(4))
    assert type(selection.k) is int
    for clip in selection.clips:
        assert type(clip.start) in (int, float)
        assert type(clip.end) in (int, float)
        assert clip.score is None or type(clip.score) is float
    assert json.loads(json.dumps(selection.to_dict()))["clips"][0]["score"] == 0.5
    assert Selection.load(selection.save(tmp_path)) == selection == pickle.loads(pickle.dumps(selection))


@pytest.mark.parametrize("start", ["1", "x", [1.0], None])
def test_a_clip_takes_numbers_only(start: object):
    with pytest.raises((TypeError, ValueError)):
        Clip(start, 9.0)


def kframes_by_name(name: str) -> KFrames:
    return KFrames(around_the_middle, candidates=16) if name == "function" else KFrames.from_pretrained(name)


def work(kframes: KFrames, video: Path) -> Selection:
    return kframes.select(video, QUERY, 6)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.parametrize("name", ["function", "scenes", "nano"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # fork, as some pools still do
def test_workers_of_every_kind_select_as_one_process_does(name: str, method: str):
    kframes = kframes_by_name(name)
    serial = work(kframes, SAMPLE)
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        (parallel,) = pool.map(work, [kframes], [SAMPLE])
    assert parallel == serial
    assert parallel.resample(9) == serial.resample(9)


def test_a_kframes_that_cannot_be_pickled_says_why():
    with pytest.raises(TypeError, match="cannot be pickled because its selector cannot be") as error:
        pickle.dumps(KFrames(lambda frames, query: []))
    assert "\n" not in str(error.value)


class Counted:
    """A selector that counts how often it is pickled."""

    pickled = 0

    def __call__(self, frames, query):
        return []

    def __getstate__(self):
        Counted.pickled += 1
        return {"left": 3}


def test_a_kframes_pickles_its_selector_once():
    kf = KFrames(Counted(), candidates=7)
    again = pickle.loads(pickle.dumps(kf))
    assert Counted.pickled == 1
    assert again.selector.left == 3
    assert (again.candidates, again.sampling) == (7, kf.sampling)
    assert isinstance(kf.selector, Counted), "the first is as it was"
