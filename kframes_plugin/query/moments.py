"""The grammar of points of time: "1:30", "minute 3", "the two-minute mark", "halfway through the video"."""

from __future__ import annotations

from typing import NamedTuple

from kframes_plugin.query.amounts import Length, read_clock, read_length, read_number
from kframes_plugin.query.times import Point
from kframes_plugin.query.tokens import Tokens


class Moment(NamedTuple):
    """A point in a query.

    Attributes:
        point: when.
        end: the place after it.
        kind: "clock" ("1:30"), "length" ("ten minutes"), "label" ("minute 3"), "mark" (it can be nothing but a time:
            "the two-minute mark", "5 minutes in"), or "place" ("the end").
        unit: of a label, seconds; else 0.
    """

    point: Point
    end: int
    kind: str
    unit: float = 0.0


def read_moment(t: Tokens, at: int) -> Moment | None:
    """A point of time, with what belongs to it."""
    at = t.skip_all(at, t.words.approximately)
    if (label := read_label(t, at)) is not None:
        return label
    plain = t.skip(at, t.words.articles)
    length = read_clock(t, plain) or read_length(t, plain)
    if length is not None:
        return _read_after_length(t, length, article=plain != at)
    return _read_share(t, at) or _read_place(t, plain)


def read_label(t: Tokens, at: int) -> Moment | None:
    """ "minute 3"."""
    unit = t.words.units.get(t.text(at)) if t.text(at) in t.words.long_units else None
    if unit is None or t.text(at - 1) in t.words.articles or (number := read_number(t, at + 1)) is None:
        return None
    if t.text(number[1]) in t.words.units:  # "second 10 minutes"
        return None
    return Moment(Point(seconds=number[0] * unit, grain=unit), number[1], "label", unit)


def _read_after_length(t: Tokens, length: Length, *, article: bool) -> Moment | None:
    """What stands behind a length: "mark", "in", "into the video", "from the end", "after 1:00"."""
    words, seconds = t.words, length.seconds
    dash = t.skip(length.end, words.dashes)
    for after in (dash, length.end):
        if (end := t.match(after, words.marks)) is not None:
            return Moment(Point(0.0, seconds, length.grain), skip_video(t, end), "mark")
    if not length.clock and (end := t.match(length.end, words.from_end_of)) is not None:
        return None if is_owned(t, end) else Moment(Point(1.0, -seconds, length.grain), skip_video(t, end), "mark")
    if not length.clock and (end := t.match(length.end, words.from_start_of)) is not None:
        return None if is_owned(t, end) else Moment(Point(0.0, seconds, length.grain), skip_video(t, end), "mark")
    if (end := read_into(t, length.end)) is not None:
        return Moment(Point(0.0, seconds, length.grain), end, "mark")
    if article:  # "the 1:10 model", "the ten minutes"
        return None
    if not length.clock:
        for prepositions, sign in ((words.after, 1), (words.before, -1)):
            other = t.match(length.end, prepositions)
            if other is not None and (clock := read_clock(t, other)) is not None:
                return Moment(Point(0.0, clock.seconds + sign * seconds, 1.0), clock.end, "mark")
    return Moment(Point(0.0, seconds, length.grain), length.end, "clock" if length.clock else "length")


def read_into(t: Tokens, at: int) -> int | None:
    """The place after "in" or "into the video"; None where what follows makes it another "in"."""
    if (end := t.match(at, t.words.into)) is None:
        return None
    if (video := t.match(end, t.words.videos)) is not None:
        return video
    return end if ends_clause(t, end) else None


def _read_share(t: Tokens, at: int) -> Moment | None:
    """ "50% of the video", "a third of the way through", "halfway through"."""
    words, way = t.words, None
    number = read_number(t, at)
    if number is not None and (end := t.match(number[1], words.percent)) is not None:
        share, after = number[0] / 100, end
    elif number is not None and (fraction := t.find(number[1], words.fractions)) is not None:
        share, after = number[0] * fraction[0], fraction[1]
    elif (end := t.match(at, words.halfway)) is not None:
        share, after, way = 0.5, end, end
    elif t.text(at) in words.ones and (fraction := t.find(at + 1, words.fractions)) is not None:
        share, after = fraction
    else:
        return None
    way = t.match(after, words.way) if way is None else way
    end = t.match(after if way is None else way, words.through)
    if end is not None and (video := t.match(end, words.videos)) is not None:
        return Moment(Point(share), video, "mark")
    if way is not None and end is not None and ends_clause(t, end):
        return Moment(Point(share), end, "mark")
    if (video := skip_video(t, after)) != after:
        return Moment(Point(share), video, "mark")
    return Moment(Point(share), after + 1, "mark") if t.match(after, words.marks) is not None else None


def _read_place(t: Tokens, at: int) -> Moment | None:
    """ "the end", "the halfway mark", "the beginning of the video"; a place of something else is none."""
    if (end := t.match(at, t.words.halfways)) is not None:
        share, sure = 0.5, True
    elif (found := t.find(at, t.words.places)) is not None:
        (share, end), sure = found, False
    else:
        return None
    if is_owned(t, end):
        return None
    after = skip_video(t, end)
    return Moment(Point(share), after, "mark" if sure else "place")


def skip_video(t: Tokens, at: int) -> int:
    """The place after "of the video" or "in the video"."""
    of = t.match(at, t.words.in_videos)
    video = None if of is None else t.match(of, t.words.videos)
    return at if video is None else video


def is_owned(t: Tokens, at: int) -> bool:
    """Whether "of ..." follows, and it is not "of the video"."""
    return t.match(at, t.words.of) is not None and skip_video(t, at) == at


def ends_clause(t: Tokens, at: int) -> bool:
    """Whether nothing, a sign, or words that say nothing by themselves stand at a place."""
    return at >= len(t) or t.kind(at) == "sign" or t.text(at) in t.words.fillers - t.words.articles - t.words.ones
