"""Times in words through the whole flow: what the selector is asked, where it looks, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_film import SAMPLE
from typer.testing import CliRunner

from kframes_plugin import Clip, Frame, KFrames, Selection
from kframes_plugin.cli import app
from kframes_plugin.query.english import ENGLISH
from kframes_plugin.query.read import read_query
from kframes_plugin.query.time_words import TimeWords

DURATION = 122.625


class Remembering:
    """A selector that keeps what it was asked and shown, and names one clip over all of it."""

    candidates, frame_size = 32, 64

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.shown: list[Sequence[Frame]] = []

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        self.asked.append(query)
        self.shown.append(frames)
        return [Clip(0, 1000)]


def select(query: str, k: int = 6, selector: Any = None, **options: Any) -> tuple[Selection, Remembering]:
    remembering = Remembering()
    settings = {name: options.pop(name) for name in ("time_words", "strategy") if name in options}
    kframes = KFrames(selector or remembering, **settings)
    return kframes.select(SAMPLE, query, k, **options), remembering


def codes(selection: Selection) -> list[str]:
    return [note.code for note in selection.notes]


def test_the_selector_is_asked_for_the_rest_inside_of_the_time_only():
    selection, selector = select("the cross in the first minute")
    assert selector.asked == ["the cross"]
    assert all(frame.end <= 60 for frame in selector.shown[0])
    assert selection.query == "the cross in the first minute"
    assert selection.sampling.within == ((0, 60),)
    assert [(clip.start, clip.end) for clip in selection.clips] == [(0, 60)]
    assert all(time < 60 for time in selection.timestamps)
    assert [str(note) for note in selection.notes] == ['reads "in the first minute" as 0.0-60.0 s']
    assert codes(selection) == ["time-read"]


def test_it_is_what_within_gives_for_the_rest():
    selection, _ = select("the cross between 0:30 and 0:50")
    other, _ = select("the cross", within=[(30, 50)])
    assert (selection.clips, selection.timestamps, selection.candidates) == (
        other.clips,
        other.timestamps,
        other.candidates,
    )


@pytest.mark.parametrize("strategy", ["auto", "focused", "hybrid", "uniform"])
def test_a_time_alone_asks_no_selector_and_decodes_no_candidates(strategy: str):
    selection, selector = select("What happens between 0:20 and 0:40?", 8, strategy=strategy)
    assert selector.asked == []
    assert [(clip.start, clip.end, clip.reason) for clip in selection.clips] == [
        (20, 40, 'the query names "between 0:20 and 0:40"')
    ]
    assert len(selection.timestamps) == 8
    assert all(20 <= time < 40 for time in selection.timestamps)
    assert np.diff(selection.timestamps).max() < 5
    assert (selection.candidates, selection.cost.model_calls, selection.cost.candidates) == ((), 0, 0)
    assert selection.selector == {"name": "time words"}
    assert codes(selection) == ["time-read"]


def test_a_time_alone_is_resampled_saved_and_loaded(tmp_path: Path):
    selection, _ = select("at 0:10 and at 1:30", 4)
    more = selection.resample(20)
    assert len(more.timestamps) == 20
    assert all(5 <= time < 15 or 85 <= time < 95 for time in more.timestamps)
    assert Selection.load(more.save(tmp_path)) == more


def test_scenes_are_those_that_the_candidates_show():
    with KFrames(Remembering()).open(SAMPLE) as video:
        scenes = video.find_scenes()
        third = video.select("what is in the third scene?", 4)
        rest = video.select("a cross in the last scene", 4)
    assert len(scenes) > 3
    assert third.sampling.within == (scenes[2],)
    assert rest.sampling.within == (scenes[-1],)


@pytest.mark.parametrize("query", ["the cross at 9:30", "at 9:30", "the cross in the eightieth scene", "after an hour"])
def test_a_time_outside_of_the_video_is_a_note_and_the_whole_query_looks_everywhere(query: str):
    selection, selector = select(query)
    assert selector.asked == [query]
    assert selection.sampling.within == ()
    assert codes(selection) == ["time-outside"]
    assert "lies outside the video of 122.6 s" in str(selection.notes[0])


def test_of_two_times_the_one_outside_is_left_out():
    selection, selector = select("the cross at 0:10 or at 9:30")
    assert selection.sampling.within == ((5, 15),)
    both, selector = select("the cross in the first minute, a cat after 9:30")
    assert selector.asked == ["the cross, a cat after 9:30"]
    assert codes(both) == ["time-read", "time-outside"]


def test_times_in_words_lie_inside_of_what_was_asked_for():
    selection, selector = select("the cross in the first minute", start=50, end=100)
    assert selection.sampling.within == ((50, 60),)
    outside, selector = select("the cross in the first minute", start=70)
    assert selector.asked == ["the cross in the first minute"]
    assert outside.sampling.within == ((70, DURATION),)
    assert "lies outside the seconds asked for" in str(outside.notes[0])


def test_switched_off_nothing_is_read():
    selection, selector = select("the cross in the first minute", time_words=False)
    assert selector.asked == ["the cross in the first minute"]
    assert (selection.sampling.within, selection.notes) == ((), ())


@pytest.mark.parametrize(
    "query", ["  a green  cross ,  (second) car ", "the first person\nwho enters", "5 dollars -- 10:1"]
)
def test_a_query_without_a_time_reaches_the_selector_as_it_was_written(query: str):
    on, asked = select(query)
    off, plain = select(query, time_words=False)
    assert asked.asked == plain.asked == [query]
    same = ("clips", "timestamps", "notes", "candidates", "scenes", "sampling", "selector", "strategy")
    assert [getattr(on, name) for name in same] == [getattr(off, name) for name in same]


CHOICES = """When does the man enter the room?
A. In the first minute
B. In the last minute
C. At 1:30"""


@pytest.mark.parametrize(
    "query",
    [CHOICES, "Which is true? (A) He waves at 0:10 (B) He leaves at 0:50 (C) Neither", "When? 1) at 0:10 2) at 0:20"],
)
def test_times_of_the_options_of_a_question_are_not_read(query: str):
    assert read_query(query, [], 600, np.arange(0, 600, 0.1), list).text == query


def test_the_times_of_a_question_with_options_are_read_and_the_options_stay():
    found = read_query(f"In the first half of the video, {CHOICES[0].lower()}{CHOICES[1:]}", [], 600, [0.0, 1.0], list)
    assert found.spans == ((0, 300),)
    assert found.text == f"{CHOICES[0].lower()}{CHOICES[1:]}"


def test_between_frames_that_are_far_apart_the_one_on_screen_is_named():
    slides = np.arange(0, 600, 40.0)
    found = read_query("a chart at 1:35", [], 600, slides, list)
    assert found.spans == ((80.0, 100.0),)
    end = read_query("after 9:59", [], 600, slides, list)
    assert end.spans == ((560.0, 600.0),)


def test_the_note_names_every_phrase():
    found = read_query("in the second half, after 400 s", [], 600, [0.0, 450.0], list)
    assert [str(note) for note in found.notes] == ['reads "in the second half" and "after 400 s" as 400.0-600.0 s']


GERMAN: TimeWords = replace(
    ENGLISH,
    language="German",
    numbers={"zwei": 2, "drei": 3, "zehn": 10, "zwanzig": 20},
    ordinals={"erste": 1, "ersten": 1, "zweite": 2, "zweiten": 2, "dritte": 3, "dritten": 3},
    from_end={"letzte": -1, "letzten": -1},
    firsts=frozenset({"erste", "ersten"}),
    lasts=frozenset({"letzte", "letzten"}),
    units={"sekunde": 1.0, "sekunden": 1.0, "minute": 60.0, "minuten": 60.0, "stunde": 3600.0, "stunden": 3600.0},
    long_units=frozenset({"sekunde", "sekunden", "minute", "minuten", "stunde", "stunden"}),
    plurals=frozenset({"sekunden", "minuten", "stunden"}),
    vague_plurals={"sekunden": 10, "minuten": 3, "stunden": 2},
    fractions={"hälfte": 0.5, "drittel": 1 / 3},
    ands=frozenset({"und"}),
    articles=frozenset({"der", "die", "das", "den", "dem"}),
    scenes=frozenset({"szene", "szenen"}),
    inside=frozenset({"in", "während"}),
    at=frozenset({"bei", "um"}),
    after=frozenset({"nach"}),
    before=frozenset({"vor"}),
    from_=frozenset({"von"}),
    to=frozenset({"bis"}),
    between=frozenset({"zwischen"}),
    fillers=frozenset(["was", "passiert", "zeig", "mir"]),
)


@pytest.mark.parametrize(
    ("query", "rest", "spans"),
    [
        ("die Katze in der ersten Minute", "die Katze", [(0, 60)]),
        ("Was passiert nach zwei Minuten?", "", [(120, 600)]),
        ("zwischen 2:00 und 3:00", "", [(120, 180)]),
        ("ein Hund in den letzten 20 Sekunden", "ein Hund", [(580, 600)]),
        ("in der zweiten Hälfte", "", [(300, 600)]),
        ("von 1:00 bis 2:00", "", [(60, 120)]),
        ("vor 0:45", "", [(0, 45)]),
        ("in der letzten Szene", "", [(400, 600)]),
        ("die zweite Katze", "die zweite Katze", []),
    ],
)
def test_another_language_is_another_table(query: str, rest: str, spans: list[tuple[float, float]]):
    found = read_query(query, [], 600, np.arange(0, 600, 0.1), lambda: [(0, 400), (400, 600)], GERMAN)
    assert (found.text, list(found.spans)) == (rest, spans)


def test_the_table_of_another_language_is_given_to_kframes():
    selection, selector = select("das Kreuz in der ersten Minute", time_words=GERMAN)
    assert selector.asked == ["das Kreuz"]
    assert selection.sampling.within == ((0, 60),)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["select", str(SAMPLE), *arguments, "-k", "4", "--json"])


def test_the_command_line_reads_times_and_can_be_told_not_to():
    read, not_read = run("a cross in the first minute"), run("a cross in the first minute", "--no-time-words")
    assert json.loads(read.stdout)["sampling"]["within"] == [[0, 60]]
    assert json.loads(not_read.stdout)["sampling"]["within"] == []


def test_the_command_line_loads_no_model_for_a_time_alone():
    done = run("what happens in the first minute?", "--model", "/nowhere/is/a/model")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [frame["timestamp"] < 60 for frame in found["frames"]] == [True] * 4
    assert found["selector"] == {"name": "time words"}
    assert run("a cross in the first minute", "--model", "/nowhere/is/a/model").exit_code != 0
