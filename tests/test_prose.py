"""Spans out of the answers of other models, and texts that only look as if they named times."""

from __future__ import annotations

import random
import time

import pytest

from kframes_plugin.prompt import PromptFormat, parse_clips
from kframes_plugin.prompt.prose import read_prose
from kframes_plugin.prompt.thinking import find_answer

Spans = list[tuple[float, float]]
DURATION = 4000.0
ONE: Spans = [(61.0, 74.5)]
CLOCK: Spans = [(61.0, 74.0)]
TWO: Spans = [(61.0, 74.5), (80.0, 90.0)]
FOREIGN: list[tuple[str, Spans]] = [
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
    ("1. 61.0 - 74.5 s\n2. 80 - 90 s", TWO),
    ("(61.0, 74.5)", ONE),
    ("<start>61.0</start><end>74.5</end>", ONE),
    ("0:01:01 to 0:01:14", CLOCK),
    ("1 minute and 1 second to 1 minute and 14 seconds", CLOCK),
    ("between <61.0> and <74.5>", ONE),
    ("`61.0-74.5`", ONE),
    ("[[61, 74.5]]", ONE),
    ("between 1:01 and 1:14", CLOCK),
    ("The event happens in 61.0 - 74.5, 80.0 - 90.0 seconds.", TWO),
    ("The goal is scored from 61s to 74.5s, and again between 80s and 90s.", TWO),
    ("1.234,5 - 1.240,0 s", [(1234.5, 1240)]),
    ("1,234.5 - 1,240.0 seconds", [(1234.5, 1240)]),
    ("1 234,5 – 1 240,0 с", [(1234.5, 1240)]),
    ("[61,5 - 74,5]", [(61.5, 74.5)]),
    ("[[61,5 - 74,5], [80,0 - 90,5]]", [(61.5, 74.5), (80, 90.5)]),
    ("[61,5; 74,5]", [(61.5, 74.5)]),
    ('{"start": 61,5, "end": 74,5}', [(61.5, 74.5)]),
    ('[{"start": "61,5 s", "end": "74,5 s"}]', [(61.5, 74.5)]),
    ("<thinking>from 3s to 9s?</thinking>From 61.0s to 74.5s", ONE),
    ("<thought>3s to 9s</thought>\n61.0s to 74.5s", ONE),
    ("<reasoning>3s to 9s</reasoning>61.0s to 74.5s", ONE),
    ("<|channel|>analysis<|message|>3s to 9s<|end|><|channel|>final<|message|>61.0s to 74.5s<|return|>", ONE),
    ("<|channel>thought\n3s to 9s<channel|>61.0s to 74.5s", ONE),
    ("<|begin_of_thought|>3s to 9s<|end_of_thought|><|begin_of_solution|>61.0s to 74.5s<|end_of_solution|>", ONE),
    ("[THINK]3s to 9s[/THINK]61.0s to 74.5s", ONE),
    ("◁think▷3s to 9s◁/think▷61.0s to 74.5s", ONE),
    ("3s to 9s maybe</think>61.0s to 74.5s", ONE),
    ("<seed:think>3s to 9s</seed:think>61.0s to 74.5s", ONE),
    ("61.0s to 74.5s<think>is it so? 3s to 9s", ONE),
    ("<think>3s to 9s</think><answer>61.0 to 74.5</answer>", ONE),
    ("It may be 3s to 9s.\n<answer>[[61, 74.5]]</answer>", ONE),
    ("At first 3s to 9s looks right. Final answer: 61.0s to 74.5s", ONE),
    ("**Final Answer:** [61, 74.5]", ONE),
    ("\\boxed{[61, 74.5]}", ONE),
    ("$\\boxed{61.0 - 74.5 \\text{ s}}$", ONE),
    ("1:01, 1:14", CLOCK),
    ("61, 74.5", ONE),
    ("[61, 74.5, 80, 90]", TWO),
    ("[10, 20, 30, 40]", [(10, 20), (30, 40)]),
    ('["1:01", "1:14", "1:20", "1:30"]', [(61, 74), (80, 90)]),
    ('{"start_time": 61, "duration": 13.5}', ONE),
    ('[{"start": "1:01", "duration": "13.5 s"}]', ONE),
    ("minute 1 to minute 2", [(60, 120)]),
    ("from minute 1 to minute 2", [(60, 120)]),
    ("minutes 1 to 2", [(60, 120)]),
    ("61.0 / 74.5 s", ONE),
    ("61.0s / 74.5s", ONE),
    ("from second 61 to second 74.5", ONE),
    ("von Sekunde 61 bis Sekunde 74,5", ONE),
    ("from the 61st to the 74th second", CLOCK),
    ("It starts at 61 s and lasts 13.5 seconds.", ONE),
    ("Start: 61.0 s, duration: 13.5 s", ONE),
    ("Beginn: 61,0 s, Ende: 74,5 s", ONE),
    ("Début : 61,0 s ; fin : 74,5 s", ONE),
    ("inicio: 61,0 s, fin: 74,5 s", ONE),
    ("开始：61秒，结束：74.5秒", ONE),
    ("開始時間：１分１秒、終了時間：１分１４秒", CLOCK),
    ("с 61,0 до 74,5 секунд", ONE),
    ("от 61 до 74,5 сек.", ONE),
    ("od 61 do 74,5 sekundy", ONE),
    ("van 61 tot 74,5 seconden", ONE),
    ("từ 61 đến 74,5 giây", ONE),
    ("dari detik 61 hingga detik 74,5", ONE),
    ("片段：61.0-74.5", ONE),
    ("时间段为61秒至74.5秒", ONE),
    ("[６１，７４．５]", ONE),
    ("[[６１，７４．５]，[８０，９０]]", TWO),
    ("６１〜７４．５秒", ONE),
    ("６１秒～７４．５秒", ONE),
    ("৬১ থেকে ৭৪.৫ সেকেন্ড", ONE),
    ("٦١–٧٤٫٥ ثانية", ONE),
    ("[६१, ७४.५]", ONE),
    ("[61, 74.5, 0.93]", ONE),
    ("[[61, 74.5, 0.93], [80, 90, 0.4]]", TWO),
    ("The event happens at [61, 74.5].", ONE),
    ("The moments are [61, 74.5] and [80, 90].", TWO),
    ("Answer: [61, 74.5]", ONE),
    ("Here it is:\n[61, 74.5]", ONE),
    ("The goal [61.0, 74.5] is clear.", ONE),
    ("The goal is scored from 61.0s to 74.5s [1, 2].", ONE),
    ("He shoots from 61.0 to 74.5 seconds [3-5].", ONE),
    ("The event happens in (61.0, 74.5).", ONE),
    ("((61, 74.5), (80, 90))", TWO),
    ("```json\n[61, 74.5]\n```", ONE),
    ("```\n(61, 74.5)\n```", ONE),
    ("61.0-74.5\n80-90", TWO),
    ("61, 74.5\n80, 90", TWO),
    ("- 61.0s - 74.5s: goal\n- 80s - 90s: replay", TWO),
    ("1) 61 - 74.5\n2) 80 - 90", TWO),
    ("| start | end | what |\n|---|---|---|\n| 1:01 | 1:14 | goal |", CLOCK),
    ("start,end\n61.0,74.5", ONE),
    ("P1: 61.0 - 74.5 (goal)\nP2: 80 - 90 (replay)", TWO),
    ("Scene 2 - 61.0s to 74.5s", ONE),
    ("Clip 1: 61.0 - 74.5", ONE),
    ("61.0..74.5", ONE),
    ("61.0…74.5 s", ONE),
    ("<61.0><74.5>", ONE),
    ("<start_time>00:01:01</start_time>\n<end_time>00:01:14</end_time>", CLOCK),
    ("<|box_start|>61.0 - 74.5<|box_end|>", ONE),
    ("It is seen between <61.0 seconds> and <74.5 seconds>.", ONE),
    ("t=61.0s to t=74.5s", ONE),
    ("timestamp 61.0 s to timestamp 74.5 s", ONE),
    ("The celebration lasts from 61.0s to 74.5s.", ONE),
    ("61.0 sec. – 74.5 sec.", ONE),
    ("1m1s–1m14s", CLOCK),
    ("1 min 1 s bis 1 min 14 s", CLOCK),
    ("00:01:01,000 --> 00:01:14,500\nA goal", ONE),
    ("**61.0s** - **74.5s**", ONE),
    ("3 - 9, 20 - 31 seconds", [(3, 9), (20, 31)]),
    ("1 to 2 and 3 to 4 minutes", [(60, 120), (180, 240)]),
    ('{"answer": "The event happens from 61.0s to 74.5s"}', ONE),
    ('{"timestamps": [[61.0, 74.5], [80, 90]]}', TWO),
    ('["00:01:01 - 00:01:14", "00:01:20 - 00:01:30"]', [(61, 74), (80, 90)]),
    ('{"clips": [{"time": "61.0s - 74.5s", "reason": "from 3s to 9s nothing"}]}', ONE),
    ('{"61.0 - 74.5": "goal"}', ONE),
    ('{"1:01 - 1:14": "goal"}', CLOCK),
    ("between the 61 second mark and the 74.5 second mark", ONE),
    ("clip: {61.0, 74.5}", ONE),
    ("seconds: 61-74.5", ONE),
]
NOTHING = [
    "The final score, 10:12 - 11:13, is shown.",
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
    "in 5-10 seconds",
    "Come back in 5-10 seconds.",
    "It lasts from 3 to 5 seconds.",
    "It lasts between 3 and 5 seconds",
    "Genesis 1:01-1:14",
    "See Genesis 1:01-1:14 and John 3:16-3:18.",
    "He won [1, 2].",
    "as shown in [1-3]",
    "see [12, 15] for more",
    "on 26.11.2024",
    "11/26/2024",
    "between 3 and 9 May 2024",
    "from May 3 to May 9",
    "from 1939 to 1945",
    "It happened between 2019 and 2021.",
    "the event occurred 1990-1995",
    "They won 3-2.",
    "won 3-2",
    "lost 2-3 at half time: 2-3",
    "The final score was 1-3.",
    "2-3 (1-1)",
    "between 3 and 5 goals",
    "There are 12 to 15 players.",
    "He counts from 1 to 10.",
    "a ratio of 3:02 to 4:10",
    "version 1.2 to 1.4",
    "Python 3.10 - 3.12",
    "v1.2-1.4 is out",
    "Call 555-123-4567.",
    "+49 30 123-4567",
    "(555) 123-4567",
    "Phone: 030-1234567",
    "20% to 30%",
    "20-30 percent",
    "between 20 and 30 percent",
    "from $3.50 to $4.50",
    "3,50 - 4,50 €",
    "open 9:00-17:00",
    "Open from 9:00 to 17:00",
    "Mon 9:00 - 17:00",
    "10:30-11:45 on Monday",
    "within 5 to 10 seconds",
    "wait 5-10 seconds",
    "for 3 to 5 s",
    "about 3-5 seconds later",
    "a pause of 3-5 seconds",
    "every 5-10 seconds",
    "The video is 10 to 15 seconds long.",
    "It takes between 5 and 10 minutes.",
    "It takes 5 to 10 minutes",
    "a 1-2 hour drive",
    "rooms 101-105",
    "aged 20-30",
    "0-60 in 3.5 seconds",
    "from 30 to 50 km/h",
    "1920x1080",
    "1/2 second",
    "rated 8/10 to 9/10",
    "at 1:01, 1:14 and 1:30",
    "1, 2, 3, 4",
    "1-2-3",
    "improved from 74.5 s to 61.0 s",
    "I cannot see the video, so no times can be named.",
    "<think>from 61s to 74s",
    "<think>61 - 74</think>",
    "5-10 cm",
    "temperatures between 20 and 30 degrees",
    "chapters 3 to 5",
    "[1, 2, 3, 4, 5, 6, 7]",
    "Step 1: look at [0]",
    "frames 12 to 20",
    "a 5-10x zoom",
    "10 to 12 times",
    "Nothing [1, 2] was found.",
]


