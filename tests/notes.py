"""The words of notes, for tests that read them as people do."""

from __future__ import annotations

from collections.abc import Iterable

from kframes_plugin.types import Note


def sentences(notes: Iterable[Note]) -> tuple[str, ...]:
    """The sentences, in order."""
    return tuple(note.text for note in notes)
