"""The data set on disk, as ``datasets.load_dataset(folder, table)`` reads it.

README.md                         the card, with a configuration a table; the default one is "queries"
data/TABLE/SPLIT-00000-of-....parquet
build.json                        settings, versions, counts, cost
videos/                           only where asked for: annotations are shared without other people's videos
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kframes_training.rows import Row
from kframes_training.sources.peakclips.cache import write_atomically
from kframes_training.sources.peakclips.media import Source
from kframes_training.sources.peakclips.pipeline import TABLES, Tables

ROWS_A_FILE = 50_000
_CAPTIONED = pa.list_(pa.struct([("start", pa.float64()), ("end", pa.float64()), ("caption", pa.string())]))
_CLIPS = pa.list_(
    pa.struct([("start", pa.float64()), ("end", pa.float64()), ("priority", pa.string()), ("reason", pa.string())])
)
_SCORES = pa.list_(pa.float64())
_TRAINING = [
    ("video_id", pa.string()),
    ("duration", pa.float64()),
    ("task", pa.string()),
    ("query", pa.string()),
    ("start", pa.float64()),
    ("end", pa.float64()),
    ("clips", _CLIPS),
    ("answer", pa.string()),
]
SCHEMAS: dict[str, pa.Schema] = {
    "videos": pa.schema(
        [
            ("video_id", pa.string()),
            ("duration", pa.float64()),
            ("caption", pa.string()),
            ("chapters", _CAPTIONED),
            ("scenes", _CAPTIONED),
            ("file", pa.string()),
            ("bytes", pa.int64()),
            ("sha256", pa.string()),
            ("licence", pa.string()),
        ]
    ),
    "queries": pa.schema(
        [
            ("video_id", pa.string()),
            ("query", pa.string()),
            ("kind", pa.string()),
            ("scores", _SCORES),
            ("clips", _CLIPS),
            ("caption_scores", _SCORES),
            ("similarities", _SCORES),
        ]
    ),
    "questions": pa.schema(
        [
            ("video_id", pa.string()),
            ("question", pa.string()),
            ("kind", pa.string()),
            ("options", pa.list_(pa.string())),
            ("answer", pa.int64()),
            ("evidence", pa.list_(pa.list_(pa.float64()))),
        ]
    ),
    "stage1": pa.schema(_TRAINING),
    "stage2": pa.schema(_TRAINING),
    "errors": pa.schema(
        [(name, pa.string()) for name in ("video_id", "file", "step", "item", "kind", "message", "answer")]
    ),
}


def write(folder: Path, tables: Tables, about: Mapping[str, Any], split: str = "train") -> None:
    """Write all tables, the card and ``build.json``. Files of an earlier build of the same split are replaced.

    Args:
        folder: of the data set; other splits in it stay.
        tables: rows by table.
        about: for ``build.json``: settings, versions, cost ...
        split: name of the split.
    """
    for table in TABLES:
        place = folder / "data" / table
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob(f"{split}-*.parquet"):
            old.unlink()
        rows = tables[table]
        parts = [rows[i : i + ROWS_A_FILE] for i in range(0, len(rows), ROWS_A_FILE)] or [[]]
        for number, part in enumerate(parts):
            file = place / f"{split}-{number:05}-of-{len(parts):05}.parquet"
            with pq.ParquetWriter(file, SCHEMAS[table]) as writer:
                if part:  # an empty table has no row group: datasets cannot read one of no rows
                    writer.write_table(pa.Table.from_pylist(part, SCHEMAS[table]))
    write_atomically(folder / "build.json", {"split": split, "counts": {t: len(tables[t]) for t in TABLES}, **about})
    (folder / "README.md").write_text(_card(folder, tables, about), encoding="utf-8")


def read(folder: str | Path, table: str, split: str | None = None) -> list[Row]:
    """The rows of a table.

    Raises:
        FileNotFoundError: the folder has no such table.
    """
    files = sorted((Path(folder) / "data" / table).glob(f"{split or '*'}-*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"{folder} has no table {table!r}; make it with: kframes peakclips build VIDEOS --out {folder}"
        )
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def copy_videos(folder: Path, sources: Sequence[Source]) -> None:
    """Put the videos themselves into the data set, by their own names, unless they are there already."""
    place = folder / "videos"
    place.mkdir(parents=True, exist_ok=True)
    for source in sources:
        target = place / f"{source.video_id}{Path(source.path).suffix}"
        if source.bytes and not (target.is_file() and target.stat().st_size == source.bytes):
            shutil.copyfile(source.path, target)


def _card(folder: Path, tables: Tables, about: Mapping[str, Any]) -> str:
    splits = sorted({file.name.split("-")[0] for file in folder.glob("data/videos/*.parquet")})
    lines = []
    for table in ("queries", *(name for name in TABLES if name != "queries")):
        lines += [f"- config_name: {table}", *(["  default: true"] if table == "queries" else []), "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: data/{table}/{split}-*.parquet"]
    videos = tables["videos"]
    licences = sorted({video["licence"] or "not stated" for video in videos})
    counts = "\n".join(f"| {table} | {len(tables[table])} |" for table in TABLES)
    listed = "\n".join(f"| {v['video_id']} | {v['file']} | {v['bytes']} | `{v['sha256']}` |" for v in videos[:1000])
    more = f"\n\nand {len(videos) - 1000} more: see the table `videos`." if len(videos) > 1000 else ""
    template = Template((Path(__file__).parent / "card.md").read_text(encoding="utf-8"))
    return template.substitute(
        configs="\n".join(lines),
        counts=counts,
        hours=f"{sum(video['duration'] for video in videos) / 3600:.1f}",
        annotator=about.get("annotator", ""),
        similarity=about.get("similarity", "none"),
        settings=json.dumps(about.get("settings", {}), sort_keys=True),
        licences="; ".join(licences),
        sources=listed + more,
    )