def spans(text: str) -> Spans:
    return [(clip.start, clip.end) for clip in parse_clips(text, DURATION, fmt=PromptFormat(reasons=False))]


@pytest.mark.parametrize(("text", "expected"), FOREIGN, ids=range(len(FOREIGN)))
def test_answers_in_the_forms_of_other_models(text: str, expected: Spans) -> None:
    found = parse_clips(text, DURATION, fmt=PromptFormat(reasons=False))
    assert [(clip.start, clip.end) for clip in found] == expected
    assert {note.code for note in found.notes} == {"answer-repaired"}, "a repair is told"


@pytest.mark.parametrize("text", NOTHING)
def test_numbers_that_are_no_times(text: str) -> None:
    found = parse_clips(text, DURATION)
    assert found == []
    assert "answer-unreadable" in {note.code for note in found.notes}


def test_the_tables_are_large_enough() -> None:
    assert len({text for text, _ in FOREIGN}) >= 90
    assert len(set(NOTHING)) >= 45


THOUGHT = [
    "<think>{}</think>",
    "<thinking>{}</thinking>",
    "<thought>{}</thought>",
    "<reasoning>{}</reasoning>",
    "<|begin_of_thought|>{}<|end_of_thought|>",
    "<|START_THINKING|>{}<|END_THINKING|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel>thought\n{}<channel|>",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "{}</think>",
]


