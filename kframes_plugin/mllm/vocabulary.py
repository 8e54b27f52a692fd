"""Queries to a model that knows only some words: what it cannot look for, and the case it knows the rest in. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_WORD = re.compile(r"[^\W\d_]+|\d+")  # a run of letters of any script, or of digits
_ADVICE = 'use a larger model for it, such as KFrames.from_pretrained("Qwen/Qwen2.5-VL-3B-Instruct")'


def words(text: str) -> list[str]:
    """The words of a text in their order, in lower case: runs of letters and runs of digits; all else parts them.

    >>> words("What's on the 2nd sofa?")
    ['what', 's', 'on', 'the', '2', 'nd', 'sofa']
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def refusal(query: str, vocabulary: Iterable[str]) -> str:
    """Why a model that knows only some words cannot look for a query; empty where it can.

    Args:
        query: what to look for.
        vocabulary: the words it was trained on, lower case. Numbers of the query count only where it has some.

    Returns:
        A sentence that names the unknown words, or says that there is no word at all.
    """
    known = set(vocabulary)
    numbers = any(word.isdecimal() for word in known)
    asked = [word for word in words(query) if numbers or not word.isdecimal()]
    unknown = [word for word in dict.fromkeys(asked) if word not in known]
    if unknown:
        return f"the query has words this model was never trained on: {', '.join(map(repr, unknown))}; {_ADVICE}"
    return "" if asked else f"the query has no word that this model was trained on; {_ADVICE}"


def in_known_case(query: str, tokens: Callable[[str], int]) -> str:
    """A query with every word in the case that the model knows best: the one its tokenizer needs fewest tokens for.

    People write "When is the Red circle shown?"; a model trained on lower-case queries has never seen "When".

    Args:
        query: what to look for.
        tokens: how many tokens a piece of text takes.
    """

    def best(match: re.Match[str]) -> str:
        space, word = match.groups()
        lower = word.lower()
        cases = (word, lower) if len(word) > 1 and word.isupper() else (lower, word, word.upper())
        return space + min(cases, key=lambda case: tokens(space + case))  # the first of equals

    return re.sub(r"( ?)([^\W\d_]+)", best, query)
