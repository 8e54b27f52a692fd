"""Reads numbers, ordinals and lengths of time: "twenty-five", "3rd", "second to last", "1h05m"."""

from __future__ import annotations

from typing import NamedTuple

from kframes_plugin.query.tokens import Tokens

MOST_DECADES = 1000  # "1980s" is no length


class Length(NamedTuple):
    """A length of time in a query.

    Attributes:
        seconds: how long, > 0 (or 0:00).
        grain: the smallest unit it was said in, seconds.
        end: the place after it.
        clock: whether it was written as "1:30".
    """

    seconds: float
    grain: float
    end: int
    clock: bool = False


def read_number(t: Tokens, at: int) -> tuple[float, int] | None:
    """A cardinal number in digits or words, and the place after it; "two and a half" too."""
    if t.kind(at) == "number":
        if t.glued(at + 1) and t.text(at + 1) in t.words.ordinal_endings:
            return None
        value, end = float(t.text(at)), at + 1
    elif (found := _read_small(t, at)) is not None:
        value, end = found
    elif t.text(at) in t.words.hundred:
        value, end = 1.0, at
    elif t.text(at) in t.words.ones and t.text(at + 1) in t.words.hundred:
        value, end = 1.0, at + 1
    else:
        return None
    if t.text(end) in t.words.hundred:
        value, end = value * 100, end + 1
        if (rest := _read_small(t, t.skip(end, t.words.ands))) is not None:
            value, end = value + rest[0], rest[1]
    half = t.match(end, t.words.and_half)
    return (value, end) if half is None else (value + 0.5, half)


def _read_small(t: Tokens, at: int) -> tuple[float, int] | None:
    """A number below 100 in words."""
    tens = t.words.numbers.get(t.text(at))
    if tens is None:
        return None
    end = at + 1
    if tens >= 20 and tens % 10 == 0:
        ones = end + 1 if t.text(end) in t.words.dashes and t.glued(end) else end
        if 0 < (more := t.words.numbers.get(t.text(ones), 0)) < 10:
            return tens + more, ones + 1
    return tens, end


def read_ordinal(t: Tokens, at: int) -> tuple[int, int] | None:
    """An ordinal, 1 the first, -1 the last, and the place after it."""
    if (found := t.find(at, t.words.from_end)) is not None:
        return found
    if t.kind(at) == "number" and t.glued(at + 1) and t.text(at + 1) in t.words.ordinal_endings:
        value, end = float(t.text(at)), at + 2
    elif (tens := t.words.numbers.get(t.text(at), 0)) >= 20:
        dash = at + 2 if t.text(at + 1) in t.words.dashes else at + 1
        value, end = tens + t.words.ordinals.get(t.text(dash), 0), dash + 1
        if not 0 < value - tens < 10:
            return None
    elif (named := t.find(at, t.words.ordinals)) is not None:
        value, end = named
    else:
        return None
    if value != int(value) or value < 1:
        return None
    last = t.match(end, t.words.to_last)
    return (int(value), end) if last is None else (-int(value), last)


def read_clock(t: Tokens, at: int) -> Length | None:
    """ "1:30", "1:02:03", "0:45.5"."""
    if t.kind(at) != "clock":
        return None
    seconds = 0.0
    for part in t.text(at).split(":"):
        seconds = 60 * seconds + float(part)
    return Length(seconds, 1.0, at + 1, clock=True)


def read_length(t: Tokens, at: int) -> Length | None:
    """A number and a unit, several of them in falling order, or "half a minute", "an hour", "a few seconds"."""
    first = _read_part(t, at)
    if first is None:
        return _read_compound(t, at)
    seconds, grain, end = first
    if (rest := _read_trailing(t, end, grain)) is not None:
        return Length(seconds + rest[0], 1.0, rest[1])
    if (half := t.match(end, t.words.and_half)) is not None:
        return Length(seconds + 0.5 * grain, grain / 2, half)
    while True:
        after = t.skip(t.skip(end, t.words.commas), t.words.ands)
        more = _read_part(t, after) or _read_glued(t, after, grain)
        if more is None or more[1] >= grain:
            return Length(seconds, grain, end)
        seconds, grain, end = seconds + more[0], more[1], more[2]


def _read_trailing(t: Tokens, at: int, grain: float) -> tuple[float, int] | None:
    """The seconds of "one minute thirty", at the end of a clause."""
    number = read_number(t, at) if grain == 60 else None
    closed = number is not None and (number[1] >= len(t) or t.kind(number[1]) == "sign")
    return number if closed and number is not None and 1 <= number[0] < 60 else None


def _read_compound(t: Tokens, at: int) -> Length | None:
    """Minutes as "m", which count only with seconds behind them: "2m30s"."""
    number = read_number(t, at)
    if number is None or (unit := t.words.compound_units.get(t.text(number[1]))) is None:
        return None
    more = _read_part(t, number[1] + 1)
    if more is None or more[1] >= unit:
        return None
    return Length(number[0] * unit + more[0], more[1], more[2])


def read_short(t: Tokens, at: int) -> Length | None:
    """ "2m", which is a length only beside another one: "1m30s to 2m"."""
    unit = t.words.compound_units.get(t.text(at + 1))
    return Length(float(t.text(at)) * unit, unit, at + 2) if unit is not None and t.kind(at) == "number" else None


def _read_glued(t: Tokens, at: int, grain: float) -> tuple[float, float, int] | None:
    """The minutes of "1h05" and of "1h05m"."""
    if grain != max(t.words.units.values()) or t.kind(at) != "number":
        return None
    unit = t.words.compound_units.get(t.text(at + 1))
    if unit is not None:
        return float(t.text(at)) * unit, unit, at + 2
    return (float(t.text(at)) * 60, 60.0, at + 1) if t.glued(at) and len(t.text(at)) == 2 else None


def _read_part(t: Tokens, at: int) -> tuple[float, float, int] | None:
    """One number with its unit: seconds, the unit, the place after them."""
    words = t.words
    if (part := t.find(at, words.parts)) is not None and (unit := words.units.get(t.text(part[1]))) is not None:
        return part[0] * unit, part[0] * unit, part[1] + 1
    if (few := t.find(at, words.vague)) is not None and t.text(few[1]) in words.plurals:
        unit = words.units[t.text(few[1])]
        return few[0] * unit, unit, few[1] + 1
    number = read_number(t, at)
    if number is None and t.text(at) in words.ones and t.text(at + 1) not in words.never_one:
        number = 1.0, at + 1
    if number is None:
        return None
    count, end = number
    dash = end + 1 if t.text(end) in words.dashes and t.glued(end) and t.glued(end + 1) else end
    unit = words.units.get(t.text(dash))
    if unit is None or _is_decade(t, at, dash, count):
        return None
    return count * unit, unit, dash + 1


def _is_decade(t: Tokens, at: int, unit: int, count: float) -> bool:
    """Whether it is "the 90s"."""
    decade = t.kind(at) == "number" and t.glued(unit) and count % 10 == 0 and len(t.text(unit)) == 1
    return decade and (t.text(at - 1) in t.words.decades or count >= MOST_DECADES)
