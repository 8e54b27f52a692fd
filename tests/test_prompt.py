"""What models read and write: messages, the wire form, and its repair."""

from __future__ import annotations

import json
import math
import random
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notes import sentences
from PIL import Image

from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.prompt import PromptFormat, build_messages, parse_clips, split_images, write_clips
from kframes_plugin.types import Candidates, Clip, Frame, Prediction

DURATION = 100.0
INDEX = PromptFormat(time_format="index")
BARE = PromptFormat(reasons=False)

Expected = list[tuple[Any, ...]]
GOAL = (10.0, 20.0, "P1", "goal")
GOOD = '{"start":10,"end":20,"priority":"P1","reason":"goal"}'

# What was written, the clips in it, and words of the note that says so. The video lasts 100 s.
MALFORMED: list[tuple[str, Expected, str]] = [
    # cut off
    ('[{"start":10,"end":20,"priority":"P1","reason":"goal"', [GOAL], "cut off"),
    ('[{"start":10,"end":20,"priority":"P1","reason":"go', [(10, 20, "P1", "go")], "cut off"),
    ('[{"start":10,"end":20,"priority":"P1"', [(10, 20, "P1", "")], "missing reason"),
    ('[{"start":10,"end":20,"priority":"P', [(10, 20, "P1", "")], "unknown priority"),
    ('[{"start":10,"end":20,', [(10, 20, "P1", "")], "cut off"),
    (f'[{GOOD},{{"start":30,"en', [GOAL], "without a usable start and end"),
    (f'[{GOOD},{{"start":30', [GOAL], "without a usable start and end"),
    (f"[{GOOD},", [GOAL], "cut off"),
    (f"[{GOOD}", [GOAL], "cut off"),
    ("[", [], "cut off"),
    ('[{"start":', [], "no clips could be read"),
    # fences, talk and thinking around it
    (f"```json\n[{GOOD}]\n```", [GOAL], "text around it"),
    (f"```\n[{GOOD}]", [GOAL], "text around it"),
    (f"Here are the clips: [{GOOD}] I hope that's what you need!", [GOAL], "text around it"),
    (f"<answer>[{GOOD}]</answer>", [GOAL], "text around it"),
    (f"<think>maybe [5, 9]?</think>\n[{GOOD}]", [GOAL], "thinking"),
    (f"I see [a ball] first.\n[{GOOD}]", [GOAL], "text around it"),
    (f'Draft: [{{"start":1,"end":2}}]. Better: [{GOOD}]', [GOAL], "last of several"),
    ("<think>the clip [10, 20] shows", [], "thinking was cut off"),
    ("<think>never mind</think>", [], "the model wrote nothing"),
    ("```json\n[]\n```", [], "text around it"),
    # JSON with mistakes
    ("[{'start': 10, 'end': 20, 'priority': 'P1', 'reason': 'goal'}]", [GOAL], "mistakes"),
    (f"[{GOOD},]", [GOAL], "mistakes"),
    ("[{start: 10, end: 20, priority: P1, reason: goal}]", [GOAL], "mistakes"),
    ('[{"start" :10 "end": 20 "priority": "P1" "reason": "goal"}]', [GOAL], "mistakes"),
    (f"[{GOOD} {GOOD.replace('10', '30').replace('20', '40')}]", [GOAL, (30, 40, "P1", "goal")], "mistakes"),
    (
        '[{"start":10,"end":20,"priority":"P1","reason":"he says "goal" twice"}]',
        [(10, 20, "P1", 'he says "goal" twice')],
        "",
    ),
    ("[{'start':10,'end':20,'priority':'P1','reason':'it's a goal'}]", [(10, 20, "P1", "it's a goal")], "mistakes"),
    ("[{“start”:10,“end”:20,“priority”:“P1”,“reason”:“goal”}]", [GOAL], "mistakes"),
    (f"{GOOD}\n{GOOD.replace('10', '30').replace('20', '40')}", [GOAL, (30, 40, "P1", "goal")], "together into a list"),
    (f"[{GOOD}]]]]", [GOAL], "text around it"),
    (json.dumps(f"[{GOOD}]"), [GOAL], "mistakes"),
    ('[{"start":10,"end":20,"priority":"P1","reason":"a\nb"}]', [(10, 20, "P1", "a b")], "tidied"),
    # times
    ('[{"start":"12.5s","end":"20 sec","priority":"P1","reason":""}]', [(12.5, 20, "P1", "")], "plain numbers"),
    ('[{"start":"0:10","end":"1:05","priority":"P1","reason":""}]', [(10, 65, "P1", "")], "plain numbers"),
    (
        '[{"start":"00:00:10","end":"00:01:05.250","priority":"P1","reason":""}]',
        [(10, 65.25, "P1", "")],
        "plain numbers",
    ),
    (
        '[{"start":"00:00:10,500","end":"00:01:05","priority":"P1","reason":""}]',
        [(10.5, 65, "P1", "")],
        "plain numbers",
    ),
    ('[{"start":"10","end":"1m 5s","priority":"P1","reason":""}]', [(10, 65, "P1", "")], "plain numbers"),
    ('[{"start":"<10.0 seconds>","end":"1 min","priority":"P1","reason":""}]', [(10, 60, "P1", "")], "plain numbers"),
    ("[{start: 0:10, end: 1:05, priority: P1, reason: goal}]", [(10, 65, "P1", "goal")], "plain numbers"),
    ('[{"start":20,"end":10,"priority":"P1","reason":"goal"}]', [GOAL], "swapped"),
    ('[{"start":-5,"end":20,"priority":"P1","reason":"goal"}]', [(0, 20, "P1", "goal")], "into the video"),
    ('[{"start":10,"end":2000,"priority":"P1","reason":"goal"}]', [(10, 100, "P1", "goal")], "into the video"),
    ('[{"start":10,"end":1e999,"priority":"P1","reason":"goal"}]', [(10, 100, "P1", "goal")], "into the video"),
    ('[{"start":10,"end":Infinity,"priority":"P1","reason":"goal"}]', [(10, 100, "P1", "goal")], "into the video"),
    (
        f'[{{"start":10,"end":{"9" * 5000},"priority":"P1","reason":"goal"}}]',
        [(10, 100, "P1", "goal")],
        "into the video",
    ),
    ('[{"start":200,"end":300,"priority":"P1","reason":"goal"}]', [], "outside of the video"),
    ('[{"start":-9,"end":-2,"priority":"P1","reason":"goal"}]', [], "outside of the video"),
    ('[{"start":100,"end":105,"priority":"P1","reason":"goal"}]', [], "outside of the video"),
    ('[{"start":NaN,"end":20,"priority":"P1","reason":"goal"}]', [], "without a usable start and end"),
    ('[{"start":null,"end":20,"priority":"P1","reason":"goal"}]', [], "without a usable start and end"),
    ('[{"start":true,"end":20,"priority":"P1","reason":"goal"}]', [], "without a usable start and end"),
    ('[{"start":"soon","end":"later","priority":"P1","reason":"goal"}]', [], "without a usable start and end"),
    ('[{"start":10,"end":10,"priority":"P1","reason":"goal"}]', [(9.5, 10.5, "P1", "goal")], "widened"),
    ('[{"start":0,"end":0,"priority":"P1","reason":"goal"}]', [(0, 0.5, "P1", "goal")], "widened"),
    # priorities and reasons
    ('[{"start":10,"end":20,"reason":"goal"}]', [GOAL], "unknown priority as P1"),
    ('[{"start":10,"end":20,"priority":null,"reason":"goal"}]', [GOAL], "unknown priority as P1"),
    ('[{"start":10,"end":20,"priority":"???","reason":"goal"}]', [GOAL], "unknown priority as P1"),
    ('[{"start":10,"end":20,"priority":"p1","reason":"goal"}]', [GOAL], "another spelling"),
    ('[{"start":10,"end":20,"priority":2,"reason":"goal"}]', [(10, 20, "P2", "goal")], "another spelling"),
    ('[{"start":10,"end":20,"priority":"Secondary","reason":"goal"}]', [(10, 20, "P2", "goal")], "another spelling"),
    ('[{"start":10,"end":20,"priority":"top","reason":"goal"}]', [GOAL], "another spelling"),
    ('[{"start":10,"end":20,"priority":"P1"}]', [(10, 20, "P1", "")], "missing reason"),
    ('[{"start":10,"end":20,"priority":"P1","reason":7}]', [(10, 20, "P1", "7")], "into text"),
    ('[{"start":10,"end":20,"priority":"P1","reason":["a","b"]}]', [(10, 20, "P1", '["a", "b"]')], "into text"),
    (
        f'[{{"start":10,"end":20,"priority":"P1","reason":"{"x" * 900}"}}]',
        [(10, 20, "P1", "x" * 199 + "…")],
        "shortened",
    ),
    ('[{"start":10,"end":20,"priority":"P1","reason":"\\ud800"}]', [(10, 20, "P1", "?")], "tidied"),
    # other keys and shapes
    (GOOD, [GOAL], "a value that is not a list"),
    (f'{{"clips":[{GOOD}]}}', [GOAL], "a value that is not a list"),
    (f'{{"answer":{{"result":[{GOOD}]}},"n":1}}', [GOAL], "a value that is not a list"),
    (f"[[{GOOD}]]", [GOAL], "a value that is not a list"),
    ('[{"start_time":10,"end_time":20,"priority":"P1","explanation":"goal"}]', [GOAL], "another name of a key"),
    ('[{"Start":10,"End":20,"Priority":"P1","Reason":"goal"}]', [GOAL], "another name of a key"),
    ('[{"span":[10,20],"priority":"P1","reason":"goal"}]', [GOAL], "another name of a key"),
    ('[{"timestamp":"0:10 - 0:20","priority":"P1","reason":"goal"}]', [GOAL], "another name of a key"),
    ('[{"clip":"10s to 20s","priority":"P1","reason":"goal"}]', [GOAL], "plain numbers"),
    ('[{"time":10,"priority":"P1","reason":"goal"}]', [(9.5, 10.5, "P1", "goal")], "widened"),
    ('[{"start":10,"end":20,"priority":"P1","reason":"goal","score":0.9}]', [GOAL], "unknown key"),
    ("[[10,20],[30,40]]", [(10, 20, "P1", ""), (30, 40, "P1", "")], "not an object"),
    ('[[10,20,"P2","goal"]]', [(10, 20, "P2", "goal")], "not an object"),
    ("[10, 20]", [(10, 20, "P1", "")], "not an object"),
    ('["10 - 20"]', [(10, 20, "P1", "")], "not an object"),
    ("[12.5s - 20s]", [(12.5, 20, "P1", "")], "not an object"),
    ('{"P1":[[10,20]],"P2":[[30,40]]}', [(10, 20, "P1", ""), (30, 40, "P2", "")], "not an object"),
    (f'[{GOOD},"junk",null,7,[]]', [GOAL], "not a clip"),
    ("[1, 2, 3, 4, 5, 6, 7]", [], "no clips could be read"),
    # twice, overlapping, too many
    (f"[{GOOD},{GOOD}]", [GOAL], "twice"),
    (f"[{GOOD.replace('P1', 'P2')},{GOOD}]", [GOAL], "twice"),
    (f"[{GOOD},{GOOD.replace('20', '30')}]", [(10, 30, "P1", "goal")], "merged"),
    (f"[{GOOD.replace('10', '15').replace('20', '30')},{GOOD}]", [(10, 30, "P1", "goal")], "merged"),
    (
        f'[{GOOD},{{"start":5,"end":30,"priority":"P2","reason":""}}]',
        [GOAL, (5, 10, "P2", ""), (20, 30, "P2", "")],
        "covers",
    ),
    (f'[{GOOD},{{"start":12,"end":18,"priority":"P2","reason":""}}]', [GOAL], "covers"),
    # nothing
    ("", [], "the model wrote nothing"),
    ("  \n", [], "the model wrote nothing"),
    ("null", [], "no clips could be read"),
    ("{}", [], "no clips could be read"),
    ("42", [], "no clips could be read"),
    ("No clip of the video matches the query.", [], "No clip of the video matches"),
    ('{"error":"I cannot see a video"}', [], "no clips could be read"),
    ('{"clips":[]}', [], "no clips could be read"),
    ("!" * 50, [], "no clips could be read"),
]


