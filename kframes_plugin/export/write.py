"""A selection and a kind of file -> files in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kframes_plugin.errors import KFramesError, VideoError
from kframes_plugin.export.animation import animate
from kframes_plugin.export.chapters import webvtt
from kframes_plugin.export.label_studio import label_studio
from kframes_plugin.export.media import Media, media_of
from kframes_plugin.export.mp4 import copy_clip, encode_clip
from kframes_plugin.export.tables import clips_csv, frames_csv
from kframes_plugin.export.timelines import edl, otio
from kframes_plugin.output.whole import draft_of, write_whole
from kframes_plugin.selection import Selection
from kframes_plugin.text import quoted, shortened
from kframes_plugin.types import EXPORT_KINDS, Clip, ExportKind
from kframes_plugin.video import OpenVideo

_TEXTS: Mapping[str, tuple[str, Callable[[Selection, Media], str]]] = {
    "edl": ("clips.edl", edl),
    "otio": ("clips.otio", otio),
    "vtt": ("chapters.vtt", webvtt),
    "label-studio": ("label_studio.json", label_studio),
}
_SAME = 2e-3  # seconds between the time of a frame that was saved and that of the video
_LENGTHS = 1.0  # seconds between the lengths; damage that is seen late makes a video shorter


def export(
    selection: Selection,
    kind: ExportKind,
    folder: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    exact: bool = False,
) -> list[Path]:
    """Write a selection as files of another program. Each is written whole or not at all.

    Args:
        selection: as ``select`` gives it, or ``Selection.load``.
        kind: "mp4", "gif" or "webp": a file a clip, by its number, best first. "csv": ``clips.csv`` and
            ``frames.csv``. "edl" (CMX 3600), "otio" (OpenTimelineIO): the clips in time order, cut together.
            "vtt": WebVTT chapters. "label-studio": a task with predictions.
        folder: where to, made if missing; files of the same name are replaced, others left alone.
        video: where the video lies now; None: where it was. Needed for all kinds but "csv".
        exact: of "mp4": from the first frame of the clip to its last, encoded anew (H.264, AAC). Else its packets are
            copied, which is quick and loses nothing, but begins at the I-frame before the clip.

    Returns:
        The files, in the order of the clips.

    Raises:
        ValueError: an unknown kind.
        KFramesError: there are no clips, or a file cannot be written.
        VideoError: the video cannot be read, is another one, or its streams cannot be copied into MP4.
    """
    out = Path(folder)
    if kind not in EXPORT_KINDS:
        raise ValueError(f"kind must be one of {', '.join(EXPORT_KINDS)}; got {quoted(kind)}")
    if kind == "csv":
        tables = {out / "clips.csv": clips_csv(selection), out / "frames.csv": frames_csv(selection)}
        for path, text in tables.items():
            write_whole(path, text)
        return list(tables)
    if not selection.clips:
        raise KFramesError(f"the selection has no clips, so there is no {kind} to write; csv holds its frames")
    with _opened(selection, video) as opened:
        if kind in _TEXTS:
            name, write = _TEXTS[kind]
            write_whole(out / name, write(selection, media_of(opened)))
            return [out / name]
        return [_write_clip(opened, clip, kind, exact, out, place) for place, clip in enumerate(selection.clips, 1)]


def _write_clip(video: OpenVideo, clip: Clip, kind: ExportKind, exact: bool, out: Path, number: int) -> Path:
    path = out / f"clip_{number:03d}.{kind}"
    if kind == "mp4":
        with draft_of(path) as draft:
            (encode_clip if exact else copy_clip)(video, clip, draft)
    else:
        write_whole(path, animate(video, clip, kind))
    return path


@contextmanager
def _opened(selection: Selection, path: str | os.PathLike[str] | None) -> Iterator[OpenVideo]:
    """The video, and no other one than that of the selection."""
    with selection.opened(path) as video:
        if video.file is None:
            raise VideoError("these frames came from memory, not from a file: only csv can be written")
        times = np.array(selection.timestamps)
        ranks = np.searchsorted(video.timestamps, times - _SAME).clip(max=len(video.timestamps) - 1)
        apart = np.abs(video.timestamps[ranks] - times).max(initial=0.0)
        if apart > _SAME or abs(video.duration - selection.duration) > _LENGTHS:
            raise VideoError(f"{shortened(video.path)}: is not the video of the selection; name the right one")
        if late := [clip.start for clip in selection.clips if clip.start >= video.duration]:
            raise VideoError(f"a clip starts at {late[0]:.1f} s, but the video ends at {video.duration:.1f} s")
        yield video
