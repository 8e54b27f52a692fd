"""Every error kframes raises on purpose.

    KFramesError
    ├── VideoError      the video cannot be read: which file, what is wrong, what to do
    └── SelectorError   the selector cannot be loaded or cannot answer

Wrong arguments are plain ValueError and TypeError, raised before any work is done.
"""


class KFramesError(Exception):
    """Base of all errors that kframes raises on purpose."""


class VideoError(KFramesError):
    """A video cannot be read. The message names the file, what is wrong and what to do."""


class SelectorError(KFramesError):
    """A selector cannot be loaded or cannot answer. The message says why and what to do."""
