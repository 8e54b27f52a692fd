"""Three SynthScenes files, and the data set that the oracle makes of them, for tests of PeakClips."""

from __future__ import annotations

from pathlib import Path

from kframes_training.sources.peakclips.building import Plan, build
from kframes_training.sources.peakclips.media import sources
from kframes_training.sources.peakclips.pipeline import Tables
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.synthscenes import sample_video, write_video

SEEDS = (2_000_007, 2_000_006, 2_000_020)  # of about a minute, with fades
SMALL = Settings(frame_size=64)


def write_films(folder: Path) -> Path:
    """The files, small, in a folder."""
    for seed in SEEDS:
        write_video(sample_video(seed), folder / f"synthscenes-{seed}.mp4", size=(96, 72))
    return folder


def build_labels(films: Path, folder: Path) -> tuple[Path, Tables]:
    """The data set in a folder, and its tables."""
    return folder, build(sources([films], "CC0"), folder, Plan("oracle", folder / ".work", settings=SMALL))
