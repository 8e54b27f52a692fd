"""Fixtures that many tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SHARED_VIDEOS = Path(__file__).resolve().parents[2] / "shared" / "videos"


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Folder of real clips beside the checkout (never part of the project)."""
    if not (SHARED_VIDEOS / "dev" / "MANIFEST.json").is_file():
        pytest.skip("the folder of real test clips (../shared/videos) is not here")
    return SHARED_VIDEOS


@pytest.fixture(scope="session")
def dev_manifest(shared_videos: Path) -> dict[str, Any]:
    """The MANIFEST of the real clips: sources, traits, cuts, queries."""
    manifest: dict[str, Any] = json.loads((shared_videos / "dev" / "MANIFEST.json").read_text(encoding="utf-8"))
    return manifest
