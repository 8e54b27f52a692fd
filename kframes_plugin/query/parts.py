"""The grammar of stretches of time: "the last 20 seconds", "the second half", "the third scene"."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from kframes_plugin.query.amounts import Length, read_length, read_number, read_ordinal
from kframes_plugin.query.moments import ends_clause, read_moment, skip_video
from kframes_plugin.query.times import END, START, Named, Point, SceneRange, Stretch, place
from kframes_plugin.query.tokens import Tokens

NEAR = 1e-9


class Part(NamedTuple):
    """A stretch of the video in a query, or several: "the first and last minute".

    Attributes:
        intervals: at least one.
        end: the place after it.
        sure: whether it can be nothing but a part of the video, as with "of the video".
        place: 0 the beginning, 1 the end, of something else too; None: no place.
    """

    intervals: tuple[Named, ...]
    end: int
    sure: bool = False
    place: float | None = None

    @property
    def is_named(self) -> bool:
        """Whether it says by itself which part of the video it is; "the end" does not."""
        return self.sure or self.place is None


def read_part(t: Tokens, at: int) -> Part | None:
    """A stretch by its name, with what it is a part of."""
    start = t.skip(t.skip(at, t.words.video_owners), t.words.articles)
    if start != at and (beside := _read_length_beside(t, start)) is not None:
        return beside
    ordered = _read_ordered(t, start)
    found = ordered or _read_scene_numbers(t, start) or _read_middle(t, start) or _read_beginning(t, start)
    part = None if found is None else _read_owner(t, found)
    if part is None or found is None:
        return None
    scene = bool(ordered) and part.end == found.end and isinstance(part.intervals[-1], SceneRange)
    if scene and t.text(part.end) in t.words.describing and not _goes_on(t, part.end):  # "the first scene with a dog"
        return None
    return part if t.match(at, t.words.video_owners) is None else part._replace(sure=True)


def _goes_on(t: Tokens, at: int) -> bool:
    """Whether "on" ends it: "from the second scene on"."""
    end = t.match(at, t.words.onwards)
    return end is not None and ends_clause(t, end)


def _read_length_beside(t: Tokens, at: int) -> Part | None:
    """ "(the) 30 seconds after 1:00"."""
    length = read_length(t, at)
    for prepositions, is_after in ((t.words.after, True), (t.words.before, False)):
        other = None if length is None else t.match(length.end, prepositions)
        moment = None if other is None else read_moment(t, other)
        if length is not None and moment is not None and moment.kind in ("clock", "label", "mark"):
            moved = moment.point.moved(length.seconds if is_after else -length.seconds)
            stretch = Stretch(moment.point, moved) if is_after else Stretch(moved, moment.point)
            return Part((stretch,), moment.end)
    return None


def _read_owner(t: Tokens, part: Part) -> Part | None:
    """ "of the video", "of the second half", "after 1:00"; None where it is a part of something else."""
    if (video := skip_video(t, part.end)) != part.end:
        return part._replace(end=video, sure=True)
    for prepositions, is_after in ((t.words.after, True), (t.words.before, False)):
        other = t.match(part.end, prepositions)
        if other is not None:
            moment = read_moment(t, other)
            if moment is None or moment.kind == "place":
                return None
            limit = Stretch(moment.point, END) if is_after else Stretch(START, moment.point)
            return part._replace(intervals=tuple(_of(one, limit) for one in part.intervals), end=moment.end)
    if (of := t.match(part.end, t.words.of)) is None:
        return part
    owner = read_part(t, of)
    if owner is None or len(owner.intervals) > 1:
        return None
    return Part(
        tuple(_of(one, owner.intervals[0]) for one in part.intervals),
        owner.end,
        sure=owner.sure or part.place is not None,
        place=part.place,
    )


def _of(part: Named, owner: Named) -> Named:
    """A stretch of a stretch."""
    return replace(part, of=owner if part.of is None else _of(part.of, owner))


def _read_scene_numbers(t: Tokens, at: int) -> Part | None:
    """ "scene 3", "scenes 2 to 4", "scenes 1 and 3"."""
    if (end := t.match(at, t.words.scenes)) is None or (number := read_number(t, end)) is None:
        return None
    numbers, joined, end = [_whole(number[0])], "", number[1]
    for joins, kind in ((t.words.to | t.words.dashes, "to"), (t.words.ands | t.words.ors, "and")):
        after = t.match(end, joins)
        if after is not None and (more := read_number(t, t.skip(after, t.words.scenes))) is not None:
            numbers, joined, end = [*numbers, _whole(more[0])], kind, more[1]
            break
    if None in numbers or t.text(end) in t.words.units:
        return None
    counts = [n for n in numbers if n is not None]
    ranges = [(counts[0], counts[-1])] if joined == "to" else [(n, n) for n in counts]
    return Part(tuple(SceneRange(min(pair), max(pair)) for pair in ranges), end)


def _whole(number: float) -> int | None:
    return int(number) if number == int(number) and number >= 1 else None


def _read_ordered(t: Tokens, at: int) -> Part | None:
    """ "first 30 seconds", "second half", "third to fifth minute", "first and last scene"."""
    words, orders, joined = t.words, [], ""
    end = at
    while (order := read_ordinal(t, end)) is not None:
        orders.append((order[0], end))
        end = order[1]
        link = t.match(end, words.ands | words.ors | words.commas)
        to = t.match(end, words.to | words.dashes)
        after = t.skip(link if link is not None else to if to is not None else end, words.articles)
        if after == end or read_ordinal(t, after) is None or len(orders) > 3:
            break
        joined, end = ("to" if to is not None else "and"), after
    if not orders:
        return None
    found = [
        _read_measure(t, end, number, t.match(place, words.firsts | words.lasts) is not None)
        for number, place in orders
    ]
    parts = [one for one in found if one is not None]
    if len(parts) != len(orders):
        return None
    last = parts[-1]
    intervals = tuple(part[0] for part in parts)
    if joined == "to" and len(parts) == 2:
        between = _between(intervals[0], intervals[1])
        intervals = intervals if between is None else (between,)
    return Part(intervals, last[1])


def _between(one: Named, other: Named) -> Named | None:
    """From the start of one to the end of the other."""
    if isinstance(one, SceneRange) and isinstance(other, SceneRange):
        return SceneRange(one.first, other.last)
    if isinstance(one, Stretch) and isinstance(other, Stretch):
        return Stretch(one.start, other.end)
    return None


def _read_measure(t: Tokens, at: int, number: int, edge: bool) -> tuple[Named, int] | None:
    """What an ordinal counts: a length, a unit, a fraction, scenes or per cent."""
    words = t.words
    if edge and (length := read_length(t, at)) is not None:
        return _edge(number, 0.0, length.seconds), length.end
    if edge and t.text(at) in words.fractions and t.text(at + 1) in words.units:  # "the first half minute"
        return _edge(number, 0.0, words.fractions[t.text(at)] * words.units[t.text(at + 1)]), at + 2
    count = read_number(t, at)
    if count is not None and edge:
        if (end := t.match(count[1], words.percent)) is not None and count[0] <= 100:
            return _edge(number, count[0] / 100, 0.0), end
        if (fraction := t.find(count[1], words.fractions)) is not None and count[0] * fraction[0] <= 1:
            return _edge(number, count[0] * fraction[0], 0.0), fraction[1]
        if t.text(count[1]) == "/" and (whole := read_number(t, count[1] + 1)) is not None and whole[0] >= count[0]:
            return _edge(number, count[0] / whole[0], 0.0), whole[1]
        many = _whole(count[0])
        if many is not None and (end := t.match(count[1], words.scenes)) is not None:
            return (SceneRange(1, many) if number > 0 else SceneRange(-many, -1)), end
        return None
    if (fraction := t.find(at, words.fractions)) is not None:
        share = fraction[0] * abs(number)
        last = Point(share) if number > 0 else Point(1 - share + fraction[0])
        return None if share > 1 + NEAR else (Stretch(last.moved(0, -fraction[0]), last), fraction[1])
    if (end := t.match(at, words.scenes)) is not None:
        return None if t.match(end, words.not_scenes) is not None else (SceneRange(number, number), end)
    unit = words.units.get(t.text(at)) if t.text(at) in words.long_units else None
    if unit is None:
        return None
    if edge and (half := t.match(at + 1, words.and_half)) is not None:
        return _edge(number, 0.0, 1.5 * unit), half
    if t.text(at) in words.plurals:
        return (_edge(number, 0.0, words.vague_plurals[t.text(at)] * unit), at + 1) if edge else None
    origin = START if number > 0 else END
    first = origin.moved((number - 1 if number > 0 else number) * unit)
    return Stretch(first, first.moved(unit)), at + 1


def _edge(number: int, share: float, seconds: float) -> Stretch:
    """So much at the start of the video, or at its end."""
    if number > 0:
        return Stretch(START, Point(share, seconds))
    return Stretch(Point(1 - share, -seconds), END)


def _read_middle(t: Tokens, at: int) -> Part | None:
    """ "middle third", "middle ten minutes"."""
    if (end := t.match(at, t.words.middles)) is None:
        return None
    if (fraction := t.find(end, t.words.fractions)) is not None:
        return Part((Stretch(Point(0.5 - fraction[0] / 2), Point(0.5 + fraction[0] / 2)),), fraction[1])
    length = read_length(t, end)
    if length is None and t.text(end) in t.words.long_units:
        length = Length(t.words.units[t.text(end)], 1.0, end + 1)
    if length is None:
        return None
    return Part((Stretch(Point(0.5, -length.seconds / 2), Point(0.5, length.seconds / 2)),), length.end)


def _read_beginning(t: Tokens, at: int) -> Part | None:
    """ "beginning", "very end"."""
    found = t.find(at, t.words.places)
    return None if found is None else Part((place(found[0]),), found[1], place=found[0])
