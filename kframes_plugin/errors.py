"""Every error kframes raises on purpose.

    KFramesError
    ├── VideoError      the video cannot be read: which file, what is wrong, what to do
    ├── SelectorError   the selector cannot be loaded or cannot answer
    ├── AnswererError   the model that answers from the frames cannot be loaded or cannot answer
    └── SpanError       the seconds asked for are invalid, or hold none of the video; also a ValueError

Wrong arguments are otherwise plain ValueError and TypeError, raised before any work is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kframes_plugin.text import printable


class KFramesError(Exception):
    """Base of all errors that kframes raises on purpose. The message is one line that any terminal may show."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(printable(one) if isinstance(one, str) else one for one in told))


class VideoError(KFramesError):
    """A video cannot be read. The message names the file, what is wrong and what to do."""


class SelectorError(KFramesError):
    """A selector cannot be loaded or cannot answer. The message says why and what to do."""


class AnswererError(KFramesError):
    """An answering model cannot be loaded or cannot answer. The message says why and what to do."""


class SpanError(KFramesError, ValueError):
    """The seconds asked for are invalid: not times, an end before its start, or none of the video lies in them."""


@contextmanager
def only_selector_errors(what: str) -> Iterator[None]:
    """Raise a SelectorError of one line in place of whatever a library raises: weights, templates and files of others
    bring out errors of torch, jinja, tokenizers, PIL and more.

    Args:
        what: begins the message, as "the model 'a/b' cannot answer".
    """
    try:
        yield
    except KFramesError:
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0][:300]
        raise SelectorError(f"{what}: {said or type(error).__name__}") from error


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Say in one line what to install where a package of an extra is imported and missing.

    Args:
        extra: one of pyproject's optional dependencies, as "torch".
        what: what needs it, as "a transformers model"; begins the message.

    Raises:
        SelectorError: a package that is not of kframes is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package.startswith("kframes"):
            raise
        raise SelectorError(
            f'{what} needs {package}, which is not installed: pip install "kframes[{extra}]"'
        ) from error
