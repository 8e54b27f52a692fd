"""Spans out of sentences: forms that other models write, and texts that only look as if they named times."""

from __future__ import annotations

import random
import time

import pytest

from kframes_plugin.prompt import PromptFormat, parse_clips
from kframes_plugin.prompt.prose import read_prose

ONE = [(61.0, 74.5)]
CLOCK = [(61.0, 74.0)]
FOREIGN = [
    ("61.0 - 74.5 seconds", ONE),
    ("61.0-74.5s", ONE),
    ("The event happens in 61.0 - 74.5 seconds.", ONE),
    ("From 61.0s to 74.5s", ONE),
    ("from 61 seconds to 74.5 seconds", ONE),
    ("<61.0> to <74.5>", ONE),
    ("<61.0>-<74.5>", ONE),
    ("[61.0] to [74.5]", ONE),
    ("00:01:01 - 00:01:14", CLOCK),
    ("00:01:01,000 --> 00:01:14,500", ONE),
    ("<1:01>-<1:14>", CLOCK),
    ("It is shown between 1:01 and 1:14.", CLOCK),
    ("between 61 and 74.5 seconds", ONE),
    ("<answer>61.0 to 74.5</answer>", ONE),
    ("61.0 – 74.5 seconds", ONE),
    ("61.0 — 74.5 s", ONE),
    ("61,0 bis 74,5 Sekunden", ONE),
    ("von 61,0 bis 74,5 Sekunden", ONE),
    ("de 61,0 à 74,5 secondes", ONE),
    ("de 61 a 74,5 segundos", ONE),
    ("с 61 по 74,5 секунды", ONE),
    ("从61秒到74.5秒", ONE),
    ("61秒～74.5秒", ONE),
    ("61秒から74.5秒まで", ONE),
    ("61초부터 74.5초까지", ONE),
    ("من ٦١ إلى ٧٤٫٥ ثانية", ONE),
    ("६१ से ७४.५ सेकंड", ONE),
    ("６１．０－７４．５秒", ONE),
    ("1分1秒到1分14秒", CLOCK),
    ("1m 1s to 1m 14s", CLOCK),
    ("starts at 61.0 s and ends at 74.5 s", ONE),
    ("Start: 61.0, End: 74.5", ONE),
    ("Start time: 00:01:01\nEnd time: 00:01:14", CLOCK),
    ("happens in 61.0 - 74.5.", ONE),
    ("from 3s to 9s and again from 20s to 31s", [(3, 9), (20, 31)]),
    ("0:05 - 0:10, then 0:20 - 0:31", [(5, 10), (20, 31)]),
    ("1 to 2 minutes", [(60, 120)]),
    ("61.0 s → 74.5 s", ONE),
    ("61.0 ~ 74.5 sec", ONE),
    ("61s until 74.5s", ONE),
    ("The segment is 61.0 - 74.5", ONE),
    ("Answer: 61.0 to 74.5", ONE),
    ("seconds 61 to 74.5", ONE),
    ("It begins at 61 seconds and finishes at 74.5 seconds.", ONE),
    ("zwischen 61 und 74,5 Sekunden", ONE),
    ("entre 61,0 et 74,5 secondes", ONE),
    ("entre 61 y 74,5 segundos", ONE),
    ("da 61 a 74,5 secondi", ONE),
    ("desde 61 hasta 74,5 segundos", ONE),
    ("de 61 até 74,5 segundos", ONE),
    ("介于61秒和74.5秒", ONE),
    ("time range: 61.0-74.5", ONE),
    ("**61.0s - 74.5s**: the goal", ONE),
    ("1. 61.0 - 74.5 s\n2. 80 - 90 s", [(61.0, 74.5), (80, 90)]),
    ("(61.0, 74.5)", ONE),
    ("<start>61.0</start><end>74.5</end>", ONE),
    ("0:01:01 to 0:01:14", CLOCK),
    ("1 minute and 1 second to 1 minute and 14 seconds", CLOCK),
    ("between <61.0> and <74.5>", ONE),
    ("`61.0-74.5`", ONE),
]
NOTHING = [
    "2024-11-26",
    "They won 3-1.",
    "won 21-19 in the end",
    "a woman aged 20-30",
    "from 3 to 5 people",
    "between 20 and 30 years old",
    "16:9",
    "It is 16:9, not 4:3.",
    "The clock shows 10:45.",
    "open from 9:00 am to 5:00 pm",
    "It lasts 10 to 15 seconds.",
    "a 3-5 second delay",
    "There are 12 players.",
    "from the 1960s to the 1980s",
    "20% to 30% of it",
    "$3-5",
    "No clip matches.",
    "at 61.0 s and 74.5 s",
    "version 1.2.3",
    "pages 10-12",
]


@pytest.mark.parametrize(("text", "expected"), FOREIGN, ids=range(len(FOREIGN)))
def test_spans_in_the_words_of_other_models(text: str, expected: list[tuple[float, float]]) -> None:
    assert [(span.start, span.end) for span in read_prose(text)] == expected


@pytest.mark.parametrize("text", NOTHING)
def test_numbers_that_are_no_times(text: str) -> None:
    assert read_prose(text) == []


def test_prose_is_read_only_where_no_list_is_and_is_noted() -> None:
    found = parse_clips("<think>from 3s to 9s?</think>From 61.0s to 74.5s.", 100.0, fmt=PromptFormat(reasons=False))
    assert [(clip.start, clip.end, clip.priority) for clip in found] == [(61.0, 74.5, "P1")]
    assert any("prose" in str(note) for note in found.notes)
    assert parse_clips("[] for nothing from 3s to 9s matches", 100.0) == []


def test_any_text_gives_spans_without_an_exception_in_bounded_time() -> None:
    rng, pieces = random.Random(0), [text for text, _ in FOREIGN] + NOTHING
    for _ in range(10_000):
        text = "".join(rng.choice(pieces)[: rng.randint(0, 12)] for _ in range(3))
        assert all(span.start >= 0 and span.end >= 0 for span in read_prose(text))
    start = time.process_time()
    for unit in ("1", "1:", "1-", "1 to ", "12s ", "a", " ", "1,", "<1>", "1. "):
        read_prose((unit * 30_000)[:30_000])
    assert time.process_time() - start < 8
