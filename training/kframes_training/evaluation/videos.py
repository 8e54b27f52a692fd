"""The held-out videos as real H.264 files, kept in a folder."""

from __future__ import annotations

import hashlib
import inspect
import os
from pathlib import Path

from kframes_training.sources.synthscenes import Video, draw, video_file, write_video

SIZE, FPS = (192, 144), 4  # pixels, frames a second


def video_on_disk(video: Video, folder: Path) -> Path:
    """The file of a video, written when it is not there yet.

    Its name holds a digest of the scenes and of the code that draws and encodes them, so that no file outlives a
    change of either. Several processes may write into the same folder.
    """
    path = folder / f"{video.id}-{_digest(video)}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.mp4")
        write_video(video, unfinished, size=SIZE, fps=FPS)
        unfinished.replace(path)
    return path


def _digest(video: Video) -> str:
    code = "".join(inspect.getsource(inspect.getmodule(part) or part) for part in (draw, video_file))
    return hashlib.sha256(f"{video!r} {SIZE} {FPS} {code}".encode()).hexdigest()[:12]
