"""The ``data:`` of a recipe: SynthScenes, PeakClips folders and files of public data sets, mixed by weights.

    data:
      - {kind: synthscenes}                                             # seeds and tasks: those of the stages
      - {kind: peakclips, path: labels/, videos: videos/}               # all stages
      - {kind: qvhighlights, path: highlight_train.jsonl, videos: qvh/, weight: 0.5}     # spans: stages 1 and 2
      - {kind: own, path: questions.jsonl, videos: videos/}             # spans, options or both
    cache: runs/candidates                                              # candidate frames on disk; without: decoded

``kind`` is "synthscenes", "peakclips" or a name of ``sources.datasets.READERS`` ("moments" reads most grounding files).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from datasets import Dataset

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_training.rows import Row
from kframes_training.sources.datasets import READERS, Item
from kframes_training.sources.datasets import read as read_items
from kframes_training.stages import film_rows, synthscenes_rows
from kframes_training.stages.candidate_cache import CandidateCache
from kframes_training.stages.questions import Asked, DrawnQuestion, FilmedQuestion

log = logging.getLogger("kframes")
SYNTHSCENES, PEAKCLIPS = "synthscenes", "peakclips"
KINDS = (SYNTHSCENES, PEAKCLIPS, *READERS)


@dataclass(frozen=True)
class DataEntry:
    """One source of rows.

    Attributes:
        kind: one of KINDS.
        path: folder of a PeakClips data set, or file of a public one; None for synthscenes.
        videos: folder of the videos; None: that of the data set.
        weight: how often each row is taken, > 0: 2 is twice, .5 every other one.
        split: of a PeakClips data set; None: all.

    Raises:
        ValueError: an unknown kind, no path, or a weight that is not > 0.
    """

    kind: str
    path: Path | None = None
    videos: Path | None = None
    weight: float = 1.0
    split: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"data: kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if (self.path is None) != (self.kind == SYNTHSCENES):
            raise ValueError(f"data: {self.kind} needs {'no path' if self.path else 'a path'}")
        if not self.weight > 0:
            raise ValueError(f"data: weight must be > 0; got {self.weight!r}")


def read_entries(config: Mapping[str, Any]) -> list[DataEntry]:
    """The entries of a recipe's ``data``; a name alone is an entry without a path.

    Raises:
        ValueError: there is none, or one that cannot be.
    """
    given = config.get("data")
    rows = [{"kind": given}] if isinstance(given, str) else given
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"data must be a list of sources, such as [{{kind: {SYNTHSCENES}}}]; got {given!r}")
    known = {field.name for field in fields(DataEntry)}
    entries = []
    for row in rows:
        if unknown := sorted(row.keys() - known):
            raise ValueError(f"data: unknown {unknown[0]!r}; known are {', '.join(sorted(known))}")
        paths = {name: Path(row[name]) for name in ("path", "videos") if row.get(name) is not None}
        entries.append(DataEntry(**{"kind": "", **row, **paths}))
    return entries


def sft_dataset(config: Mapping[str, Any], stage: str, reading: CheckpointSettings) -> Dataset:
    """The rows of stage "1" or "2" of a recipe.

    Raises:
        ValueError: a source that cannot be, or none of them has rows for this stage.
    """
    frames, parts = make_cache(config, reading), []
    for entry in read_entries(config):
        if entry.kind == SYNTHSCENES:
            parts.append((_drawn_rows(config, stage, reading), entry.weight))
        elif labels := read_labels(entry, stage):
            parts.append((film_rows.sft_dataset(labels, frames, reading.format), entry.weight))
    return _mixed(parts, f"stage {stage}")


def grpo_dataset(config: Mapping[str, Any], reading: CheckpointSettings) -> tuple[Dataset, list[Asked]]:
    """The rows of stage 3 of a recipe, and the questions that they number; errors as for :func:`sft_dataset`."""
    frames, parts, asked = make_cache(config, reading), list[tuple[Dataset, float]](), list[Asked]()
    size = _size(config)
    for entry in read_entries(config):
        if entry.kind == SYNTHSCENES:
            seeds = range(*config["stage3"]["videos"])
            rows, drawn = synthscenes_rows.grpo_dataset(
                seeds, candidates=reading.candidates, size=size, fmt=reading.format, first=len(asked)
            )
            asked += [DrawnQuestion(video, question) for video, question in drawn]
        elif filmed := read_questions(entry):
            rows = film_rows.grpo_dataset(filmed, frames, reading.format, first=len(asked))
            asked += filmed
        else:
            continue
        parts.append((rows, entry.weight))
    return _mixed(parts, "stage 3"), asked


def read_labels(entry: DataEntry, stage: str) -> list[Row]:
    """The labels of a source of films for stage "1" or "2"; none where it has no spans."""
    assert entry.path is not None
    if entry.kind == PEAKCLIPS:
        return film_rows.peakclips_labels(entry.path, stage, entry.videos, entry.split)
    return film_rows.moment_labels(_items(entry), stage)


def read_questions(entry: DataEntry) -> list[FilmedQuestion]:
    """The multiple-choice questions of a source of films; may be none."""
    assert entry.path is not None
    if entry.kind == PEAKCLIPS:
        return film_rows.peakclips_questions(entry.path, entry.videos, entry.split)
    return film_rows.item_questions(_items(entry))


def make_cache(config: Mapping[str, Any], reading: CheckpointSettings) -> CandidateCache:
    """The candidates of a recipe's films."""
    return CandidateCache(config.get("cache"), reading.candidates, _size(config))


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    width, height = config["frame"]
    return int(width), int(height)


def _drawn_rows(config: Mapping[str, Any], stage: str, reading: CheckpointSettings) -> Dataset:
    plan = config[f"stage{stage}"]
    return synthscenes_rows.sft_dataset(
        range(*plan["videos"]),
        candidates=reading.candidates,
        size=_size(config),
        tasks=plan["tasks"],
        fmt=reading.format,
    )


def _items(entry: DataEntry) -> list[Item]:
    """The items of a file whose videos are there; what is left out is told."""
    assert entry.path is not None
    data = read_items(entry.path, entry.videos, kind=entry.kind)
    found = [item for item in data.items if item.video.is_file()]
    if missing := [item.video for item in data.items if not item.video.is_file()]:
        left_out = f"{len(missing)} of {len(data.items)} rows left out, whose videos are missing"
        log.warning("%s: %s; the first is %s", entry.path.name, left_out, missing[0])
    if data.odd:
        log.warning("%s: %d rows cannot be used; the first: %s", entry.path.name, len(data.odd), data.odd[0])
    return found


def _mixed(parts: Sequence[tuple[Dataset, float]], stage: str) -> Dataset:
    """The rows of several datasets as one, each as often as its weight says.

    Raises:
        ValueError: there are none.
    """
    places: list[tuple[int, int]] = []
    for number, (rows, weight) in enumerate(parts):
        whole, rest = divmod(weight, 1)
        every = range(len(rows))
        some = Random(f"rows {number}").sample(every, round(rest * len(rows)))
        places += [(number, row) for row in [*every] * int(whole) + sorted(some)]
    if not places:
        needed = "options with an answer" if stage == "stage 3" else "spans"
        raise ValueError(f"data: no source has rows for {stage}, which needs {needed}")

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [parts[number][0][row] for number, row in (places[place] for place in columns["place"])]
        return {key: [row[key] for row in rows] for key in rows[0]}

    return Dataset.from_dict({"place": list(range(len(places)))}).with_transform(read)