def rows(clips: list[Clip]) -> Expected:
    return [(clip.start, clip.end, clip.priority, clip.reason) for clip in clips]


@pytest.mark.parametrize(("text", "expected", "note"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_answers_are_mended_and_said(text: str, expected: Expected, note: str) -> None:
    found = parse_clips(text, DURATION)
    assert rows(found) == expected
    assert any(note in said for said in sentences(found.notes)), sentences(found.notes)
    assert all(said.startswith("answer: ") and "\n" not in said for said in sentences(found.notes))


def test_there_are_enough_malformed_answers() -> None:
    assert len({text for text, _, _ in MALFORMED}) >= 60


def test_a_clean_answer_needs_no_note() -> None:
    found = parse_clips(
        f' [{GOOD.replace("P1", "P2")}, {{"start": 30.5, "end": 41, "priority": "P1", "reason": ""}}]\n', 100
    )
    assert rows(found) == [(30.5, 41.0, "P1", ""), (10.0, 20.0, "P2", "goal")]
    assert found.notes == ()


def test_a_clean_empty_answer_differs_from_an_unreadable_one() -> None:
    assert (parse_clips("[]", 9.0), sentences(parse_clips("[]", 9.0).notes)) == ([], ())
    assert parse_clips("nothing", 9.0) == []
    assert sentences(parse_clips("nothing", 9.0).notes) == ("answer: no clips could be read in 'nothing'",)


def test_repeated_repairs_are_one_note() -> None:
    text = json.dumps([{"start": i + 1, "end": i, "priority": "P1", "reason": ""} for i in range(0, 50, 2)])
    assert sentences(parse_clips(text, DURATION).notes) == ("answer: swapped start and end (25 times)",)


def test_too_many_clips_are_cut_worst_first() -> None:
    written = [{"start": i, "end": i + 0.5, "priority": "P2" if i < 60 else "P1", "reason": ""} for i in range(70)]
    found = parse_clips(json.dumps(written), DURATION, max_clips=12)
    assert [clip.start for clip in found] == [*range(60, 70), 0, 1]
    assert sentences(found.notes) == ("answer: kept the first 12 of 70 clips",)


def test_reasons_are_not_missed_where_none_are_asked_for() -> None:
    assert parse_clips('[{"start":1,"end":2,"priority":"P1"}]', DURATION, fmt=BARE).notes == ()


def test_a_point_becomes_the_span_of_its_candidate() -> None:
    found = parse_clips(GOOD.replace("20", "10").join("[]"), DURATION, times=[5.0, 15.0, 40.0])
    assert rows(found) == [(10.0, 27.5, "P1", "goal")]


def test_an_end_rounded_past_the_video_is_no_repair() -> None:
    found = parse_clips('[{"start":10,"end":61.1,"priority":"P1","reason":""}]', 61.04)
    assert (rows(found), sentences(found.notes)) == ([(10.0, 61.04, "P1", "")], ())


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_duration_that_makes_no_sense_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match="duration must be a positive number"):
        parse_clips("[]", duration)


# ------------------------------------------------------------------------------------------------------ index mode

TIMES = [5.0, 15.0, 25.0, 35.0]  # candidates in the middle of four spans of 10 s


@pytest.mark.parametrize(
    ("written", "expected", "note"),
    [
        ((0, 4), (0.0, 40.0), None),
        ((1, 3), (10.0, 30.0), None),
        ((2, 2), (20.0, 30.0), "widened"),
        ((4, 4), (30.0, 40.0), "widened"),
        ((3, 1), (10.0, 30.0), "swapped"),
        ((-2, 1), (0.0, 10.0), "into the video"),
        ((3, 99), (30.0, 40.0), "into the video"),
        ((1.4, 2.6), (10.0, 30.0), "rounded"),
        ((7, 9), None, "outside"),
        ((4, 7), None, "outside"),
    ],
)
def test_index_mode(written: tuple[float, float], expected: tuple[float, float] | None, note: str | None) -> None:
    text = json.dumps([{"start": written[0], "end": written[1], "priority": "P1", "reason": ""}])
    found = parse_clips(text, 40.0, fmt=INDEX, times=TIMES)
    assert [(clip.start, clip.end) for clip in found] == ([expected] if expected else [])
    assert (note is None) == (found.notes == ())
    assert note is None or note in " ".join(sentences(found.notes))


def test_index_mode_needs_times() -> None:
    with pytest.raises(ValueError, match="needs times"):
        parse_clips("[]", 40.0, fmt=INDEX)
    with pytest.raises(ValueError, match="needs times"):
        write_clips([Clip(1, 2)], 40.0, fmt=INDEX)


def test_index_mode_writes_the_candidates_that_show_the_clip() -> None:
    clips = [Clip(12.0, 26.0), Clip(31.0, 34.0, "P2"), Clip(36.0, 39.0, "P2")]
    spans = [(row["start"], row["end"]) for row in json.loads(write_clips(clips, 40.0, fmt=INDEX, times=TIMES))]
    assert spans == [(1, 3), (3, 4), (3, 4)]  # the last two lie between candidates: the nearer one


def test_candidate_edges_lie_halfway() -> None:
    assert candidate_edges([1.0, 2.0, 6.0], 9.0) == [0.0, 1.5, 4.0, 9.0]
    assert candidate_edges([3.0], 9.0) == [0.0, 9.0]


# ---------------------------------------------------------------------------------------------------- round trips


@st.composite
def disjoint_clips(draw: st.DrawFn) -> list[Clip]:
    """Clips on tenths of a second, none touching, P1 first."""
    marks = sorted(draw(st.sets(st.integers(0, 1000), min_size=0, max_size=12)))
    reasons = st.lists(
        st.sampled_from(["goal", '"it"', "it's", "{", "]", ",", "\\", "a:", "ö", "球", "12.5s", "😀"]), max_size=9
    )
    clips = [
        Clip(a / 10, b / 10, draw(st.sampled_from(["P1", "P2"])), " ".join(draw(reasons)))
        for a, b in zip(marks[::2], marks[1::2], strict=False)
    ]
    return sorted(clips, key=lambda clip: clip.priority)


@given(disjoint_clips())
def test_what_is_written_is_read_back(clips: list[Clip]) -> None:
    found = parse_clips(write_clips(clips, DURATION), DURATION)
    assert list(found) == clips
    assert found.notes == ()


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=40), st.data())
def test_indices_are_read_back(gaps: list[float], data: st.DataObject) -> None:
    times = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    duration = times[-1] + 1.0
    edges = candidate_edges(times, duration)
    start = data.draw(st.integers(0, len(times) - 1))
    end = data.draw(st.integers(start + 1, len(times)))
    clip = Clip(edges[start], edges[end], "P2", "why")
    text = write_clips([clip], duration, fmt=INDEX, times=times)
    assert (json.loads(text)[0]["start"], json.loads(text)[0]["end"]) == (start, end)
    found = parse_clips(text, duration, fmt=INDEX, times=times)
    assert (list(found), sentences(found.notes)) == ([clip], ())


