"""Finds the phrases of time in a query: prepositions and what stands behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from kframes_plugin.query.amounts import read_length, read_number, read_short
from kframes_plugin.query.moments import Moment, ends_clause, is_owned, read_into, read_moment, skip_video
from kframes_plugin.query.parts import Part, read_part
from kframes_plugin.query.times import END, START, Beside, Interval, Point, SceneRange, Stretch, around, place
from kframes_plugin.query.tokens import Tokens


@dataclass(frozen=True)
class Phrase:
    """A phrase of time: tokens ``start`` to ``end`` of a query.

    Attributes:
        intervals: what it names, at least one; together they are one area.
        is_open: it says after or before when, so that another phrase may limit it.
        is_negated: everything but these.
        is_weak: a time only where nothing else is asked for.
    """

    start: int
    end: int
    intervals: tuple[Interval, ...]
    is_open: bool = False
    is_negated: bool = False
    is_weak: bool = False


def find_phrases(t: Tokens) -> list[Phrase]:
    """The phrases of time of a query, in their order."""
    found: list[Phrase] = []
    at = 0
    while at < len(t):
        idiom = t.match(at, t.words.idioms)
        if idiom is not None and skip_video(t, idiom) == idiom:
            at = idiom
            continue
        phrase = read_phrase(t, at)
        if phrase is None:
            at += 1
        else:
            found.append(phrase)
            at = phrase.end
    return found


def read_phrase(t: Tokens, at: int) -> Phrase | None:
    """The longest phrase of time that begins at a place."""
    readers = (_read_negated, _read_range, _read_beside, _read_place, _read_inside, _read_at, _read_bare)
    found = [phrase for reader in readers if (phrase := reader(t, at)) is not None]
    return max(found, key=lambda phrase: phrase.end, default=None)


def _read_negated(t: Tokens, at: int) -> Phrase | None:
    """ "not in the first minute", "except the last scene"."""
    if (inner := t.match(at, t.words.not_in)) is None:
        return None
    if (phrase := read_phrase(t, inner)) is not None:
        return None if phrase.is_negated else replace(phrase, start=at, is_negated=True)
    part = read_part(t, inner)
    return None if part is None or part.place is not None else Phrase(at, part.end, part.intervals, is_negated=True)


# ----------------------------------------------------------------------------------------------------------- ranges


def _read_range(t: Tokens, at: int) -> Phrase | None:
    """ "from 1:00 to 2:00", "between minute 3 and 5", "2:00-3:00", "from 1:30 for 20 seconds"."""
    words = t.words
    between, opened = t.match(at, words.between), t.match(at, words.from_ | words.since)
    named = t.match(at, words.inside | words.at | words.around)
    start = next((end for end in (between, opened, named) if end is not None), at)
    first = read_moment(t, start) or read_part(t, start)
    bare_number = read_number(t, start) if first is None else None
    low = first.end if first is not None else bare_number[1] if bare_number is not None else None
    if low is None or _is_blocked(t, low, "any"):
        return None
    if opened is not None and isinstance(first, Moment) and (ahead := t.match(low, words.lasting_for)) is not None:
        length = read_length(t, ahead)
        if length is None or _is_blocked(t, length.end, "length"):
            return None
        return Phrase(at, length.end, (Stretch(first.point, first.point.moved(length.seconds)),))
    if between is not None and isinstance(first, Part) and len(first.intervals) == 2:  # "the first and second minute"
        return Phrase(at, low, first.intervals)
    link = t.match(low, words.to | words.dashes | (words.ands if between is not None else frozenset()))
    if link is None:
        return None
    joined = _join(t, first, bare_number, link)
    if joined is None or _is_blocked(t, joined.end, joined.kind):
        return None
    if (
        between is None
        and opened is None
        and not (joined.kind == "clock" or (joined.unit and _is_free(t, at, joined.end)))
    ):
        return None
    interval = joined.interval
    return _read_more(t, Phrase(at, skip_video(t, joined.end), (interval,)), _read_plain_range)


@dataclass(frozen=True)
class _Joined:
    interval: Interval
    end: int
    kind: str
    unit: float = 0.0


def _join(t: Tokens, first: Moment | Part | None, number: tuple[float, int] | None, at: int) -> _Joined | None:
    """From what was read to what stands at a place, which may borrow its unit or lend it."""
    second: Moment | Part | None = read_moment(t, at) or read_part(t, at)
    if first is None and number is not None:  # "3 to 5 minutes"
        length = read_length(t, at)
        if length is None or length.seconds % length.grain > 0 or length.seconds <= number[0] * length.grain:
            return None
        low = Point(0.0, number[0] * length.grain, length.grain)
        end = read_into(t, length.end)
        return _Joined(Stretch(low, Point(0.0, length.seconds)), length.end if end is None else end, "length")
    if isinstance(first, Moment) and second is None and first.unit and (more := read_number(t, at)) is not None:
        return _Joined(_ordered(first.point, Point(0.0, more[0] * first.unit)), more[1], "label", first.unit)
    if (
        second is None
        and (short := read_short(t, at)) is not None
        and isinstance(first, Moment)
        and first.kind == "length"
    ):
        second = Moment(Point(0.0, short.seconds, short.grain), short.end, "length")
    if isinstance(first, Moment) and isinstance(second, Moment):
        kinds = {first.kind, second.kind}
        if kinds == {"place"}:
            return None
        kind = "clock" if kinds == {"clock"} else "length" if second.kind == "length" else "label"
        return _Joined(_ordered(first.point, second.point), second.end, kind)
    if isinstance(first, Part) and isinstance(second, Part):
        one, other = first.intervals[0], second.intervals[-1]
        if isinstance(one, SceneRange) and isinstance(other, SceneRange):
            return _Joined(SceneRange(one.first, other.last), second.end, "part")
        if isinstance(one, Stretch) and isinstance(other, Stretch) and one.of is None and other.of is None:
            return _Joined(Stretch(one.start, other.end), second.end, "part")
    return None


def _ordered(one: Point, other: Point) -> Stretch:
    """From the earlier point to the later, where they can be compared."""
    swapped = one.share == other.share and one.seconds > other.seconds
    return Stretch(other, one) if swapped else Stretch(one, other)


def _read_plain_range(t: Tokens, at: int) -> tuple[Interval, int] | None:
    """Another range of a list: "and 2:00 to 3:00"."""
    first = read_moment(t, at)
    link = None if first is None else t.match(first.end, t.words.to | t.words.dashes)
    joined = None if link is None else _join(t, first, None, link)
    return None if joined is None or _is_blocked(t, joined.end, joined.kind) else (joined.interval, joined.end)


# -------------------------------------------------------------------------------------------------- after and before


def _read_beside(t: Tokens, at: int) -> Phrase | None:
    """ "after ten minutes", "before the last scene", "until 1:00", "from 2:00 on"."""
    words = t.words
    start = t.skip_all(at, words.asides)
    after, before = t.match(start, words.after), t.match(start, words.before | words.until)
    since = t.match(at, words.since | words.from_)
    end = after if after is not None else before if before is not None else since
    if end is None:
        return None
    later = before is None
    moment = read_moment(t, end)
    if moment is not None and moment.kind != "place":
        onwards = t.match(moment.end, words.onwards) if since is not None else None
        if _is_blocked(t, moment.end, moment.kind, strictly=onwards is None):
            return None
        if since is not None and moment.kind == "length" and onwards is None:
            return None
        interval: Interval = Stretch(moment.point, END, named=moment.point) if later else Stretch(START, moment.point)
        return Phrase(at, skip_video(t, moment.end if onwards is None else onwards), (interval,), is_open=True)
    part = read_part(t, end)
    if part is None or not part.is_named or len(part.intervals) > 1 or _is_blocked(t, part.end, "any"):
        return None
    onwards = t.match(part.end, words.onwards) if since is not None else None
    named = part.intervals[0]
    if since is not None and onwards is None:
        return None
    including = since is not None or part.place == (0.0 if later else 1.0)  # "until the end of the first minute"
    return Phrase(at, part.end if onwards is None else onwards, (Beside(named, later, including),), is_open=True)


# -------------------------------------------------------------------------------------------------------- in and at


def _read_place(t: Tokens, at: int) -> Phrase | None:
    """ "at the end", alone; what is the end of something is read elsewhere."""
    for table, weak in ((t.words.place_phrases, False), (t.words.weak_phrases, True)):
        found = t.find(at, table)
        if found is not None and ends_clause(t, found[1]) and not is_owned(t, found[1]):
            return Phrase(at, found[1], (place(found[0]),), is_weak=weak and skip_video(t, found[1]) == found[1])
    return None


def _read_inside(t: Tokens, at: int) -> Phrase | None:
    """ "in the first minute", "during minute 3", "from the last scene"."""
    end = t.match(at, t.words.inside)
    end = t.match(at, t.words.from_) if end is None else end
    if end is None:
        return None
    label = _read_label_span(t, end)
    if label is not None:
        moment = read_moment(t, end)
        unit = 0.0 if moment is None else moment.unit
        phrase = Phrase(at, skip_video(t, label[1]), (label[0],))
        return _read_more(t, phrase, lambda t, at: _read_label_span(t, at) or _read_label_number(t, at, unit))
    part = read_part(t, end)
    if part is None or not part.is_named or _is_blocked(t, part.end, "any"):
        return None
    return _read_more(t, Phrase(at, part.end, part.intervals), _read_plain_part)


def _read_at(t: Tokens, at: int) -> Phrase | None:
    """ "at 1:30", "around 75 s", "at the third scene"."""
    words = t.words
    exactly, loosely = t.match(at, words.at), t.match(at, words.around | words.loosely)
    end = exactly if exactly is not None else loosely
    if end is None:
        return None
    loose = exactly is None or t.match(end, words.around | words.loosely) is not None

    def read(t: Tokens, at: int) -> tuple[Interval, int] | None:
        label = _read_label_span(t, at)
        if label is not None and not loose:
            return label
        moment = read_moment(t, at)
        if moment is None or moment.kind == "place" or _is_blocked(t, moment.end, moment.kind, strictly=loose):
            return None
        return around(moment.point, loosely=loose), skip_video(t, moment.end)

    first = read(t, end)
    if first is None:
        part = read_part(t, end)
        if part is None or not part.is_named or _is_blocked(t, part.end, "any"):
            return None
        return None if t.match(at, words.loosely) is not None else Phrase(at, part.end, part.intervals)
    kind = moment.kind if (moment := read_moment(t, end)) is not None else ""
    if t.match(at, words.loosely) == end and kind not in ("clock", "mark"):
        return None
    if exactly is None and kind == "length" and t.text(at - 1) in words.lasting:
        return None
    return _read_more(t, Phrase(at, first[1], (first[0],)), read)


def _read_bare(t: Tokens, at: int) -> Phrase | None:
    """Without a preposition: "5 minutes in", "the last 20 seconds", "second half"; a clock that is the whole query."""
    if t.kind(at) == "clock" and at == 0 and (len(t) == 1 or t.kind(1) == "sign"):
        moment = read_moment(t, 0)
        return None if moment is None else Phrase(at, moment.end, (around(moment.point),))
    moment = read_moment(t, at)
    if moment is not None and moment.kind == "mark" and not _is_blocked(t, moment.end, "any"):
        lasts = t.text(at - 1) in t.words.lasting | t.words.owners
        return None if lasts else Phrase(at, moment.end, (around(moment.point),))
    part = read_part(t, at)
    if part is None or part.place is not None or _is_blocked(t, part.end, "any") or t.text(at - 1) in t.words.owners:
        return None
    free = _is_free(t, at, part.end) or (part.sure and t.text(at - 1) not in t.words.articles)
    return _read_more(t, Phrase(at, part.end, part.intervals), _read_plain_part) if free else None


def _read_plain_part(t: Tokens, at: int) -> tuple[Interval, int] | None:
    """Another part of a list: "and the last scene"."""
    part = read_part(t, at)
    if part is None or part.place is not None or len(part.intervals) > 1 or _is_blocked(t, part.end, "any"):
        return None
    return (part.intervals[0], part.end) if part.sure or ends_clause(t, part.end) else None


def _read_label_span(t: Tokens, at: int) -> tuple[Interval, int] | None:
    """ "minute 3" as the minute in which a clock says 3; a second is a point."""
    moment = read_moment(t, at)
    if moment is None or moment.kind != "label" or _is_blocked(t, moment.end, "label"):
        return None
    if moment.unit < 60:
        return around(moment.point), moment.end
    return Stretch(moment.point, moment.point.moved(moment.unit), named=moment.point), moment.end


def _read_label_number(t: Tokens, at: int, unit: float) -> tuple[Interval, int] | None:
    """Another number of a label: "and 5" after "minutes 3"."""
    number = read_number(t, at)
    if number is None or not ends_clause(t, number[1]):
        return None
    point = Point(0.0, number[0] * unit, unit)
    return (around(point) if unit < 60 else Stretch(point, point.moved(unit), named=point)), number[1]


def _read_more(t: Tokens, phrase: Phrase, read: Callable[[Tokens, int], tuple[Interval, int] | None]) -> Phrase:
    """The phrase with all that follows in a list of its kind: "at 0:10, 0:20 and 0:30"."""
    intervals, end = list(phrase.intervals), phrase.end
    while True:
        after = t.skip(t.skip(end, t.words.commas), t.words.ands | t.words.ors)
        found = read(t, after) if after != end else None
        if found is None:
            return replace(phrase, intervals=tuple(intervals), end=end)
        intervals.append(found[0])
        end = found[1]


# ------------------------------------------------------------------------------------------------------------ traps


def _is_blocked(t: Tokens, at: int, kind: str, *, strictly: bool = False) -> bool:
    """Whether what follows makes it something else than a time of the video: "pm", "later", "in the oven"."""
    words = t.words
    if t.text(at) in words.dashes and t.glued(at) and t.glued(at + 1) and t.kind(at + 1) == "word":
        return True
    if kind == "clock":
        return t.match(at, words.not_clocks) is not None or is_owned(t, at)
    if kind != "length":
        return False
    if t.text(at) in words.not_lengths or is_owned(t, at):
        return True
    if not strictly or skip_video(t, at) != at:
        return False
    return t.text(at) in words.spent or (t.kind(at) == "word" and t.text(at).endswith(words.doing))


def _is_free(t: Tokens, start: int, end: int) -> bool:
    """Whether a phrase stands by itself: nothing, a sign or filler words on both sides."""
    before = t.text(start - 1)
    prepositions = t.words.inside | t.words.at | t.words.from_ | t.words.to | t.words.of | t.words.loosely
    joined = t.words.ands | t.words.ors | (t.words.fillers - prepositions - t.words.articles)
    return (start == 0 or t.kind(start - 1) == "sign" or before in joined) and ends_clause(t, end)


def words_outside(t: Tokens, phrases: list[Phrase]) -> Iterator[str]:
    """The words and numbers of a query that belong to no phrase."""
    inside = {place for phrase in phrases for place in range(phrase.start, phrase.end)}
    return (token.text for place, token in enumerate(t.list) if place not in inside and token.kind != "sign")
