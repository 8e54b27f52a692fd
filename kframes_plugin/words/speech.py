"""Speech -> lines, by faster-whisper (extra ``speech``) or another recogniser of the same interface."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.errors import needs_extra
from kframes_plugin.text import printable
from kframes_plugin.video.opening import open_container
from kframes_plugin.video.options import VideoOptions
from kframes_plugin.words.options import Spoken

log = logging.getLogger("kframes")

VERSION = "kframes.speech/1"


class Segment(Protocol):
    """What a recogniser says of one line; seconds from the start of the sound."""

    start: float
    end: float
    text: str


class About(Protocol):
    """What a recogniser says of the whole sound, in seconds."""

    duration: float


Recognise = Callable[[str, str | None], tuple[Iterable[Segment], About]]  # path and language


class Speech:
    """What is said in a video, for ``transcript=``: a callable (path) -> lines.

    Args:
        model: name or folder of a Whisper model as faster-whisper knows it ("small", "large-v3" ...); its weights come
            from the hub on first use.
        language: code of two letters; None: the recogniser finds out.
        device: "cpu", "cuda" or "auto".
        keep: write the lines beside the video (``match.mp4.speech.json``) and read them the next time, as long as the
            video has the same size and date.
        transcribe: another recogniser: (path, language) -> (segments, about), as ``WhisperModel.transcribe``.
        progress: called as ``progress("speech", done, total)`` in seconds of sound.

    Raises:
        SelectorError: when called: faster-whisper is not installed.
    """

    def __init__(
        self,
        model: str = "small",
        *,
        language: str | None = None,
        device: str = "auto",
        keep: bool = False,
        transcribe: Recognise | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.model, self.language, self.device, self.keep = model, language, device, keep
        self.progress = progress
        self._transcribe = transcribe

    def __call__(self, path: str) -> list[Spoken]:
        """The lines, seconds from the start of the sound; none where the file has no sound."""
        file = Path(f"{path}.speech.json")
        key = self._key(path) if self.keep else {}
        if self.keep and (kept := _load(file, key)) is not None:
            return kept
        if self._transcribe is None:
            self._transcribe = _load_whisper(self.model, self.device)
        if not _has_sound(path):
            return []
        segments, about = self._transcribe(path, self.language)
        lines = []
        for segment in segments:  # the work is done here, segment by segment
            stop_if_cancelled()
            lines.append((float(segment.start), float(segment.end), segment.text.strip()))
            if self.progress is not None:
                self.progress("speech", min(int(segment.end), int(about.duration)), int(about.duration))
        if self.keep:
            _keep(file, json.dumps({**key, "lines": lines}, ensure_ascii=False, indent=1) + "\n")
        return lines

    def _key(self, path: str) -> dict[str, Any]:
        """What the kept lines hold for."""
        stat = os.stat(path)
        return {
            "schema": VERSION,
            "model": self.model,
            "language": self.language,
            "size": stat.st_size,
            "changed": stat.st_mtime_ns,
        }


def _keep(file: Path, text: str) -> None:
    """Write the lines, whole or not at all; where that fails they are recognised anew the next time."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        try:
            draft.write_text(text, encoding="utf-8", errors="backslashreplace")
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: cannot be written (%s)", printable(str(file)), error.strerror or error)


def _load(file: Path, key: dict[str, Any]) -> list[Spoken] | None:
    """The kept lines; None where there are none, or for another video or model."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        lines = [(float(start), float(end), str(text)) for start, end, text in kept.pop("lines")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return lines if kept == key else None


def _has_sound(path: str) -> bool:
    with open_container(path, path, VideoOptions().limits) as container:
        return bool(container.streams.audio)


def _load_whisper(model: str, device: str) -> Recognise:
    with needs_extra("speech", "recognising speech"):
        from faster_whisper import WhisperModel
    loaded = WhisperModel(model, device=device)
    return lambda path, language: loaded.transcribe(path, language=language, vad_filter=True)