@given(st.floats(0, 99.9), st.floats(1e-6, 50))
def test_written_seconds_cover_the_clip(start: float, length: float) -> None:
    clip = Clip(start, min(start + length, DURATION))
    row = json.loads(write_clips([clip], DURATION, fmt=BARE))[0]
    assert row["start"] <= clip.start + 1e-6
    assert clip.end - 1e-6 <= row["end"] <= clip.end + 0.1
    assert row["start"] < row["end"]


def test_a_long_reason_is_cut_when_written() -> None:
    assert len(json.loads(write_clips([Clip(1, 2, reason="word " * 99)], DURATION))[0]["reason"]) <= 200


# ---------------------------------------------------------------------------------------------------------- fuzz


def as_written(text: str, duration: float) -> list[Clip] | None:
    """A strict reading: the clips of an answer that needs no repair at all, else None."""
    try:
        found = [Clip(**row) for row in json.loads(text) if set(row) == {"start", "end", "priority", "reason"} or 1 / 0]
        fits = all(clip.end <= duration + 0.1 and isinstance(clip.reason, str) for clip in found)
        apart = all(a.end <= b.start or b.end <= a.start for i, a in enumerate(found) for b in found[:i])
        return sorted(found, key=lambda clip: clip.priority) if fits and apart else None
    except (ValueError, TypeError, ZeroDivisionError, AttributeError, RecursionError):
        return None


