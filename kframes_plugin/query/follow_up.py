"""Questions that go on from an earlier one of a conversation, as "and after that?", made whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kframes_plugin.query.english import ENGLISH
from kframes_plugin.query.read import without_times
from kframes_plugin.query.time_words import TimeWords

Entries = frozenset[str]

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
LONGEST = 24  # words; a longer question says what it asks


@dataclass(frozen=True)
class FollowUpWords:
    """The table of one language; every entry is lower case.

    Attributes:
        light: words that name nothing to look for.
        openings: first words of what goes on: "and", "but".
        abouts: the second word after a question word that makes it go on: "what about".
        asking: question words whose next word is asked for, not named: "what colour", "how fast".
        pronouns: words that stand for something named before.
        pointing: words that do so where nothing is named right after them: "that", but not "that man".
        weather: words beside which "it" stands for nothing: "when does it rain".
        moving: words that ask for another time than the earlier question's: "after", "then".
    """

    light: Entries
    openings: Entries
    abouts: Entries
    asking: Entries
    pronouns: Entries
    pointing: Entries
    weather: Entries
    moving: Entries


def _set(text: str) -> Entries:
    return frozenset(text.split())


_PRONOUNS = "it its itself he him his himself she her hers herself they them their theirs themselves"
_POINTING = "this that these those one ones there"
_MOVING = "after afterwards before beforehand then next later earlier previously following until since"

ENGLISH_FOLLOW_UPS = FollowUpWords(
    light=_set(
        f"""{_PRONOUNS} {_POINTING} {_MOVING}
        a an the of in on at to from for by with about into up down out as than so too very just also
        and or but if because not no yes ok okay please thanks thank well right sure really exactly actually maybe
        i you we me us my your our who whom whose what which when where why how whether
        what's who's where's when's how's that's it's there's he's she's they're
        is are was were be been being am do does did done doing don't doesn't didn't isn't aren't wasn't weren't
        has have had having can could will would shall should may might must let's
        happen happens happened happening go goes went gone going come comes came coming continue continues
        say says said mean means meant see seen saw show shows shown tell tells told know knows look looks
        get gets got make makes made take takes took start starts end ends thing things something anything
        other others another same else again more less much many most any some all both each every few
        time times long often far soon now here once twice still already ever even only
        first second last sentence question answer reply"""
    ),
    openings=_set("and but or also then so plus"),
    abouts=_set("about"),
    asking=_set("what which whose how many much"),
    pronouns=_set(_PRONOUNS),
    pointing=_set(_POINTING),
    weather=_set(
        "rain rains raining snow snows snowing thunder hail dark light bright day night dawn dusk morning evening "
        "sunny cloudy foggy windy cold hot warm late early noon midnight"
    ),
    moving=_set(_MOVING),
)


def complete_question(
    questions: Sequence[str], words: FollowUpWords = ENGLISH_FOLLOW_UPS, times: TimeWords = ENGLISH
) -> tuple[str, str]:
    """What a conversation looks for now: its last question, after the earlier one from which that goes on.

    >>> complete_question(["When does the tall man fall in the first minute?", "And after that?"])
    ('When does the tall man fall? And after that?', 'When does the tall man fall in the first minute?')

    Args:
        questions: what the user asked, the last one last; at least one.
        words: what makes a question go on, in its language.
        times: the times that the earlier question names are left out where the last one asks for another time.

    Returns:
        The question to look for, and the earlier one in it; "" where the last one stands by itself, or is the first.
    """
    last = questions[-1]
    if stands_alone(last, words):
        return last, ""
    earlier = next((one for one in reversed(questions[:-1]) if stands_alone(one, words)), "")
    if not earlier:
        return last, ""
    moves = bool(set(_words(last)) & words.moving) or without_times(last, times) != last
    kept = without_times(earlier, times) if moves else earlier
    if kept and kept[-1].isalnum():
        kept += "?" if earlier.rstrip().endswith("?") else "."
    return f"{kept} {last}".strip(), earlier


def stands_alone(question: str, words: FollowUpWords = ENGLISH_FOLLOW_UPS) -> bool:
    """Whether a question names what it asks for, so that no earlier one is needed."""
    said = _words(question)
    if not said or len(said) > LONGEST:
        return bool(said)
    if said[0] in words.openings or not words.abouts.isdisjoint(said[1:2]):
        return False
    asked = {place + 1 for place, word in enumerate(said) if word in words.asking}
    named = [place for place, word in enumerate(said) if word not in words.light and place not in asked]
    if not named or _points_at_end(said, words):
        return False
    return not any(_refers_back(said, place, words) for place in range(named[0]))


def _refers_back(said: Sequence[str], place: int, words: FollowUpWords) -> bool:
    """Whether the word stands for something that must have been named before it."""
    if said[place] in words.pronouns:
        return said[place] != "it" or not words.weather & set(said)
    return said[place] in words.pointing and said[place] != "there" and _is_bare(said, place, words)


def _points_at_end(said: Sequence[str], words: FollowUpWords) -> bool:
    """ "who threw that?", "who stands there?", but not "is there a dog", "the red one"."""
    return said[-1] in words.pointing and said[-1] not in ("one", "ones")


def _is_bare(said: Sequence[str], place: int, words: FollowUpWords) -> bool:
    """Whether nothing is named right after a pointing word: "that man" names a man, "no one" nobody."""
    before = said[place - 1] if place else ""
    return before not in ("no", "any", "every", "some") and (place + 1 == len(said) or said[place + 1] in words.light)


def _words(text: str) -> list[str]:
    return [found.replace("’", "'") for found in _WORD.findall(text.lower())]