@pytest.mark.parametrize("block", THOUGHT)
@pytest.mark.parametrize("answer", ["From 61.0s to 74.5s.", "[[61, 74.5]]", '[{"start":61,"end":74.5}]'])
def test_what_was_thought_is_not_the_answer(block: str, answer: str) -> None:
    draft = "It may be 3s to 9s, or [[20, 31]]. "
    assert spans(block.format(draft) + answer) == ONE
    assert spans(block.format(draft) * 2 + answer) == ONE
    assert not find_answer(block.format(draft)).text.strip()
    opening = block.partition("{}")[0]
    if opening:
        cut = parse_clips(opening + draft, DURATION)
        assert cut == []
        assert any(note.code == "answer-unreadable" for note in cut.notes)
        assert spans(answer + opening + draft) == ONE, "an answer before a block that does not end"


def test_a_marked_answer_is_taken() -> None:
    assert spans("From 3s to 9s? No. <answer>61.0 to 74.5</answer> That is all, 5s to 6s.") == ONE
    assert spans("From 3s to 9s there is none. Final answer: none") == []
    assert spans("The final answer is not here: 61.0s to 74.5s") == ONE


def test_a_tag_in_a_reason_is_no_thinking() -> None:
    found = parse_clips('[{"start":61,"end":74.5,"priority":"P1","reason":"a sign: <think> or </think>"}]', DURATION)
    assert ([clip.reason for clip in found], found.notes) == (["a sign: <think> or </think>"], ())


