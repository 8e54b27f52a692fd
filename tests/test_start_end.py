"""``start=``, ``end=`` and ``within=`` as people write them, and what a request may look at."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawn_film import SAMPLE
from typer.testing import CliRunner

from kframes_plugin import Clip, KFrames, KFramesError
from kframes_plugin.cli import app
from kframes_plugin.errors import SpanError
from kframes_plugin.query.spans import check_range, join_spans, to_seconds, to_span

DURATION = 122.625
KF = KFrames(lambda frames, query: [Clip(0, 100)], candidates=24)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90), (1.5, 1.5), (np.float32(2.5), 2.5), (0, 0), ("90", 90), ("90.5", 90.5), ("1:30", 90), ("01:30", 90),
        ("1:02:03", 3723), ("1:02:03.5", 3723.5), ("0:45.25", 45.25), ("90s", 90), ("90 sec", 90), ("2 min", 120),
        ("1h", 3600), ("1h05m", 3900), ("1h 5m 3s", 3903), ("2m30s", 150), ("1.5 hours", 5400), (" 1:30 ", 90),
        ("1e2", 100),
    ],
)  # fmt: skip
def test_seconds_as_people_write_them(given: Any, seconds: float):
    assert to_seconds(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "soon", "1:2:3:4", "5 apples", "1:30pm", "-5", "nan", "inf", -1, math.nan, math.inf]
)
def test_what_is_no_time_is_said_with_its_name_and_value(given: Any):
    with pytest.raises(SpanError, match="end must be") as error:
        to_seconds(given, "end")
    assert repr(given) in str(error.value)


@pytest.mark.parametrize("given", [True, None, [1], b"1:30"])
def test_what_is_neither_a_number_nor_a_text_is_refused(given: Any):
    with pytest.raises(TypeError, match="start must be seconds"):
        to_seconds(given, "start")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("10-20", (10, 20)),
        ("1:30-2:00", (90, 120)),
        ("1:30 \u2013 2:00", (90, 120)),
        ("5s to 1m", (5, 60)),
        ("0-0:30", (0, 30)),
    ],
)
def test_a_span_is_two_times_with_a_dash_between(text: str, span: tuple[float, float]):
    assert to_span(text) == span


@pytest.mark.parametrize("text", ["10", "10-", "-20", "20-10", "10-10", "1-2-3", "a-b", ""])
def test_texts_that_are_no_span_are_refused(text: str):
    with pytest.raises(SpanError):
        to_span(text)


def test_start_end_and_within_are_one_list_of_spans():
    assert join_spans([], None, None, 60) == []
    assert join_spans([], 10, None, 60) == [(10, 60)]
    assert join_spans([], None, "0:20", 60) == [(0, 20)]
    assert join_spans([(0, 15), (30, 90)], "0:10", 50, 60) == [(10, 15), (30, 50)]
    assert join_spans([], 10, 500, 60) == [(10, 60)]


@pytest.mark.parametrize(
    ("within", "start", "end", "words"),
    [
        ([], 60, None, "lasts 60.0 s; what was asked for .from 60 s. lies after its end"),
        ([], "1:30", "2:00", "90-120 s"),
        ([(0, 10)], 20, None, "no span of within= lies between start=20 and end=None"),
    ],
)
def test_what_lies_outside_is_refused(within: Any, start: Any, end: Any, words: str):
    with pytest.raises(SpanError, match=words):
        join_spans(within, start, end, 60)


@pytest.mark.parametrize(("start", "end"), [(20, 10), (10, 10), (None, 0), ("2:00", "1:30")])
def test_an_end_that_is_not_after_the_start_is_refused(start: Any, end: Any):
    with pytest.raises(SpanError, match="end must lie after start"):
        check_range(start, end)


def select(**options: Any) -> Any:
    return KF.select(SAMPLE, "a cross", 6, **options)


def in_session(**options: Any) -> Any:
    with KF.open(SAMPLE) as video:
        return video.select("a cross", 6, **options)


@pytest.mark.parametrize("asking", [select, in_session])
def test_start_and_end_are_within(asking: Callable[..., Any]):
    one, other = asking(start="0:30", end=40), asking(within=[(30, 40)])
    assert one == other
    assert one.sampling == other.sampling
    assert all(30 <= time < 40 for time in one.timestamps)
    assert [(clip.start, clip.end) for clip in one.clips] == [(30, 40)]
    assert asking(start=100).sampling.within == ((100, DURATION),)


@pytest.mark.parametrize("asking", [select, in_session])
@pytest.mark.parametrize(
    "options",
    [{"start": 40, "end": 30}, {"start": math.nan}, {"start": 200}, {"end": "soon"}, {"start": 5.01, "end": 5.02}],
)
def test_seconds_that_cannot_be_are_an_error_of_ours_and_a_value_error(asking: Callable[..., Any], options: Any):
    with pytest.raises(ValueError, match=r"end|start|lies after|no new frame") as error:
        asking(**options)
    assert isinstance(error.value, KFramesError)


def test_a_wrong_start_is_said_before_the_video_is_opened():
    with pytest.raises(SpanError, match="end must lie after start"):
        KF.select("nowhere.mp4", "q", start=5, end=4)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["select", str(SAMPLE), "a cross", "-k", "6", "--model", "uniform", *arguments])


@pytest.mark.parametrize(
    ("arguments", "spans"),
    [
        (["--start", "1:30", "--end", "100"], [[90, 100]]),
        (["--within", "10-20", "--within", "1:30-1:40"], [[10, 20], [90, 100]]),
        (["--within", "10-20", "--start", "15"], [[15, 20]]),
    ],
)
def test_the_command_line_takes_start_end_and_within(arguments: list[str], spans: list[list[float]]):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["sampling"]["within"] == spans
    assert all(any(a <= frame["timestamp"] < b for a, b in spans) for frame in found["frames"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--start", "200"],
        ["--start", "9", "--end", "8"],
        ["--within", "x"],
        ["--end", "nan"],
        ["--start", "5.01", "--end", "5.02"],
    ],
)
def test_wrong_seconds_are_wrong_arguments_of_the_command_line(arguments: list[str]):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
