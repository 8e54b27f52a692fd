"""Multiple-choice questions: written with a letter before each option, and the option that an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASK = "Answer with the letter of the right option alone."


def write_question(question: str, options: Sequence[str] = ()) -> str:
    """The question; with options, a line each and the request for a letter alone.

    Args:
        question: in words.
        options: none, or 2 to 26.

    Raises:
        ValueError: one option, or more than there are letters.
    """
    if not options:
        return question
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(f"a question has 2 to {len(LETTERS)} options, or none; got {len(options)}")
    listed = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *listed, ASK])


def read_choice(text: str, options: Sequence[str]) -> int | None:
    """The option that an answer names: by its letter alone, else by its whole text; None where it names none."""
    allowed = LETTERS[: len(options)]
    plain = text.strip()
    if found := re.match(rf"^[^A-Za-z0-9]*([{allowed}])(?![A-Za-z0-9])", plain):
        return LETTERS.index(found[1])
    if found := re.search(
        rf"\b(?:answer|option)\b[^A-Za-z0-9]*(?:is\b)?[^A-Za-z0-9]*([{allowed}])(?![A-Za-z0-9])", plain, re.I
    ):
        return LETTERS.index(found[1].upper())
    named = [i for i, option in enumerate(options) if option and option.lower() in plain.lower()]
    return named[0] if len(named) == 1 else None
