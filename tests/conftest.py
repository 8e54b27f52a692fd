"""Fixtures that many tests share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

# Real clips lie beside the checkout, never in it; KFRAMES_TEST_VIDEOS names another place.
SHARED_VIDEOS = Path(os.environ.get("KFRAMES_TEST_VIDEOS", Path(__file__).resolve().parents[2] / "shared" / "videos"))


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Folder of real clips beside the checkout (never part of the project)."""
    if not (SHARED_VIDEOS / "dev" / "MANIFEST.json").is_file():
        pytest.skip(f"the folder of real test clips is not here: {SHARED_VIDEOS}")
    return SHARED_VIDEOS


@pytest.fixture(scope="session")
def dev_manifest(shared_videos: Path) -> dict[str, Any]:
    """The MANIFEST of the real clips: sources, traits, cuts, queries."""
    manifest: dict[str, Any] = json.loads((shared_videos / "dev" / "MANIFEST.json").read_text(encoding="utf-8"))
    return manifest