def test_prose_is_read_only_where_no_list_is_and_is_noted() -> None:
    found = parse_clips("<think>from 3s to 9s?</think>From 61.0s to 74.5s.", 100.0, fmt=PromptFormat(reasons=False))
    assert [(clip.start, clip.end, clip.priority) for clip in found] == [(61.0, 74.5, "P1")]
    assert any("prose" in str(note) for note in found.notes)
    assert parse_clips("[] for nothing from 3s to 9s matches", 100.0) == []


def test_a_priority_in_the_sentence_is_kept() -> None:
    found = parse_clips("P1: 61.0 - 74.5 s (goal)\nP2: 80 - 90 s (replay)", 100.0)
    assert [(clip.start, clip.priority) for clip in found] == [(61.0, "P1"), (80.0, "P2")]


def test_any_mix_of_answers_gives_clips_without_an_exception() -> None:
    rng, pieces = random.Random(0), [text for text, _ in FOREIGN] + NOTHING
    read = 0
    for _ in range(2_000):
        text = "".join(piece[(at := rng.randint(0, len(piece))) : at + 12] for piece in rng.choices(pieces, k=4))
        assert all(span.start >= 0 and span.end >= span.start for span in read_prose(text))
        found = parse_clips(text, DURATION)
        assert all(0 <= clip.start < clip.end <= DURATION for clip in found)
        read += bool(found)
    assert read > 200, "and not because nothing is ever read"


UNITS = ["1", "1:", "1-", "1 to ", "12s ", "a", " ", "\n", "1,", "1.000,", "1,1 - ", "+1 1", "<1>", "1. ", "(1,2)", "("]
UNITS += ["[1,2] a ", '"1-2",', '{"1-2":', "<think>", "</think>", "<answer>", "final answer ", "<a", "minute 1 ", "１"]


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        start = time.process_time()
        parse_clips(f"[{text}", 100.0)
        read_prose(f"1 - 2 {text} 1 - 2 s")
        return time.process_time() - start

    short, long = seconds(1_000), seconds(20_000)
    assert long < 60 * short + 0.5, "twenty times the text; with the square of it this would be 400"


def test_a_hundred_kilobytes_are_read_in_bounded_time() -> None:
    text = " ".join(text for text, _ in FOREIGN) + " ".join(NOTHING)
    start = time.process_time()
    parse_clips((text * (100_000 // len(text) + 1))[:100_000], DURATION)
    assert time.process_time() - start < 3
