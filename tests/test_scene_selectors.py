"""The query-blind selectors: uniform and scenes."""

from __future__ import annotations

import pytest
from PIL import Image

from kframes_plugin import KFrames
from kframes_plugin.clips.scenes import CutRule
from kframes_plugin.selectors.scenes import SceneSelector
from kframes_plugin.selectors.uniform import UniformSelector
from kframes_plugin.types import Candidates, Clip, Frame, Prediction


def frames_of(colours: list[str], gap: float = 3.0) -> list[Frame]:
    return [Frame(i * gap, gap, Image.new("RGB", (64, 36), colour)) for i, colour in enumerate(colours)]


THREE = ["red", "red", "blue", "blue", "blue", "green", "green"]


def test_uniform_is_one_clip_over_the_whole_video():
    frames = frames_of(THREE)
    whole = UniformSelector()(Candidates(frames, 25.0), "anything")
    assert whole == [Clip(0.0, 25.0, "P1", "uniform: the whole video")]
    assert UniformSelector()(frames, "else")[0].end == 21.0  # plain frames: the end of the last one
    assert isinstance(whole, Prediction)
    assert whole.cost.model_calls == 0


def test_each_scene_is_a_clip():
    clips = SceneSelector()(Candidates(frames_of(THREE), 25.0), "anything")
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 4.5), (4.5, 13.5), (13.5, 25.0)]
    assert {(clip.priority, clip.score) for clip in clips} == {("P1", None)}
    assert [clip.reason for clip in clips] == ["scene 1 of 3", "scene 2 of 3", "scene 3 of 3"]
    assert clips.notes == ()
    assert clips.cost.model_calls == 0


def test_plain_frames_give_the_same_scenes():
    frames = frames_of(THREE)
    assert SceneSelector()(frames, "q") == SceneSelector()(Candidates(frames, 21.0), "another query")


def test_a_rule_and_a_shortest_scene_can_be_given():
    frames = Candidates(frames_of(THREE), 25.0)
    assert len(SceneSelector(min_scene=8.0)(frames, "q")) == 2
    assert len(SceneSelector(rule=CutRule(sparse_threshold=1.0))(frames, "q")) == 1


@pytest.mark.parametrize("selector", [UniformSelector(), SceneSelector()])
@pytest.mark.parametrize("count", [1, 2])
def test_few_frames(selector, count):
    clips = selector(Candidates(frames_of(["red"] * count), 7.0), "q")
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 7.0)]


@pytest.mark.parametrize("name", ["uniform", "scenes"])
def test_they_select_from_frames_by_name(name):
    selection = KFrames.from_pretrained(name).select(frames_of(THREE), "anything", 3)
    assert len(selection.frames) == 3
    assert sum(clip.length for clip in selection.clips) == pytest.approx(21.0)
    assert not selection.notes


def test_every_scene_is_served_when_k_allows():
    selection = KFrames.from_pretrained("scenes").select(frames_of(THREE), "anything", 3)
    colours = [frame.image.convert("RGB").getpixel((9, 9)) for frame in selection.frames]
    assert len(set(colours)) == 3
