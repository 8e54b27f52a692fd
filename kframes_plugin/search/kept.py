"""What a searcher keeps in memory between two queries: entries of the index, up to a number of bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kframes_plugin.evidence.ranking import Match, Passages
from kframes_plugin.search.store import Entry, Store

MOST_BYTES = 1 << 27  # 128 MB: 80,000 frames of lite, or 60,000 lines
LINE_BYTES = 2_000  # of a line with its words counted


@dataclass
class Loaded:
    """An entry in memory, and its passages once they were asked for."""

    entry: Entry
    passages: Passages | None = None

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return self.entry.rows.nbytes + 12 * len(self.entry.times) + LINE_BYTES * len(self.entry.lines)

    def find_matches(self, query: str) -> list[Match]:
        """The passages of a video's words that answer a query; meanings would first have to be embedded."""
        if not self.entry.lines:
            return []
        if self.passages is None:
            self.passages = Passages(self.entry.lines, "said")
        return self.passages.search(query)


class KeptEntries:
    """Entries by content. Those that no longer fit are read from the disk for every query, one after another.

    Args:
        most_bytes: in memory together, about.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._kept: dict[str, Loaded] = {}
        self._sound: set[str] = set()  # read without a fault before

    def is_there(self, store: Store, digest: str) -> bool:
        """Whether the index has a sound entry of a content; each is read once to know."""
        return (digest in self._sound and store.file_of(digest).is_file()) or self.load(store, digest) is not None

    def load(self, store: Store, digest: str) -> Loaded | None:
        """The entry of a content; None: there is none, or none that can be used."""
        if digest in self._kept:
            return self._kept[digest]
        entry = store.read(digest)
        if entry is None:
            self._sound.discard(digest)  # damaged since: the next query makes it anew
            return None
        self._sound.add(digest)
        loaded = Loaded(entry)
        if self.bytes + loaded.bytes <= self.most_bytes:
            self._kept[digest] = loaded
            self.bytes += loaded.bytes
        return loaded

    def keep_only(self, digests: Collection[str]) -> None:
        """Forget the others: of other folders nothing stays in memory."""
        for digest in [one for one in self._kept if one not in digests]:
            self.bytes -= self._kept.pop(digest).bytes