def check_answer(text: str, duration: float, times: list[float]) -> Prediction:
    """Every promise that holds for any text at all."""
    found = parse_clips(text, duration, times=times)
    for clip in found:
        assert 0 <= clip.start < clip.end <= duration
        assert len(clip.reason) <= 200
        clip.reason.encode("utf-8")
    assert [clip.priority for clip in found] == sorted(clip.priority for clip in found)
    spans = sorted((clip.start, clip.end) for clip in found)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    strict = as_written(text, duration)
    if strict is None or rows(strict) != rows([Clip(c.start, c.end, c.priority, c.reason) for c in found]):
        close = strict is not None and all(abs(a.end - b.end) <= 0.1 for a, b in zip(strict, found, strict=False))
        assert sentences(found.notes) or (close and len(strict or []) == len(found)), text
    return found


def check_indices(text: str, duration: float, times: list[float]) -> None:
    edges = set(candidate_edges(times, duration))
    assert all({clip.start, clip.end} <= edges for clip in parse_clips(text, duration, fmt=INDEX, times=times))


def mutated(text: str, rng: random.Random) -> str:
    """One of the things that go wrong when a model writes: characters lost, doubled, swapped, changed, cut off."""
    junk = [
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\\",
        "-",
        "e",
        "9" * 30,
        "NaN",
        "null",
        "```",
        "<think>",
        "</think>",
    ]
    junk += [
        "\n",
        "\u2028",
        "\ud800",
        "“",
        "s",
        "0:",
        "true",
        "1e400",
        " to ",
        "P2",
        "\x00",
        "é",
        "😀",
        '"start":',
        "//",
    ]
    chars = list(text)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(chars) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            del chars[at : at + rng.randint(1, 8)]
        elif kind == 1:
            chars.insert(at, rng.choice(junk))
        elif kind == 2:
            chars[at:at] = chars[max(0, at - rng.randint(1, 40)) : at]
        elif kind == 3:
            del chars[at:]
        elif kind == 4 and at < len(chars):
            chars[at] = rng.choice(junk)
        else:
            other = rng.randrange(len(chars) + 1)
            chars[min(at, other) : max(at, other)] = reversed(chars[min(at, other) : max(at, other)])
    return "".join(chars)


