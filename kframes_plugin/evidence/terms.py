"""Words made comparable. English endings; other languages match word by word, and scripts without spaces by pairs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Words that say nothing about what a line is about, and those that only ask for speech or for text.
_EMPTY = """
a an the this that these those it its he she they we i you him her them us me his their our your my mine
who what when where which why how whom whose there here
is are was were be been being am do does did done has have had having can could will would shall should may might must
of in on at to for from by with without about into over under after before during between through up down out off
as than and or but if so because while not no nor only just also too very then now
one some any someone something somebody anyone anything everything thing
s t re ve ll m d
"""
_SPEECH = """
say says said saying tell tells told telling talk talks talked talking speak speaks spoke spoken speaking mention
mentions mentioned mentioning explain explains explained explaining discuss discusses discussed discussing ask asks
asked asking word words line sentence hear heard
"""
_SCREEN = """
text title sign signs word words letter letters caption says say said saying read reads reading written writing write
screen shown show shows showing appear appears appearing display displayed labelled labeled label called named name
"""
EMPTY = frozenset(_EMPTY.split())
SPEECH, SCREEN = EMPTY | frozenset(_SPEECH.split()), EMPTY | frozenset(_SCREEN.split())
_FOR_TEXT = """
text title sign signs caption words letters written writing says reads label labelled
"""
FOR_TEXT = frozenset(_FOR_TEXT.split())  # a query with one of these asks for text on screen
_WIDE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # scripts without spaces
_RUNS = re.compile(f"[{_WIDE}]+|[^\\W_{_WIDE}]+")
# Letters that recognisers mix up; pairs first.
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("ii", "u"))
_ALIKE = str.maketrans("01|5826", "olisbzb") | str.maketrans("ij", "ll")


def find_terms(text: str, empty: frozenset[str] = frozenset()) -> list[str]:
    """The words of a text in order, in small letters and without endings; those in ``empty`` are left out."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words = [word for run in _RUNS.findall(plain) for word in _split(run)]
    return [without_ending(word) for word in words if word not in empty]


def _split(run: str) -> list[str]:
    if len(run) > 1 and re.match(f"[{_WIDE}]", run):
        return [run[place : place + 2] for place in range(len(run) - 1)]
    return [run]


def without_ending(word: str) -> str:
    """A word without an English plural, -ing or -ed, as long as enough of it is left: "berries" -> "berry"."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return without_ending(word[:-1]) if word.endswith(("ings", "eds")) else word[:-1]
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2 and re.search("[aeiouy]", stem):
            if stem[-1] == stem[-2] and stem[-1] not in "lsz":
                return stem[:-1]  # running -> run
            return stem
    return word


@lru_cache(maxsize=50_000)
def skeleton(word: str) -> str:
    """A word in which letters that recognisers mix up are one letter: "CO11ECT1ON", "collectlon" -> the same."""
    for pair, one in _PAIRS:
        word = word.replace(pair, one)
    return word.translate(_ALIKE)


def is_alike(asked: str, read: str) -> bool:
    """Whether a word that was asked for may be the one that was read on screen.

    Letters that recognisers mix up are equal. Words of five letters may differ in one edit, of eight in two; a word of
    four may stand inside a longer one, since spaces get lost.
    """
    one, other = skeleton(asked), skeleton(read)
    if one == other or (len(one) >= 4 and one in other):
        return True
    allowed = 2 if len(one) >= 8 else 1 if len(one) >= 5 else 0
    return allowed > 0 and abs(len(one) - len(other)) <= allowed and count_edits(one, other) <= allowed


def count_edits(one: str, other: str) -> int:
    """Letters to put in, take out or change to turn one word into the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row[0] = row[0], place
        for at, wanted in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (letter != wanted))
    return row[-1]
