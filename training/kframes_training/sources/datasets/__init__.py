"""Readers of the files that people download, one a file; all give :class:`Data` with frozen :class:`Item` rows.

items.py        Item, Data: the words
files.py        what readers share
own.py          a simple JSONL of one's own
moments.py      queries with spans, as grounding data sets write them (ActivityNet Captions, TimeLens-100K ...)
videomme.py, mlvu.py, lvbench.py, longvideobench.py         questions with options
kfs_bench.py, lv_haystack.py, qvhighlights.py, charades_sta.py      with true scenes, frames or moments
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kframes_training.sources.datasets import (
    charades_sta,
    kfs_bench,
    longvideobench,
    lv_haystack,
    lvbench,
    mlvu,
    moments,
    own,
    qvhighlights,
    videomme,
)
from kframes_training.sources.datasets.files import Row, read_rows
from kframes_training.sources.datasets.items import Data, Item, Subtitle

__all__ = ["READERS", "Data", "Item", "Subtitle", "kind_of", "read"]

READERS: Mapping[str, Callable[..., Data]] = {
    "own": own.read,
    "videomme": videomme.read,
    "mlvu": mlvu.read,
    "lvbench": lvbench.read,
    "longvideobench": longvideobench.read,
    "kfs-bench": kfs_bench.read,
    "lv-haystack": lv_haystack.read,
    "qvhighlights": qvhighlights.read,
    "charades-sta": charades_sta.read,
    "moments": moments.read,
}
# Fields that only the files of one data set have, all of them in the first row.
_MARKS = {
    "kfs-bench": {"segment_id", "scene_id"},
    "videomme": {"sub_category", "domain"},
    "lvbench": {"key", "qa"},
    "longvideobench": {"video_path", "duration_group"},
    "lv-haystack": {"vclip_id", "video_metadata"},
    "qvhighlights": {"qid", "vid"},
    "mlvu": {"video", "question_type"},
    "own": {"video"},
}


def kind_of(file: Path) -> str:
    """Whose file it is, by its fields (Charades-STA: by its suffix .txt).

    Raises:
        ValueError: it is of no known data set.
    """
    if file.suffix == ".txt":
        return "charades-sta"
    first: Row = next(iter(read_rows(file)), {})
    for kind, marks in _MARKS.items():
        if marks <= set(first):
            return kind
    raise ValueError(
        f"{file} is not a known data set: its first row has the fields {', '.join(sorted(first)) or 'none'}; rows "
        'of your own need "video" and "query", or name one of ' + ", ".join(READERS)
    )


def read(
    file: Path,
    videos: Path | None = None,
    *,
    kind: str | None = None,
    questions: Path | None = None,
    subtitles: bool = False,
) -> Data:
    """Read a file of a known data set.

    Args:
        file: its annotation.
        videos: folder of its videos; None: that of the file.
        kind: a name of READERS; None: told by the file's fields.
        questions: for kfs-bench, the annotation of LongVideoBench or Video-MME.
        subtitles: for longvideobench: read them too.

    Raises:
        ValueError: an unknown kind, a file that cannot be read as one, or options that do not
            go with the kind.
    """
    if not file.exists():
        raise ValueError(f"there is no {file}; check the path")
    kind = kind or kind_of(file)
    if kind not in READERS:
        raise ValueError(f"data must be one of {', '.join(READERS)}; got {kind!r}")
    options: dict[str, object] = {}
    if kind == "kfs-bench":
        if questions is None:
            raise ValueError(f"{file.name} holds only scenes; name the annotation of its questions too (--questions)")
        options["questions"] = questions
    elif questions is not None:
        raise ValueError(f"--questions is for kfs-bench; {file.name} is read as {kind}")
    if subtitles:
        if kind != "longvideobench":
            raise ValueError(f"subtitles are read for longvideobench; {file.name} is read as {kind}")
        options["subtitles"] = True
    data = READERS[kind](file, videos or (file if file.is_dir() else file.parent), **options)
    items, repeated = _told_apart(data.items)
    return replace(data, items=items, odd=(*data.odd, *repeated))


def _told_apart(items: tuple[Item, ...]) -> tuple[tuple[Item, ...], list[str]]:
    """Items whose ids come twice get the number of the repeat after it, so that no result is mixed up; and notes."""
    seen: dict[str, int] = {}
    found = []
    for item in items:
        seen[item.id] = seen.get(item.id, 0) + 1
        found.append(item if seen[item.id] == 1 else replace(item, id=f"{item.id}#{seen[item.id]}"))
    notes = [f"the id {id} comes {n} times; the later ones are called {id}#2 ..." for id, n in seen.items() if n > 1]
    return tuple(found), notes
