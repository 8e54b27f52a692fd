"""Searcher: keeps an index of videos up to date and answers queries from it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.errors import KFramesError, VideoError
from kframes_plugin.evidence.ranking import Match
from kframes_plugin.retrieval.pool import take_pool
from kframes_plugin.retrieval.session import count_pool
from kframes_plugin.search.hits import Hits, Scored, rank
from kframes_plugin.search.kept import MOST_BYTES, KeptEntries
from kframes_plugin.search.store import NAME, Entry, Known, Stat, Store, digest_files, stat_files
from kframes_plugin.text import quoted, shortened, whole_text
from kframes_plugin.types import FrameEmbedder, Note, RowComparer
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.sources import is_url, path_of
from kframes_plugin.video.suffixes import SUFFIXES
from kframes_plugin.words.files import ENDINGS, find_files
from kframes_plugin.words.options import WordOptions
from kframes_plugin.words.transcript import read_transcript

LEAST, CLOSE, ENOUGH = 8, 2.0, 256  # frames of a video at least; one in 2 s; so many are enough where I-frames are few
SPARSE = 4.0  # seconds between two of more than these
ALL_ALIKE = Note("nothing-found", "no frame of these videos stands out for the query: all are alike")
WAIT = 0.05  # seconds between two looks at what another process does

Path_ = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Place:
    """Where a video lies and where its index does; ``name`` is its path as the catalog has it."""

    path: Path
    store: Store
    name: str


@dataclass(frozen=True, eq=False)
class _Compared:
    """One video as a query sees it; ``rows`` (n, f): a few numbers a frame, where rows are compared one by one."""

    video: str
    duration: float
    times: NDArray[np.float64]
    scenes: NDArray[np.int32]
    rows: NDArray[np.floating[Any]]
    matches: Sequence[Match]


class Searcher:
    """Answers queries over many videos from an index on disk, which it makes and keeps up to date.

    A file is known again by its content, wherever it moves. Whether it changed is seen from its size and times; only
    then is it read again.

    Args:
        embedder: gives rows of frames and their scores. A :class:`~kframes_plugin.types.RowComparer` sees the rows of
            one video after another, and says where nothing is like a query; of any other all rows are in memory.
        video_options: keyword arguments of :class:`OpenVideo`.
        words: where words come from; they are kept beside the rows, and are evidence beside the looks.
        most_bytes: of the index that stay in memory between two queries, >= 0.

    Raises:
        KFramesError: the embedder does not say what its rows depend on.
    """

    def __init__(
        self,
        embedder: FrameEmbedder,
        video_options: Mapping[str, Any],
        words: WordOptions | None = None,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        if not embedder.embedding_key:
            raise KFramesError("this selector does not name its model, so nothing can be kept; give it embedding_key=")
        self.embedder, self.video_options = embedder, dict(video_options)
        self._comparer = embedder if isinstance(embedder, RowComparer) else None
        self.words = WordOptions(None) if words is None else words
        source = self.words.transcript if self.words.transcript in ("auto", None) else "own"
        self.key = f"{embedder.embedding_key}; words {source} {self.words.language}"
        self._kept = KeptEntries(most_bytes)
        self._subtitles: dict[Path, list[str]] = {}  # names of subtitle files by folder, for one query

    def search(
        self,
        videos: Path_ | Iterable[Path_],
        query: str,
        k: int = 8,
        *,
        index: Path_ | None = None,
        progress: Progress | None = None,
    ) -> Hits:
        """The best videos for a query; arguments and errors as for :meth:`KFrames.search`."""
        query = whole_text(query)
        places = find_videos(videos, index, self.key)
        digests, errors = self._refresh(places, progress, again=False)
        self._kept.keep_only(set(digests.values()))
        seen = [one for place in digests if (one := self._compare(place, digests[place], query)) is not None]
        if not seen:
            return Hits(query, (), 0, errors)
        scores, doubt = self._score(seen, query)
        parts = np.split(scores, np.cumsum([len(one.times) for one in seen])[:-1])
        scored = [
            Scored(one.video, one.duration, one.times, part, one.matches) for one, part in zip(seen, parts, strict=True)
        ]
        if doubt is not None:  # looks tell nothing, so words alone count
            scored = [replace(one, scores=np.zeros(len(one.times))) for one in scored if one.matches]
        notes = (doubt,) if doubt is not None and not scored else ()
        return Hits(query, rank(scored, k), len(seen), errors, notes)

    def _compare(self, place: Place, digest: str, query: str) -> _Compared | None:
        """What one video says to a query; its rows stay in memory only where there is room."""
        loaded = self._kept.load(place.store, digest)
        if loaded is None:
            return None
        entry = loaded.entry
        rows = entry.rows if self._comparer is None else self._comparer.compare_rows(entry.rows, query)
        return _Compared(str(place.path), entry.duration, entry.times, entry.scenes, rows, loaded.find_matches(query))

    def _score(self, seen: Sequence[_Compared], query: str) -> tuple[NDArray[np.float64], Note | None]:
        """Scores of all frames together, and why none is like the query."""
        first = np.cumsum([0, *(int(one.scenes[-1]) + 1 for one in seen)])
        scenes = np.concatenate([one.scenes + start for one, start in zip(seen, first[:-1], strict=True)])
        rows = np.concatenate([one.rows for one in seen])
        if self._comparer is None:
            scores = np.asarray(self.embedder.score_embedded(rows, query, scenes=scenes), np.float64)
            return scores, ALL_ALIKE if len(seen) > 1 and np.ptp(scores) == 0 else None
        doubt = self._comparer.doubt_compared(rows, query, seconds=sum(one.duration for one in seen))
        return np.asarray(self._comparer.score_compared(rows, query, scenes=scenes), np.float64), doubt

    def build(
        self, videos: Path_ | Iterable[Path_], *, index: Path_ | None = None, progress: Progress | None = None
    ) -> dict[str, str]:
        """Bring the index up to date, also what failed before; path -> "" or why it cannot be indexed."""
        places = find_videos(videos, index, self.key)
        _, errors = self._refresh(places, progress, again=True)
        for store in _by_store(places):
            store.forget({name for name in store.known() if not (store.folder / name).is_file()})
        return {str(place.path): errors.get(str(place.path), "") for place in places}

    def _refresh(
        self, places: Sequence[Place], progress: Progress | None, *, again: bool
    ) -> tuple[dict[Place, str], dict[str, str]]:
        """Index what is new or has changed. Returns the contents of the good ones, and errors by path."""
        known = {store: store.known() for store in _by_store(places)}
        self._subtitles = {}
        digests: dict[Place, str] = {}
        errors: dict[str, str] = {}
        todo = deque(places)
        waiting = 0  # how many in a row another process is at work on
        while todo:
            place = todo.popleft()
            found, is_done = self._look(place, known[place.store].get(place.name), again=again)
            known[place.store][place.name] = found
            if not is_done:
                todo.append(place)
                waiting += 1
                if waiting >= len(todo):
                    time.sleep(WAIT)
                continue
            waiting = 0
            if found.error:
                errors[str(place.path)] = found.error
            else:
                digests[place] = found.digest
            if progress is not None:
                progress("index", len(places) - len(todo), len(places))
        return digests, errors

    def _look(self, place: Place, known: Known | None, *, again: bool) -> tuple[Known, bool]:
        """What is at a place, indexed now where need be; and False while another process is at work on it."""
        files = [place.path, *self._find_subtitles(place.path)]
        try:
            stat = stat_files(files)
            same = known if known is not None and known.stat == stat else None
            if same is not None and (not again if same.error else self._kept.is_there(place.store, same.digest)):
                return same, True
            found = Known(stat, digest_files(files) if same is None else same.digest, "")
        except OSError as error:
            return Known((0, 0, 0), "", f"{place.path}: cannot be read: {error.strerror}"), True
        if known != found:
            place.store.note(place.name, found)
        with place.store.claim(found.digest) as claim:
            if claim is None:
                return found, False
            is_there = self._kept.is_there(place.store, found.digest)  # made by another process, or under another name
            if not is_there:
                try:
                    place.store.write(claim, self._embed(files, stat))
                except (VideoError, OSError) as error:
                    found = replace(found, error=str(error))
                    place.store.note(place.name, found)
        return found, True

    def _find_subtitles(self, video: Path) -> list[Path]:
        """Files with the words of a video; each folder is listed once a query, and not once a video."""
        if self.words.transcript != "auto":
            return []
        if video.parent not in self._subtitles:
            names = (entry.name.lower() for entry in os.scandir(video.parent))
            self._subtitles[video.parent] = [name for name in names if name.endswith(tuple(ENDINGS))]
        if not any(name.startswith(f"{video.stem.lower()}.") for name in self._subtitles[video.parent]):
            return []
        return find_files(str(video), self.words.language)

    def _embed(self, files: Sequence[Path], stat: Stat) -> Entry:
        with OpenVideo(files[0], **self.video_options) as video:
            spans = [(0.0, video.duration)]
            least = min(max(round(video.duration / CLOSE), LEAST), ENOUGH)
            size = getattr(self.embedder, "frame_size", 448)
            pool = take_pool(video, self.embedder, size, spans, least=least, most=count_pool(spans, least, SPARSE))
            lines, _ = read_transcript(video, self.words)
            assert pool.rows is not None
            if stat_files(files) != stat:
                raise VideoError(f"{files[0]}: changed while it was read; index it again when it is complete")
            numbers = np.unique(pool.scene_numbers, return_inverse=True)[1]  # scenes that no frame shows do not count
            return Entry(video.duration, pool.times, numbers.astype(np.int32), pool.rows.astype(np.float16), lines)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": KeptEntries(self._kept.most_bytes)}


def find_videos(videos: Path_ | Iterable[Path_], index: Path_ | None, key: str) -> list[Place]:
    """The places of all videos: of a folder and all below it, by suffix; or those that are listed, as they are.

    Args:
        videos: a folder, a video, or paths of these.
        index: folder of the index; None: ``.kframes`` in the folder that was named, or in that of a listed video.
        key: of the embeddings.

    Raises:
        KFramesError: something is not there, or no index can be kept there.
    """
    stores: dict[Path, Store] = {}
    places: dict[Path, Place] = {}
    for one in map(_local_path, _listed(videos)):
        if not one.exists():
            raise KFramesError(f"{shortened(str(one))} is neither a folder nor a file; check the path")
        home = Path(index) if index is not None else (one if one.is_dir() else one.parent) / NAME
        for path in _walk(one) if one.is_dir() else [one]:
            if home not in stores:
                stores[home] = Store(home, key)
            name = os.path.relpath(path.absolute(), home.absolute())
            places.setdefault(path.absolute(), Place(path, stores[home], Path(name).as_posix()))
    return list(places.values())


def _listed(videos: Any) -> list[Any]:
    """The paths that were given; TypeError or ValueError where it is none, or none is in it."""
    if isinstance(videos, str | os.PathLike):
        return [videos]
    listed = list(videos) if isinstance(videos, Iterable) and not isinstance(videos, bytes | Mapping) else []
    if not listed and not isinstance(videos, list | tuple):
        raise TypeError(f"videos must be a folder, a file or a list of these; got {quoted(videos)}")
    if not listed:
        raise ValueError("videos must name at least one folder or file; got an empty list")
    return listed


def _local_path(given: Any) -> Path:
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise TypeError(f"videos must be paths; got {quoted(given)} ({type(given).__name__})")
    path = path_of(os.fspath(given))
    if is_url(path):
        raise KFramesError(f"{shortened(path)} is a URL; only files and folders are searched: download it first")
    return Path(path)


def _walk(folder: Path) -> Iterator[Path]:
    """Regular files with the suffix of a video, in the order of their names; hidden folders are left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if name.lower().endswith(SUFFIXES) and path.is_file():
                yield path


def _by_store(places: Iterable[Place]) -> dict[Store, list[Place]]:
    found: dict[Store, list[Place]] = {}
    for place in places:
        found.setdefault(place.store, []).append(place)
    return found
