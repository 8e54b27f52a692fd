"""The parts of PeakClips alone: fades, chapters, refinement, answers, the cache."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("openai")

from kframes_training.rows import P2_SCORE, merge_scenes
from kframes_training.sources.peakclips import prompts
from kframes_training.sources.peakclips.answers import Unusable, read, schema
from kframes_training.sources.peakclips.cache import AnswerCache, costs, total
from kframes_training.sources.peakclips.chapters import THRESHOLDS, group, inner_ends_f1
from kframes_training.sources.peakclips.fades import find_fades
from kframes_training.sources.peakclips.refinement import Refinement, refine
from kframes_training.sources.peakclips.settings import choose_kinds

from kframes_plugin.types import Clip


def test_fades_are_found_and_lamps_are_not() -> None:
    times = [0.25 * i for i in range(80)]  # 20 s; one picture until 10 s, another after it
    other = [np.eye(64, dtype=np.float32)[3 if t < 10 else 5] for t in times]
    fading = [255 * min(1, abs(t - 10) / 0.5) for t in times]
    assert find_fades(times, fading, other) == [10.0]
    same = [np.eye(64, dtype=np.float32)[3] for _ in times]
    assert find_fades(times, fading, same) == []  # off and on again
    assert find_fades(times, [255.0] * 80, other) == []  # a hard cut is not its business
    night = [5.0 if 8 <= t < 14 else 255.0 for t in times]
    assert find_fades(times, night, other) == []  # a dark scene


def test_chapters_by_words_and_by_colours() -> None:
    captions = ["a red ball on sand", "a red car on sand", "two boats at sea", "a ship at sea"]
    colours = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
    for method in THRESHOLDS:
        assert group(captions, colours, method) == [[0, 1], [2, 3]], method
        assert group(["x"], [[1.0]], method) == [[0]]
    with pytest.raises(ValueError, match="grouping must be one of neighbours:captions"):
        group(captions, colours, "magic")


def test_f1_of_inner_ends() -> None:
    true = [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]
    assert inner_ends_f1(true, true) == 1
    assert inner_ends_f1([(0, 10.5), (10.5, 30)], true) == pytest.approx(2 / 3)
    assert inner_ends_f1([(0, 9.5), (9.5, 10.5), (10.5, 30)], true) == 0.5  # one true boundary answers for one
    assert inner_ends_f1([(0, 30)], [(0, 30)]) == 1
    assert inner_ends_f1([(0, 30)], true) == 0


def test_refinement() -> None:
    rule = Refinement(0.5, 0.5, low=0.0, high=1.0)
    assert refine([5, 5, 1], [1.0, 0.0, 0.5], rule) == [5.0, 3.0, 2.0]
    assert refine([5, 2], [], rule) == [5, 2]
    assert refine([5, 5, 1], [9.0, 7.0, 7.0], Refinement()) == [5.0, 3.8, 1.0]  # median 7 is worth 1, highest 9 is 5
    assert refine([4, 4, 1], [9.0, 7.0, 7.0], Refinement())[0] >= P2_SCORE, "the most alike of the lesser ones"
    assert refine([4, 4], [3.0, 3.0], rule) == [4.5, 4.5]
    assert refine([5, 3], [3.0, 3.0], Refinement(1, 0)) == [5, 3]


def test_clips_join_neighbours_of_one_reason() -> None:
    spans = [(0.0, 5.0), (5.0, 9.0), (9.0, 12.0), (12.0, 20.0)]
    found = merge_scenes(spans, [4.5, 5, 4.95, 2], ["a", "b", "b", ""])
    assert found == [Clip(5.0, 12.0, "P1", "b"), Clip(0.0, 5.0, "P2", "a")]
    assert merge_scenes(spans, [1, 1, 1, 4.2], [""] * 4) == []


def test_kinds_are_balanced_and_depend_on_the_video_alone() -> None:
    drawn = [kind for number in range(700) for kind in choose_kinds(f"film {number}", 2.5)]
    assert len(drawn) / 700 == pytest.approx(2.5, abs=0.1)
    assert all(150 < drawn.count(kind) < 350 for kind in prompts.KINDS)
    assert choose_kinds("film 1", 2.5) == choose_kinds("film 1", 2.5)


SCORES = prompts.relevance("v", "q", "needle", [(0.0, 1.0), (1.0, 2.0)], ["a", "b"], 0, 2)
CAPTION = prompts.scene("v", (0.0, 1.0), 3)


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ('{"scores":[{"scene":1,"score":5,"reason":"x"},{"scene":2,"score":1,"reason":""}]}', [5, 1]),
        ('```json\n{"scores": [{"scene": 2, "score": 1.5}, {"scene": 1, "score": 4}]}\n```', [1.5, 4]),
        ("[{'scene': 1, 'score': 2}, {'scene': 2, 'score': 3}]", [2, 3]),
        ('Sure! {"scores":[{"scene":1,"score":5},{"scene":2,"score":4', [5, 4]),
    ],
)
def test_answers_are_read_leniently(text: str, scores: list[float]) -> None:
    assert [item.score for item in read(text, SCORES).scores] == scores


@pytest.mark.parametrize(
    ("text", "prompt", "why"),
    [
        ("I cannot say", CAPTION, "it holds no JSON"),
        ('{"caption": ""}', CAPTION, "caption: String should have at least 1 character"),
        ('{"text": "a"}', CAPTION, "caption: Field required"),
        ('{"scores":[{"scene":1,"score":6},{"scene":2,"score":1}]}', SCORES, r"scores\.0\.score: .* less than"),
        ('{"scores":[{"scene":1,"score":5}]}', SCORES, r"each of the scenes \[1, 2\] once; it has \[1\]"),
        ("7", CAPTION, "the answer: "),
    ],
)
def test_unusable_answers_say_why(text: str, prompt: prompts.Prompt, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read(text, prompt)


def test_questions_must_fit() -> None:
    prompt = prompts.questions("v", "c", [(0.0, 1.0)], ["a"], 1)
    good = {"question": "q", "kind": "needle", "options": ["a", "b", "c", "d"], "answer": 1, "scenes": [1]}
    assert read(json.dumps({"questions": [good]}), prompt).questions[0].answer == 1
    for change, why in (
        ({"options": ["a", "a", "b", "c"]}, "options must differ"),
        ({"scenes": [2]}, "there is no scene 2"),
        ({"kind": "x"}, "kind must be one of"),
        ({"answer": 4}, "less than or equal to 3"),
    ):
        with pytest.raises(Unusable, match=why):
            read(json.dumps({"questions": [good | change]}), prompt)
    with pytest.raises(Unusable, match="at most 1 questions"):
        read(json.dumps({"questions": [good, good]}), prompt)


def test_schemas_require_every_field() -> None:
    for task in ("scene", "queries", "relevance", "questions"):
        found = schema(task)
        for part in [found, *found.get("$defs", {}).values()]:
            assert set(part["required"]) == set(part["properties"])
            assert part["additionalProperties"] is False


def test_the_cache_asks_once(tmp_path: Path) -> None:
    cache, asked = AnswerCache(tmp_path), []

    async def ask() -> dict[str, Any]:
        asked.append(1)
        await asyncio.sleep(0.01)
        return {"text": "x", "tokens_in": 1000, "tokens_out": 10, "requests": 1}

    async def twice() -> None:
        await asyncio.gather(cache.get("ab1", ask, {"task": "t"}), cache.get("ab1", ask, {"task": "t"}))

    asyncio.run(twice())
    asyncio.run(AnswerCache(tmp_path).get("ab1", ask, {}))
    assert len(asked) == 1
    log = costs(cache, 2.0, 100.0)
    assert total(log) == {"answers": 1, "tokens_in": 1000, "tokens_out": 10, "requests": 1, "cost": 0.003}
    (tmp_path / "cd").mkdir()
    (tmp_path / "cd" / ".half.tmp").write_text('{"answer"')  # what a killed process leaves behind
    assert len(list(cache.entries())) == 1
