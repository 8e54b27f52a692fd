"""Fixtures that many tests share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

# Several workers share the cores; threads that spin beside each other are ten times slower. Before torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# The real clips are no part of the project; tests that need them skip where KFRAMES_TEST_VIDEOS does not name them.
REAL_CLIPS = Path(os.environ.get("KFRAMES_TEST_VIDEOS", "none"))


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Folder of the real clips: dev/ and broken/, each with a MANIFEST.json."""
    if not (REAL_CLIPS / "dev" / "MANIFEST.json").is_file():
        pytest.skip(f"set KFRAMES_TEST_VIDEOS to the folder of the real clips; there are none in {REAL_CLIPS}")
    return REAL_CLIPS


@pytest.fixture(scope="session")
def dev_manifest(shared_videos: Path) -> dict[str, Any]:
    """The MANIFEST of the real clips: sources, traits, cuts, queries."""
    manifest: dict[str, Any] = json.loads((shared_videos / "dev" / "MANIFEST.json").read_text(encoding="utf-8"))
    return manifest
