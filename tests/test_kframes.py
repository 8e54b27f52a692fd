"""The main flow on real files, and the contract that every selector keeps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tiny_models
from drawn_film import SAMPLE
from notes import sentences
from PIL import Image

import kframes_plugin
from kframes_plugin import Clip, Frame, KFrames, OpenVideo, Prediction, Selection, SelectorError, VideoError
from kframes_plugin.clips.allocation import Allocation
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.selectors.scenes import SceneSelector
from kframes_plugin.selectors.similarity import SimilaritySelector
from kframes_plugin.selectors.uniform import UniformSelector

QUERY = "a green cross"
FRAMES, DURATION = 981, 122.625  # of the sample


def third_scene(frames: Sequence[Frame], query: str) -> list[Clip]:
    """A selector as people write them: a plain function."""
    return [Clip(12.0, 18.0, reason=f"looks like {query}")]


def nothing(frames: Sequence[Frame], query: str) -> list[Clip]:
    return []


def mean_colour(images: Sequence[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image.resize((4, 4)), dtype=np.float32).ravel() - 128 for image in images])


def greenish(text: str) -> np.ndarray:
    return np.tile(np.array([-1.0, 1.0, -1.0], dtype=np.float32), 16)


@lru_cache
def scoring_mllm() -> MLLMSelector:
    """A tiny multimodal model of random weights that scores every frame; built when it is first asked for."""
    with TemporaryDirectory() as folder:
        return MLLMSelector.from_pretrained(tiny_models.qwen2_5_vl(Path(folder)), device="cpu", prediction="scores")


class Scoring:
    """``scoring_mllm`` as a selector; so that collecting the tests builds no model."""

    candidates, frame_size = 8, 56

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        return scoring_mllm()(frames, query)


SELECTORS = {
    "function": third_scene,
    "nothing": nothing,
    "uniform": UniformSelector(),
    "scenes": SceneSelector(),
    "similarity": SimilaritySelector(mean_colour, greenish),
    "mllm, prediction scores": Scoring(),
}


def checked(selection: Selection, k: int, frames_in_video: int) -> Selection:
    """The promise: exactly min(k, frames) distinct frames, in time order, inside the video; sound clips."""
    times = selection.timestamps
    assert len(times) == min(k, frames_in_video)
    assert all(a < b for a, b in pairwise(times))
    assert times[0] >= 0
    assert times[-1] < selection.duration
    assert all(0 <= clip.start < clip.end <= selection.duration for clip in selection.clips)
    assert all(frame.image.mode == "RGB" for frame in selection.frames)
    return selection


@pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
class TestEverySelector:
    """The contract: what holds whichever selector is used."""

    @pytest.mark.parametrize("strategy", ["auto", "focused", "hybrid", "uniform"])
    def test_any_k(self, selector, strategy):
        with KFrames(selector, candidates=16, frame_size=64).open(SAMPLE) as video:
            for k in (1, 8, 33, 1000):
                selection = checked(video.select(QUERY, k, strategy=strategy), k, FRAMES)
                assert selection.strategy in ("focused", "hybrid", "uniform")

    def test_same_inputs_same_frames(self, selector):
        kframes = KFrames(selector, candidates=32, frame_size=64)
        first, second = (kframes.select(SAMPLE, QUERY, 8) for _ in range(2))
        assert first.timestamps == second.timestamps
        assert first.clips == second.clips
        assert all(
            np.array_equal(np.asarray(a.image), np.asarray(b.image))
            for a, b in zip(first.frames, second.frames, strict=True)
        )

    def test_one_candidate_and_one_frame(self, selector):
        one = [Frame(0.0, 2.0, Image.new("RGB", (32, 24), "green"))]
        from_one = checked(KFrames(selector, candidates=1).select(SAMPLE, QUERY, 3), 3, FRAMES)
        assert len(from_one.candidates) == 1
        of_one = checked(KFrames(selector).select(one, QUERY, 3), 3, 1)
        assert of_one.images[0].size == (32, 24)


def test_the_frames_lie_in_the_clips():
    selection = KFrames(third_scene).select(SAMPLE, QUERY, 8)
    assert selection.strategy == "focused"
    assert all(12.0 <= time < 18.0 for time in selection.timestamps)
    assert selection.clips == (Clip(12.0, 18.0, reason="looks like a green cross"),)
    assert selection.frames[0].image.size == (320, 240), "keyframes come in the size of the video"


def test_resample_draws_another_budget_without_the_selector():
    calls = []

    def counting(frames, query):
        calls.append(query)
        return third_scene(frames, query)

    selection = KFrames(counting).select(SAMPLE, QUERY, 4)
    more = checked(selection.resample(k=32), 32, FRAMES)
    assert calls == [QUERY], "no model call"
    assert (selection.strategy, more.strategy) == ("focused", "hybrid"), "auto is decided anew"
    assert more.clips == selection.clips
    assert more.resample(k=4).timestamps == selection.timestamps
    assert selection.resample(strategy="uniform").timestamps != selection.timestamps
    assert more.cost.frames_decoded > 0


def test_a_session_decodes_the_candidates_once():
    with KFrames(SceneSelector(), candidates=16, candidate_size=64).open(SAMPLE) as video:
        first, second = video.select("one", 1), video.select("two", 1)
        assert video.duration == pytest.approx(DURATION)
    assert "candidates" in first.cost.seconds
    assert "candidates" not in second.cost.seconds
    assert first.cost.frames_decoded > second.cost.frames_decoded


def test_select_many_looks_once_at_each_video():
    seen = []

    def remembering(frames, query):
        seen.append(id(frames))
        return []

    requests = [(SAMPLE, "one"), (SAMPLE, "two"), (str(SAMPLE), "three")]
    answers = list(KFrames(remembering, candidates=8).select_many(requests, k=2))
    assert [answer.query for answer in answers] == ["one", "two", "three"]
    assert seen[0] == seen[1]


def test_no_clip_is_noted_and_logged(caplog):
    with caplog.at_level(logging.WARNING, logger="kframes"):
        selection = KFrames(nothing, candidates=32).select(SAMPLE, QUERY, 16)
    assert selection.clips == ()
    assert selection.strategy == "uniform"
    assert any("no clip was found" in note for note in sentences(selection.notes))
    assert any("no clip was found" in record.message for record in caplog.records)
    scenes_hit = {number for number, (a, b) in enumerate(selection.scenes) for t in selection.timestamps if a <= t < b}
    assert scenes_hit == set(range(len(selection.scenes))), "every scene has a frame"


def test_what_comes_nearest_is_shown_where_no_clip_is_claimed(tmp_path):
    near = [Clip(12.0, 18.0, "P2", "near", 0.2), Clip(130.0, 140.0)]

    def abstaining(frames: Sequence[Frame], query: str) -> list[Clip]:
        return Prediction(nearest=near, notes=["not sure"])

    selection = KFrames(abstaining, candidates=32).select(SAMPLE, QUERY, 6)
    claimed = KFrames(lambda frames, query: near, candidates=32).select(SAMPLE, QUERY, 6)
    assert (selection.clips, selection.nearest) == ((), claimed.clips)
    assert selection.timestamps == claimed.timestamps
    notes = sentences(selection.notes)
    assert notes[0] == "not sure"
    assert "a clip at 130.0-140.0 s lies after the end" in notes[1]
    assert notes[2] == "no clip was found for the query; the frames show what comes nearest to it"
    more = checked(Selection.load(selection.save(tmp_path)).resample(k=9), 9, FRAMES)
    assert more.timestamps == claimed.resample(k=9).timestamps
    assert selection.resample(strategy="uniform").timestamps == claimed.resample(strategy="uniform").timestamps


def test_fewer_frames_than_k_is_noted():
    notes = sentences(KFrames(nothing).select(SAMPLE, QUERY, 1000).notes)
    assert any("has only 981 frames, but 1000" in note for note in notes)


def test_a_full_clip_is_noted():
    tiny = KFrames(lambda frames, query: [Clip(12.0, 12.5)], strategy="focused").select(SAMPLE, QUERY, 8)
    assert any("hold only 4 frames; the other 4" in note for note in sentences(tiny.notes))


def test_clips_beyond_the_end_are_cut_or_dropped():
    selection = KFrames(lambda frames, query: [Clip(100.0, 190.0), Clip(160.0, 170.0)]).select(SAMPLE, QUERY, 4)
    assert [(clip.start, clip.end) for clip in selection.clips] == [(100.0, selection.duration)]
    assert any("after the end" in note for note in sentences(selection.notes))


def test_notes_and_cost_of_a_selector_are_kept():
    def thinking(frames, query):
        cost = kframes_plugin.Cost(model_calls=1, tokens_in=100, tokens_out=7)
        return Prediction([Clip(1, 2)], notes=["the answer was repaired"], cost=cost)

    selection = KFrames(thinking, candidates=8).select(SAMPLE, QUERY, 2)
    assert "the answer was repaired" in sentences(selection.notes)
    assert (selection.cost.model_calls, selection.cost.tokens_in, selection.cost.candidates) == (1, 100, 8)
    assert set(selection.cost.seconds) >= {"open", "candidates", "selector", "keyframes"}


def test_candidates_are_counted_once_whatever_the_selector_tells():
    def telling(frames, query):
        return Prediction([Clip(1, 2)], cost=kframes_plugin.Cost(candidates=len(frames), model_calls=1))

    assert KFrames(telling, candidates=8).select(SAMPLE, QUERY, 2).cost.candidates == 8


def test_a_selector_says_what_it_wants():
    class Small:
        candidates, frame_size = 5, (40, 30)

        def __call__(self, frames, query):
            assert [frame.image.size for frame in frames] == [(40, 30)] * 5
            return []

    assert KFrames(Small()).select(SAMPLE, QUERY, 1).cost.candidates == 5
    assert KFrames(Small(), candidates=7).candidates == 7, "the user has the last word"


def test_a_selector_spaces_its_candidates():
    class Spaced:
        candidates, spacing, seen = 300, 0.45, 0

        def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
            self.seen = len(frames)
            return []

    for spacing, asked, expected in ((0.45, None, 273), (0.1, None, 300), (9.0, None, 256), (0.45, 20, 20)):
        selector = Spaced()
        selector.spacing = spacing
        KFrames(selector, candidates=asked, candidate_size=32).select(SAMPLE, QUERY, 1)
        assert selector.seen == expected


def test_frames_of_ones_own_instead_of_a_path():
    frames = [Frame(t * 0.5, 0.5, Image.new("RGB", (32, 24), (t, 0, 0))) for t in range(40)]
    checked(KFrames(SceneSelector()).select(frames, QUERY, 9), 9, 40)
    array = np.zeros((10, 24, 32, 3), np.uint8)
    video = OpenVideo.from_frames(array, timestamps=np.arange(10) * 2.0, duration=20.0)
    selection = checked(KFrames(SceneSelector()).select(video, QUERY, 3), 3, 10)
    assert len(selection.resample(k=5).frames) == 5, "frames stay at hand"


def test_settings_reach_the_allocation():
    kframes = KFrames(third_scene, allocation=Allocation(dense_share=0.5), strategy="hybrid")
    times = kframes.select(SAMPLE, QUERY, 16).timestamps
    assert sum(12 <= t < 18 for t in times) == 8


def test_progress_is_told():
    told = []
    KFrames(third_scene, candidates=16).select(SAMPLE, QUERY, 4, progress=lambda *step: told.append(step))
    assert ("candidates", 16, 16) in told
    assert ("keyframes", 4, 4) in told


def test_names():
    assert isinstance(KFrames.from_pretrained("uniform").selector, UniformSelector)
    assert isinstance(KFrames.from_pretrained("scenes", candidates=9).selector, SceneSelector)
    remote = KFrames.from_pretrained("http://127.0.0.1:1/v1#some-model").selector
    assert type(remote).__name__ == "RemoteSelector"
    with pytest.raises(SelectorError, match="no/such-model-here"):
        KFrames.from_pretrained("no/such-model-here")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1; got 0"),
        ({"k": 2.5}, TypeError, "k must be a whole number; got 2.5"),
        ({"k": True}, TypeError, "k must be a whole number"),
        ({"query": " "}, ValueError, "query must not be empty"),
        ({"query": None}, TypeError, "query must be a string; got NoneType"),
        ({"strategy": "dense"}, ValueError, "strategy must be one of auto, focused, hybrid, uniform; got 'dense'"),
        ({"video": 7}, TypeError, "video must be a path"),
        ({"video": "missing.mp4"}, VideoError, r"missing\.mp4"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments, error, message):
    call = {"video": SAMPLE, "query": QUERY, "k": 1} | arguments
    with pytest.raises(error, match=message):
        KFrames(nothing, candidates=4).select(**call)


def test_wrong_construction_says_what_is_allowed():
    with pytest.raises(TypeError, match="selector must be callable"):
        KFrames("scenes")
    with pytest.raises(ValueError, match="candidates must be a whole number >= 1; got -1"):
        KFrames(nothing, candidates=-1)
    with pytest.raises(TypeError, match="a selector must return a list of Clip; got str"):
        KFrames(lambda frames, query: "clips", candidates=4).select(SAMPLE, QUERY)


def test_every_real_file(shared_videos, dev_manifest):
    """One query at k = 8 and 33 on all clips of the set."""
    kframes = KFrames.from_pretrained("scenes", candidates=32, frame_size=96)
    for item in dev_manifest["items"]:
        with kframes.open(shared_videos / "dev" / item["file"]) as video:
            for k in (8, 33):
                selection = checked(video.select("anything", k), k, item["n_frames"])
                assert selection.duration == pytest.approx(item["duration"], abs=0.05)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_real_file_for_all_its_queries(shared_videos, dev_manifest):
    kframes = KFrames.from_pretrained("scenes", frame_size=96)
    for item in dev_manifest["items"]:
        queries = [entry["query"] for entry in item["queries"]] or ["anything"]
        with kframes.open(shared_videos / "dev" / item["file"]) as video:
            for query in queries:
                for k in (1, 3, 8, 33):
                    assert checked(video.select(query, k), k, item["n_frames"]).query == query