def test_ten_thousand_mutations_of_good_answers() -> None:
    rng = random.Random(0)
    mended = 0
    for i in range(10_000):
        duration = rng.choice([0.05, 3.0, 61.04, 3600.0])
        marks = sorted(rng.uniform(0, duration) for _ in range(2 * rng.randint(0, 4)))
        spans = [(a, b) for a, b in zip(marks[::2], marks[1::2], strict=True) if a < b]
        clips = [Clip(a, b, rng.choice(["P1", "P2"]), rng.choice(["", 'it\'s "it"', "Tor, ja!"])) for a, b in spans]
        text = mutated(write_clips(clips, duration), rng)
        times = [duration * (j + 0.5) / 7 for j in range(7)]
        mended += bool(check_answer(text, duration, times))
        if i % 10 == 0:
            check_indices(text, duration, times)
    assert mended > 3_000  # and not because nothing is ever read


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.text(), st.text(alphabet="[]{}\"':,.0123456789 sPn\\-ed"), st.binary().map(lambda b: b.decode("latin-1"))
    )
)
def test_any_text_at_all(text: str) -> None:
    check_answer(text, DURATION, [25.0, 75.0])
    check_indices(text, DURATION, [25.0, 75.0])


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(
            st.sampled_from(["start", "end", "priority", "reason", "span", "clips", "x"]), inner, max_size=5
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_any_json_at_all(value: Any) -> None:
    check_answer(json.dumps(value), DURATION, [25.0, 75.0])


GARBAGE = ["[", "{", '"', "'", "[1,", '{"start":', "[{", '["', "\\", '"\\', "[[1,2]", '[{"start":1,"end":2},', "1:"]
GARBAGE += ["<think>", "9", "]", '{"a":{"b":[', "x", "-", "[10-20", "```["]


@pytest.mark.parametrize("unit", GARBAGE)
def test_a_megabyte_of_garbage_takes_less_than_a_second(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    for garbage in (text, f"{unit} " * (1_000_000 // (len(unit) + 1)), "[" + text, '[{"start":"' + text):
        start = time.process_time()
        found = parse_clips(garbage, DURATION)
        assert time.process_time() - start < 1.0
        assert sentences(found.notes)


# ------------------------------------------------------------------------------------------------------- messages


def candidates(count: int = 3) -> Candidates:
    images = [Image.new("RGB", (8, 6), (i, 0, 0)) for i in range(count)]
    frames = [Frame(10.0 * i + 5, 10.0 if i < count - 1 else 5.0, image) for i, image in enumerate(images)]
    return Candidates(frames, 10.0 * count)


def texts(content: list[dict[str, Any]]) -> list[str]:
    return [item["text"] for item in content if item["type"] == "text"]


def test_every_image_follows_its_time() -> None:
    frames = candidates()
    [message] = build_messages(frames, "Who scores?")
    assert message["role"] == "user"
    assert [item["type"] for item in message["content"]] == ["text", "image"] * 3 + ["text"]
    assert [item["image"] for item in message["content"] if item["type"] == "image"] == [f.image for f in frames]
    assert texts(message["content"])[:3] == ["<5.0 seconds>", "<15.0 seconds>", "<25.0 seconds>"]
    task = texts(message["content"])[3]
    assert "Query: Who scores?\n" in task
    assert "video of 30.0 seconds" in task
    assert task.index('"start"') < task.index('"priority"') < task.index('"reason"')


def test_index_mode_closes_with_a_mark() -> None:
    fmt = PromptFormat(time_format="index", instruction="short")
    [message] = build_messages(candidates(), "red", fmt)
    assert texts(message["content"]) == ["0", "1", "2", "3", "\nred"]


@pytest.mark.parametrize(
    ("position", "first", "last"), [("before", True, False), ("after", False, True), ("both", True, True)]
)
def test_the_query_stands_where_it_should(position: Any, first: bool, last: bool) -> None:
    for instruction in ("full", "short"):
        content = build_messages(candidates(), "zebra", PromptFormat(query_position=position, instruction=instruction))[
            0
        ]["content"]
        middle = [item["type"] for item in content].index("image")
        assert any("zebra" in text for text in texts(content[:middle])) == first
        assert any("zebra" in text for text in texts(content[middle:])) == last


def test_the_example_in_the_instruction_can_be_followed() -> None:
    task = texts(build_messages(candidates(), "q", BARE)[0]["content"])[-1]
    assert "reason" not in task
    assert "answer []" in task


def test_images_split_off_leave_uniform_items() -> None:
    frames = candidates()
    messages, images = split_images(build_messages(frames, "q"))
    assert images == [frame.image for frame in frames]
    assert {tuple(item) for item in messages[0]["content"]} == {("type", "text")}
    assert [item["type"] for item in messages[0]["content"]].count("image") == 3
    json.dumps(messages)


def test_plain_frames_will_do() -> None:
    [message] = build_messages(list(candidates()), "q")
    assert "video of 30.0 seconds" in texts(message["content"])[-1]


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        build_messages([], "q")
    with pytest.raises(ValueError, match="query is empty"):
        build_messages(candidates(), "  ")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="query_position must be one of after, before, both; got 'behind'"):
        PromptFormat(query_position="behind")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("[(61, 74.5), (80, 90)]", [(61, 74.5), (80, 90)]),
        ("(61, 74.5)", [(61, 74.5)]),
        ("((61, 74.5),)", [(61, 74.5)]),
        ("\n[ (5,6) , (7.5, 8) ]\n", [(5, 6), (7.5, 8)]),
    ],
)
def test_pairs_in_round_brackets_are_spans(text: str, spans: list[tuple[float, float]]) -> None:
    found = parse_clips(text, 100.0)
    assert [(clip.start, clip.end) for clip in found] == spans
    assert [note.code for note in found.notes] == ["answer-repaired"] * len(found.notes) != []


def test_pairs_in_round_brackets_within_a_sentence_are_no_spans() -> None:
    assert parse_clips("They won (3, 1) in the end.", 100.0) == []
