"""SynthScenes: the pixels against the truth, and the truth against itself."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

av = pytest.importorskip("av")

from kframes_training.sources.synthscenes import (  # noqa: E402
    SPLITS,
    Scene,
    Thing,
    make_clips,
    paint,
    paint_scene,
    qa_row,
    queries,
    query_row,
    questions,
    sample_video,
    video_row,
    write_video,
)
from kframes_training.sources.synthscenes.attributes import Attributes  # noqa: E402
from kframes_training.sources.synthscenes.language import KINDS, make_query  # noqa: E402
from kframes_training.sources.synthscenes.paint import place_thing  # noqa: E402
from kframes_training.sources.synthscenes.words import UNKNOWN  # noqa: E402
from kframes_training.sources.synthscenes.world import COLOURS, LABELS, MOTIONS, SHAPES, WIDTH  # noqa: E402

SIZE = (192, 144)
VIDEOS = [sample_video(seed) for seed in range(40)]


def near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> np.ndarray:
    """Where the picture has a colour."""
    return np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) <= tolerance


def test_a_video_is_a_function_of_its_seed() -> None:
    assert sample_video(7) == sample_video(7)
    assert sample_video(7) != sample_video(8)
    np.testing.assert_array_equal(paint(sample_video(7), 12.3, SIZE), paint(sample_video(7), 12.3, SIZE))


def test_splits_share_no_seed_and_no_unknown_noun() -> None:
    ranges = list(SPLITS.values())
    assert all(not set(a[:10]) & set(b) and a.stop <= b.start for a, b in pairwise(ranges))
    train, test = (
        " ".join(
            q.text
            for video in VIDEOS
            for seed in range(20)
            if (q := make_query("absent", video.scenes, Random(seed), split))
        )
        for split in ("train", "test")
    )
    assert not set(UNKNOWN) & set(train.split())
    assert len(set(UNKNOWN) & set(re.findall("[a-z]+", test))) > 5


def test_videos_are_of_the_promised_shape() -> None:
    for video in VIDEOS:
        assert 57 <= video.duration <= 1200
        assert video.scenes[0].start == 0
        assert all(one.end == other.start for one, other in pairwise(video.scenes))
        assert all(2.99 <= scene.end - scene.start <= 40.01 for scene in video.scenes)
        assert all(1 <= len(scene.things) <= 3 for scene in video.scenes)
        assert [len(chapter) > 0 for chapter in video.chapters] == [True] * len(video.chapters)
    assert any(scene.fade for video in VIDEOS for scene in video.scenes)
    assert len({len(scene.things) for video in VIDEOS for scene in video.scenes}) == 3


def test_every_cut_is_visible() -> None:
    for video in VIDEOS[:15]:
        for cut, scene in zip(video.cuts, video.scenes[1:], strict=True):
            before, after = paint(video, cut - 0.6, SIZE), paint(video, cut + 0.6, SIZE)
            changed = (np.abs(before.astype(int) - after.astype(int)).max(axis=-1) > 25).mean()
            assert changed > 0.01, f"video {video.seed} at {cut}"
            if scene.fade:
                assert paint(video, cut, SIZE).max() <= 20
                assert paint(video, cut - 0.01, SIZE).max() <= 20


def test_every_thing_is_visible_where_it_is_said_to_be() -> None:
    """The pixel at a solid spot of the thing has its colour (or, while it blinks, .45 of it)."""
    ring = [(0.72, 0.0), (-0.72, 0.0), (0.0, 0.72), (0.0, -0.72)]
    for video in VIDEOS[:15]:
        for scene in video.scenes:
            t = 0.37 * (scene.end - scene.start)
            picture = paint_scene(scene, t, SIZE)
            for thing in scene.things:
                x, y, radius, angle = place_thing(thing, t)
                colour = np.array(COLOURS[thing.colour])
                shades = (colour, colour * 0.45) if thing.motion == "blink" else (colour,)
                errors = []
                for dx, dy in ring if thing.shape == "ring" else [(0.0, 0.0)]:
                    px = x + radius * (dx * np.cos(angle) - dy * np.sin(angle))
                    py = y + radius * (dx * np.sin(angle) + dy * np.cos(angle))
                    pixel = picture[int(py * SIZE[1]), int(px / WIDTH * SIZE[0])].astype(int)
                    errors.append(min(np.abs(pixel - shade).max() for shade in shades))
                # a mark of the thing beside it may hide one of a ring's four spots
                assert sorted(errors)[len(errors) // 2] < 40, f"{thing} at {t} of {scene} in video {video.seed}"


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_look_different(shape: str) -> None:
    def mask(name: str) -> np.ndarray:
        return near(paint_scene(scene_with(Thing(name, "red", "big", "still", 0.67, 0.5)), 0, SIZE), COLOURS["red"])

    for other in SHAPES:
        if other != shape:
            both, either = mask(shape) & mask(other), mask(shape) | mask(other)
            assert both.sum() / either.sum() < 0.9


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_are_seen_over_time_and_in_one_picture(motion: str) -> None:
    moving = scene_with(Thing("square", "yellow", "big", motion, 0.67, 0.6))
    still = scene_with(Thing("square", "yellow", "big", "still", 0.67, 0.6))
    over_time = {paint_scene(moving, t, SIZE).tobytes() for t in (0.0, 0.7, 1.3, 2.4)}
    assert (len(over_time) == 1) is (motion == "still")
    if motion != "still":
        assert (np.abs(paint_scene(moving, 0, SIZE).astype(int) - paint_scene(still, 0, SIZE)) > 25).any(
            axis=-1
        ).sum() > 50


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_readable(label: str) -> None:
    corner = paint_scene(scene_with(Thing("ring", "red", "small", "still", 1.0, 0.7), label), 0, SIZE)[:50]
    assert near(corner, (255, 255, 255), 60).sum() > 25  # letters
    assert near(corner, (0, 0, 0), 5).sum() > 100  # on their box
    others = [
        paint_scene(scene_with(Thing("ring", "red", "small", "still", 1.0, 0.7), o), 0, SIZE)[:50]
        for o in LABELS
        if o != label
    ]
    assert all((np.abs(corner.astype(int) - other) > 60).any(axis=-1).sum() > 20 for other in others)


def scene_with(thing: Thing, label: str = "") -> Scene:
    return Scene(0.0, 10.0, "navy", "plain", (thing,), label)


def test_small_pictures_show_the_same_as_large_ones() -> None:
    video = VIDEOS[3]
    for t in np.linspace(1, video.duration - 1, 12):
        large = paint(video, t, (224, 224)).reshape(56, 4, 56, 4, 3).mean(axis=(1, 3))
        small = paint(video, t, (56, 56)).astype(float)
        assert np.abs(large - small).mean() < 6


def test_scores_say_how_much_of_the_wanted_is_there() -> None:
    red, blue = Thing("circle", "red", "big", "spin", 0.4, 0.6), Thing("star", "blue", "small", "still", 1.0, 0.6)
    scene = Scene(0, 10, "teal", "plain", (red, blue), "7")
    assert Attributes(colour="red", shape="circle").score(scene) == 5
    assert Attributes(colour="blue", shape="star").score(scene) == 4.5  # beside the main thing
    assert Attributes(colour="red", shape="star").score(scene) == 2.5  # never both of one thing
    assert Attributes(colour="green", shape="ring").score(scene) == 1
    assert Attributes(label="7").score(scene) == 5
    assert Attributes(colour="blue", background="teal", label="8").score(scene) == 3


def test_queries_are_true() -> None:
    seen = set()
    for video in VIDEOS:
        for query in queries(video.scenes, Random(video.seed), "test"):
            seen.add(query.kind)
            hits = [index for index, score in enumerate(query.scores) if score >= 4.3]
            assert all(1 <= score <= 5 for score in query.scores)
            assert [bool(reason) for reason in query.reasons] == [score >= 4.3 for score in query.scores]
            assert len(query.scores) == len(video.scenes)
            if query.kind in ("needle", "attribute", "order"):
                assert len(hits) == 1
            if query.kind == "count":
                assert len(hits) >= 2
            assert (query.kind == "absent") is (not hits)
            if query.kind == "holistic":
                assert len(hits) == len(video.scenes)
    assert seen == set(KINDS)


def test_reasons_name_what_is_in_the_scene() -> None:
    for video in VIDEOS[:20]:
        for kind in ("needle", "attribute", "action", "count", "order"):
            query = make_query(kind, video.scenes, Random(video.seed))
            for scene, reason in zip(video.scenes, query.reasons if query else (), strict=False):
                if reason:
                    size, colour, shape, _, background = reason.split()
                    assert background == scene.background
                    assert (size, colour, shape) in {(t.size, t.colour, t.shape) for t in scene.things}


def test_questions_have_one_right_answer_in_their_evidence() -> None:
    kinds = set()
    for video in VIDEOS:
        for question in questions(video.scenes, Random(video.seed)):
            kinds.add(question.kind)
            assert len(set(question.options)) == 4
            right = question.options[question.answer]
            assert question.evidence
            if question.kind == "count":
                assert int(right) == len(question.evidence)
                continue
            (index,) = question.evidence
            scene = video.scenes[index]
            words = {
                scene.background,
                scene.label,
                *(w for t in scene.things for w in (t.colour, t.shape, f"{t.colour} {t.shape}")),
            }
            assert right in words
    assert kinds == {"attribute", "action", "order", "count"}


def test_rows_are_plain_and_clips_cover_the_relevant_scenes() -> None:
    for video in VIDEOS[:20]:
        rows = [video_row(video), *(qa_row(video, q) for q in questions(video.scenes, Random(1)))]
        for query in queries(video.scenes, Random(video.seed)):
            rows.append(query_row(video, query))
            clips = make_clips(video.scenes, query)
            assert [clip.priority for clip in clips] == sorted(clip.priority for clip in clips)
            expected = sum(s.end - s.start for s, score in zip(video.scenes, query.scores, strict=True) if score >= 4.3)
            assert sum(clip.length for clip in clips) == pytest.approx(expected)
        assert json.loads(json.dumps(rows)) == rows
        assert [scene["end"] for scene in rows[0]["scenes"]] == [scene.end for scene in video.scenes]


def test_thresholds_of_priority_are_parameters() -> None:
    video = VIDEOS[0]
    query = next(q for q in queries(video.scenes, Random(0)) if q.kind == "count")
    assert {clip.priority for clip in make_clips(video.scenes, query, p1_score=5.1)} == {"P2"}
    assert make_clips(video.scenes, query, p2_score=5.1) == []


def test_a_written_file_decodes_to_what_was_drawn(tmp_path: Path) -> None:
    video = min(VIDEOS, key=lambda video: video.duration)
    path = write_video(video, tmp_path / "video.mp4", fps=2)
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert len(frames) == round(video.duration * 2)
    for time, picture in frames[::7]:
        error = np.abs(picture.astype(int) - paint(video, time, (192, 144))).mean()
        assert error < 8, f"{error:.1f} levels off at {time}"
