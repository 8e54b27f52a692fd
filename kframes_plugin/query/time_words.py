"""TimeWords: what a language says about time, as data; English is in ``english.py``, another one is another table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Entries = frozenset[str]


@dataclass(frozen=True)
class TimeWords:
    """The table of one language. Every entry is lower case; one of several words has single spaces between them.

    Signs stand alone too: "half - way". The grammar itself (``moments.py``, ``parts.py``, ``phrases.py``) is that of
    English and its relatives.

    Attributes:
        numbers: number words, as "ten": 10. Tens and ones are put together: "twenty five", "twenty - five".
        hundred: words that multiply what stands before them by 100.
        ordinals: "first": 1. Tens and ones are put together.
        ordinal_endings: what makes digits an ordinal: "st", "nd".
        from_end: "last": -1, "penultimate": -2.
        to_last: after an ordinal, it counts from the end: "- to - last".
        firsts, lasts: edges that take a length: "first", "opening"; "last", "final".
        middles: "middle": the middle ten minutes, the middle third.
        units: names of units in seconds; ``long_units`` those that may stand before a number: "minute 3".
        compound_units: units that count only beside another one: "m" in "1h05m".
        plurals: names that say more than one; ``vague_plurals`` how many where no number is said: "the last seconds".
        vague: how many "a few" are, of any unit.
        ones: articles that mean one: "an hour"; ``never_one`` the units that do not go with them: "a second car".
        parts: "half a": 0.5, before a unit.
        and_half: "and a half".
        fractions: "half": 0.5, "third": 1/3.
        ands, ors, commas, to, dashes: what joins.
        articles, approximately: words to pass over.
        of, in_videos, videos: "of"; "of" and "in"; and what is the whole video: "the video", "the film".
        video_owners: "the video's".
        places: "beginning": 0, "middle": 0.5, "end": 1: a share of the length.
        place_phrases: "at the end": 1: what is a time without "of the video"; ``weak_phrases`` only where nothing
            but filler words stands beside it: "in the middle".
        halfways: what means half of the length: "halfway mark".
        marks: "mark", "point" after a time.
        scenes: "scene", "scenes"; ``not_scenes`` what may not follow: "change".
        into: "in", "into" after a length; ``through`` after a share: "halfway through".
        halfway, way: "halfway" and "of the way", before "through".
        percent: "%", "percent".
        from_end_of, from_start_of: "from the end" and "after the start", after a length.
        inside, at, around, loosely, after, before, until, since, from_, between, onwards: prepositions. ``loosely``
            counts with a clock only: "about 1:30".
        lasting: verbs after which a length is how long something takes: "waits around ten minutes".
        not_in: "not in", "except": what follows is left out.
        lasting_for: between a start and a length: "from 1:30 for 20 seconds".
        fillers: words that say nothing about what is looked for: "what happens".
        owners: words before an edge that make it somebody's, or no time: "his last minute", "by the last minute".
        spent: words after a length that make it how long somebody was somewhere: "ten minutes in the oven".
        not_lengths, not_clocks: words that may not follow a length or a clock: "later", "pm".
        doing: endings of words after a length that make it how long somebody did something: "ing".
        describing: words after a scene that say which one it is: "the first scene with a dog".
        asides: words that may stand before "after" and "before" and belong to them: "shortly".
        decades: words before "90s".
        idioms: what looks like a time and is none.
    """

    language: str
    numbers: Mapping[str, float]
    hundred: Entries
    ordinals: Mapping[str, int]
    ordinal_endings: Entries
    from_end: Mapping[str, int]
    to_last: Entries
    firsts: Entries
    lasts: Entries
    middles: Entries
    units: Mapping[str, float]
    long_units: Entries
    compound_units: Mapping[str, float]
    plurals: Entries
    vague_plurals: Mapping[str, float]
    vague: Mapping[str, float]
    ones: Entries
    never_one: Entries
    parts: Mapping[str, float]
    and_half: Entries
    fractions: Mapping[str, float]
    ands: Entries
    ors: Entries
    commas: Entries
    to: Entries
    dashes: Entries
    articles: Entries
    approximately: Entries
    of: Entries
    in_videos: Entries
    videos: Entries
    video_owners: Entries
    places: Mapping[str, float]
    place_phrases: Mapping[str, float]
    weak_phrases: Mapping[str, float]
    halfways: Entries
    marks: Entries
    scenes: Entries
    not_scenes: Entries
    into: Entries
    through: Entries
    halfway: Entries
    way: Entries
    percent: Entries
    from_end_of: Entries
    from_start_of: Entries
    inside: Entries
    at: Entries
    around: Entries
    loosely: Entries
    after: Entries
    before: Entries
    until: Entries
    since: Entries
    from_: Entries
    between: Entries
    onwards: Entries
    lasting: Entries
    not_in: Entries
    lasting_for: Entries
    fillers: Entries
    owners: Entries
    spent: Entries
    not_lengths: Entries
    not_clocks: Entries
    doing: tuple[str, ...]
    describing: Entries
    asides: Entries
    decades: Entries
    idioms: Entries
