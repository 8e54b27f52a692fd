"""How public grounding checkpoints want to be asked: one data file each, with the fields of ``kframes.json``.

A file is named after the checkpoint's id on the hub, "ORG--NAME.json". The ``kframes.json`` in a checkpoint's own
directory wins over it. ``source`` in each says where its facts were read: prompt and times must be those that the model
was trained with. kframes has not run these checkpoints.

Marlin-2B (NemoStation) is left out: its card is behind a gate, and what others write about it (one span, after a
thinking mark that is never closed) is not enough to ask it rightly.
"""

from __future__ import annotations

import json
from pathlib import Path

from kframes_plugin.mllm.checkpoint import CheckpointSettings

FOLDER = Path(__file__).parent


def list_presets() -> dict[str, Path]:
    """The ids of all checkpoints that have a preset, and its file."""
    return {file.stem.replace("--", "/", 1): file for file in sorted(FOLDER.glob("*.json"))}


def find_preset(name: str) -> CheckpointSettings | None:
    """The preset of a checkpoint's id, in whatever case; None: it has none."""
    wanted = name.lower()
    return next((CheckpointSettings.load(file) for id_, file in list_presets().items() if id_.lower() == wanted), None)


def original_name(folder: Path) -> str:
    """The id of a local copy, as the hub's cache names its folder, or its config (``_name_or_path``); else empty."""
    cached = folder.parent.parent.name
    if folder.parent.name == "snapshots" and cached.startswith("models--"):
        return cached.removeprefix("models--").replace("--", "/", 1)
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return str(config.get("_name_or_path", ""))
