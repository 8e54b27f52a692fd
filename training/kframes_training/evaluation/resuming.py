"""What lets a stopped run go on: the records so far, and the proof that they belong to the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kframes_training.evaluation.bench import Record, Settings
from kframes_training.evaluation.contenders import Contender
from kframes_training.evaluation.exam import exam_of
from kframes_training.evaluation.reference_clips import REFERENCE_CLIPS
from kframes_training.sources.synthscenes import SPLITS


def read_records(file: Path) -> list[Record]:
    """The lines of a run so far; one that was cut off is removed from the file."""
    if not file.exists():
        return []
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        with file.open("r+b") as stream:
            stream.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def same_run(file: Path, contenders: Sequence[Contender], settings: Settings) -> None:
    """Keep what a run depends on, and refuse to go on with a run that depended on something else."""
    digests = {
        folder: digest_of(folder) for folder in {c.source for c in contenders if c.source not in REFERENCE_CLIPS}
    }
    now: dict[str, Any] = {
        "split": settings.split,
        "frame_size": settings.frame_size,
        "ks": list(settings.ks),
        "answerer": settings.answerer and digest_of(settings.answerer),
        "language": digest_of_language(settings.split),
    }
    for one in contenders:
        source = digests.get(one.source, one.source)
        now[f"selector {one.name}"] = [source, *one.reads[1:], one.strategy, one.tags]
    now = json.loads(json.dumps(now))
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    changed = [name for name, value in before.items() if name in now and now[name] != value]
    if changed:
        raise ValueError(
            f"{file.parent} holds a run with another {', '.join(changed)}; choose another --out, or delete it"
        )
    file.write_text(json.dumps({**before, **now}, indent=1) + "\n", encoding="utf-8")


def digest_of(folder: str) -> str:
    """Of the weights and settings of a checkpoint."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.safetensors")) + sorted(Path(folder).glob("*.json")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def digest_of_language(split: str) -> str:
    """Of what is asked about the first videos of a split."""
    asked = [exam_of(seed, split) for seed in SPLITS[split][:5]]
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
