"""Words made comparable, passages ranked, kinds of evidence joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from drawn_film import SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from kframes_plugin import Clip, KFrames
from kframes_plugin.clips.from_scores import PROBABILITY
from kframes_plugin.evidence.fusion import estimate_looks, fuse, join
from kframes_plugin.evidence.near import line_at, lines_near
from kframes_plugin.evidence.ranking import Match, Passages
from kframes_plugin.evidence.terms import SPEECH, count_edits, find_terms, is_alike
from kframes_plugin.types import Candidates, Frame, Line


def lines_of(*texts: str) -> list[Line]:
    return [Line(place * 4.0, place * 4.0 + 3.0, text) for place, text in enumerate(texts)]


def test_words_are_told_apart_from_what_only_asks() -> None:
    assert find_terms("What does he say about the BUDGET's holes?", SPEECH) == ["budget", "hole"]
    assert find_terms("berries boxes running hoped glasses bus his") == [
        "berry",
        "box",
        "run",
        "hop",
        "glass",
        "bus",
        "his",
    ]
    assert find_terms("予算について") == ["予算", "算に", "につ", "つい", "いて"]


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("sale", "5ALE"),
        ("sale", "sa1e"),
        ("bunny", "bunky"),
        ("modern", "modem"),
        ("collection", "co11ect1on"),
        ("morning", "goodmorning"),
        ("coffee", "c0ffee"),
    ],
)
def test_what_recognisers_mix_up_is_alike(asked: str, read: str) -> None:
    assert is_alike(asked, read.casefold())


@pytest.mark.parametrize(
    ("asked", "read"), [("sale", "sand"), ("cat", "cut"), ("red", "bed"), ("exit", "edit"), ("left", "right")]
)
def test_other_words_are_not(asked: str, read: str) -> None:
    assert not is_alike(asked, read)


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_edits_are_a_distance(one: str, other: str, third: str) -> None:
    assert count_edits(one, other) == count_edits(other, one) >= abs(len(one) - len(other))
    assert (count_edits(one, other) == 0) == (one == other)
    assert count_edits(one, third) <= count_edits(one, other) + count_edits(other, third)


def test_the_passage_with_all_the_rare_words_is_first() -> None:
    passages = Passages(lines_of("the cat sat", "the dog and the cat", "a dog barked", "rain"), "said")
    found = passages.search("what is said about the dog and the cat?")
    assert found[0].text == "the dog and the cat"
    assert found[0].reason == 'said at 4 s: "the dog and the cat"'
    assert passages.search("a submarine") == []
    assert Passages([], "said").search("cat") == []


def test_a_sentence_over_two_lines_is_one_passage_and_lines_far_apart_are_not() -> None:
    found = Passages(lines_of("the mayor sold", "his violin", "to a stranger"), "said").search("mayor violin")
    assert (found[0].start, found[0].end) == (0.0, 7.0)
    apart = [Line(0, 1, "the mayor sold"), Line(50, 51, "his violin"), Line(90, 91, "rain")]
    assert all(match.end - match.start == 1 for match in Passages(apart, "said").search("mayor violin", 0.1))


def test_text_on_screen_matches_loosely_and_speech_does_not() -> None:
    lines = lines_of("5ALE", "EXIT", "TAXI")
    assert Passages(lines, "on screen").search('the sign that says "sale"')[0].text == "5ALE"
    assert Passages(lines, "said").search("the sale") == []


def test_a_title_of_which_one_word_was_read_is_found_where_a_title_is_asked_for() -> None:
    """Also where it is the only text of the film, read in three ways."""
    passages = Passages(lines_of("BUNKY", "BUNKNY", "BUNKSY"), "on screen")
    assert passages.search("the title Big Buck Bunny", 0.1)
    assert passages.search("a big bunny eats an apple by the river", 0.1) == []


def test_meaning_finds_what_no_word_tells() -> None:
    def embed(texts: list[str]) -> np.ndarray:
        return np.array(
            [[1.0, 0.0] if "money" in text or "budget" in text else [0.0, 1.0] for text in texts], np.float32
        )

    passages = Passages(lines_of("we have no money", "the dog sleeps"), "said", embed)
    assert [match.text for match in passages.search("the budget")] == ["we have no money"]


def test_chances_of_independent_kinds_are_joined() -> None:
    assert join([]) == 0
    assert join([0.5]) == 0.5
    assert join([0.5, 0.5]) == 0.75
    assert join([1.0, 0.2]) == 1
    rising = estimate_looks([0.0, 0.6, 1.0])
    assert (np.diff(rising) > 0).all()
    assert 0 < rising[0] < rising[-1] < 0.5


TIMES = [float(time) for time in range(0, 100, 5)]
LOOKS = [0.3 if 40 <= time < 60 else 0.01 for time in TIMES]
SEEN = Clip(40.0, 60.0, "P1", "looks like: dog", 0.3)


def test_without_a_match_looks_stay_as_they_are() -> None:
    assert fuse([SEEN], LOOKS, TIMES, []) == [SEEN]


def test_a_line_that_matches_comes_first_and_names_its_evidence() -> None:
    said = Match(61.2, 64.0, "the budget is short", 0.8, "said")
    first, *rest = fuse([SEEN], LOOKS, TIMES, [said])
    assert (first.start, first.end, first.priority) == (61.2, 64.0, "P1")
    assert first.reason == 'said at 61.2 s: "the budget is short"'
    assert first.score == pytest.approx(join([0.01, 0.8]))
    assert [clip.priority for clip in rest] == ["P2"]  # a third as likely: kept, behind


def test_kinds_that_meet_raise_each_other() -> None:
    said = Match(45.0, 48.0, "look, a dog", 0.4, "said")
    sign = Match(44.0, 50.0, "BEWARE OF DOG", 0.5, "on screen")
    first = fuse([SEEN], LOOKS, TIMES, [said, sign])[0]
    assert first.score == pytest.approx(join([0.3, 0.4, 0.5]))
    for part in ('said at 45 s: "look, a dog"', 'on screen at 47 s: "BEWARE OF DOG"', "looks like: dog"):
        assert part in first.reason


def test_two_lines_of_one_kind_are_no_independent_evidence() -> None:
    one, other = Match(10.0, 14.0, "a", 0.5, "said"), Match(12.0, 20.0, "b", 0.5, "said")
    assert max(clip.score or 0 for clip in fuse([], [], [], [one, other])) == 0.5


def test_lines_at_and_near_a_time() -> None:
    lines = (Line(0, 2, "a"), Line(1, 4, "b"), Line(30, 31, "c"), Line(60, 61, "d"))
    assert [line_at(lines, time) for time in (0.5, 1.5, 3.0, 10.0)] == ["a", "b", "b", ""]
    assert [line.text for line in lines_near(lines, [8.0])] == ["b"]
    assert [line.text for line in lines_near(lines, [8.0], [(59.0, 70.0)])] == ["b", "d"]


SUBTITLES = [(10.0, 13.0, "This ring was made of gold."), (40.0, 43.0, "Nobody knows the thief.")]


@pytest.mark.parametrize("query", ["a red square that moves to the left", "two circles", "a green triangle"])
def test_lite_is_the_same_where_no_words_match(query: str) -> None:
    kframes = KFrames.from_pretrained("lite", candidates=32)
    silent = kframes.select(SAMPLE, query, 8, transcript=None)
    spoken = kframes.select(SAMPLE, query, 8, transcript=SUBTITLES)
    assert spoken == silent
    assert spoken.clips == silent.clips
    assert spoken.notes == silent.notes


class LikesTheEnd:
    """Names the end of the film."""

    def __call__(self, frames: Candidates, query: str) -> list[Clip]:
        return [Clip(70.0, 80.0, "P1", "the end", 0.3)]


class Scores(LikesTheEnd):
    def scores(self, frames: Candidates, query: str) -> list[float]:
        return [float(place) for place, _ in enumerate(frames)]


class Chances(LikesTheEnd):
    rule = PROBABILITY

    def scores(self, frames: Candidates, query: str) -> list[float]:
        return [0.9 if 39 < frame.timestamp < 45 else 0.0 for frame in frames]


class Rows(LikesTheEnd):
    """Embeds pictures and has no method that scores them."""

    embedding_key = "brightness"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, frames: Sequence[Frame], /) -> np.ndarray:
        self.batches.append(len(frames))
        return np.array([[np.asarray(frame.image).mean()] for frame in frames])

    def score_embedded(self, rows: np.ndarray, query: str, /, *, scenes: np.ndarray) -> np.ndarray:
        assert len(scenes) == len(rows)
        assert scenes[0] == 0
        return rows[:, 0]


class ReadsWords(Scores):
    reads_words = True


def check_the_line_is_first(kframes: KFrames) -> Clip:
    selection = kframes.select(SAMPLE, "who is the thief?", 8, transcript=SUBTITLES)
    assert (selection.clips[0].start, selection.clips[0].end) == (40.0, 43.0)
    assert selection.clips[0].reason.startswith('said at 40 s: "Nobody knows the thief."')
    assert "Nobody knows the thief." in [frame.said for frame in selection.frames]
    return selection.clips[0]


def test_lite_finds_what_is_said() -> None:
    check_the_line_is_first(KFrames.from_pretrained("lite", candidates=32))


def test_any_scorer_finds_what_is_said() -> None:
    rows = Rows()
    clips = [check_the_line_is_first(KFrames(one, candidates=48)) for one in (Scores(), Chances(), rows)]
    assert clips[1].score > 0.9, "scores that are chances count as such"
    assert rows.batches == [32, 16], "frames are embedded once, in batches"


def test_nano_finds_what_is_said() -> None:
    """nano never saw a transcript, and refuses words that it does not know."""
    check_the_line_is_first(KFrames.from_pretrained("nano", device="cpu"))


def test_a_selector_that_reads_words_itself_is_left_alone() -> None:
    found = KFrames(ReadsWords(), candidates=16).select(SAMPLE, "who is the thief?", 2, transcript=SUBTITLES)
    assert found.clips == (Clip(70.0, 80.0, "P1", "the end", 0.3),)


def test_a_selector_without_scores_is_left_alone() -> None:
    kframes = KFrames(lambda frames, query: [Clip(1.0, 2.0)], candidates=4)
    assert kframes.select(SAMPLE, "who is the thief?", 2, transcript=SUBTITLES).clips == (Clip(1.0, 2.0),)


def test_words_alone_decode_one_candidate_and_the_keyframes(tmp_path: Path) -> None:
    kframes = KFrames.from_pretrained("words")
    selection = kframes.select(SAMPLE, "who is the thief?", 4, transcript=SUBTITLES)
    assert len(selection.candidates) == 1
    assert [(clip.start, clip.end) for clip in selection.clips] == [(40.0, 43.0)]
    nothing = kframes.select(SAMPLE, "submarines under the ice", 4, transcript=SUBTITLES)
    assert [note.code for note in nothing.notes] == ["nothing-found", "no-clip"]
    silent = kframes.select(SAMPLE, "submarines", 4, transcript=None)
    assert [note.code for note in silent.notes] == ["no-transcript", "no-clip"]
