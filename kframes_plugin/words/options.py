"""Where the words of a video come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from kframes_plugin.text import quoted

if TYPE_CHECKING:
    from PIL import Image

Spoken = tuple[float, float, str]  # start and end in seconds, and the words
Transcribe = Callable[[str], Iterable[Spoken]]  # path of a video -> what is said, seconds from the start of its sound
ReadText = Callable[["Image.Image"], str]
Transcript = str | os.PathLike[str] | Iterable[Spoken] | Transcribe | None


class WordArguments(TypedDict, total=False):
    """The keyword arguments of :class:`WordOptions`, as ``KFrames``, ``select`` and ``open`` take them."""

    transcript: Transcript
    language: str | None
    ocr: bool | ReadText


@dataclass(frozen=True)
class WordOptions:
    """Where the words of a video come from.

    Attributes:
        transcript: "auto": subtitles inside the file, else a subtitle file next to it (the video's name, ".srt",
            ".vtt" or ".ass"; a language may stand between, as in "match.en.srt"). A path: that subtitle file, on the
            clock of players, which starts with the sound. A list of (start, end, text), seconds from the first frame.
            A callable (path) -> such a list, with seconds from the start of the sound, as speech recognisers return
            it. None: no words.
        ocr: also read on-screen text, in candidates that changed, with the extra ``ocr``; or a callable: picture
            -> its text, "" where it has none.
        language: of the subtitles, "en", "eng" or "English"; None: what the file marks as its own, else the first.
    """

    transcript: Transcript = "auto"
    language: str | None = None
    ocr: bool | ReadText = False

    def changed(self, words: Mapping[str, Any]) -> WordOptions:
        """The same with other words.

        Raises:
            TypeError: an unknown argument, or an invalid value.
        """
        known = [item.name for item in fields(self)]
        for name in words:
            if name not in known:
                raise TypeError(f"unknown argument {quoted(name)}; known for words are {', '.join(known)}")
        return replace(self, **words)

    def __post_init__(self) -> None:
        if not (self.language is None or isinstance(self.language, str)):
            raise TypeError(f'language must be a text such as "en", or None; got {quoted(self.language)}')
        if not (isinstance(self.ocr, bool) or callable(self.ocr)):
            raise TypeError(f"ocr must be True, False or a function: picture -> text; got {quoted(self.ocr)}")
        given = self.transcript
        if given is not None and not callable(given) and not isinstance(given, str | os.PathLike):
            if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
                raise TypeError(
                    'transcript must be "auto", a path, a list of (start, end, text), a callable or None; '
                    f"got {type(given).__name__}"
                )
            object.__setattr__(self, "transcript", tuple(given))  # an iterator serves one video only
