"""Write a file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from kframes_plugin.errors import KFramesError
from kframes_plugin.text import printable


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text or bytes beside its place, then move it there; folders are made if missing.

    Raises:
        KFramesError: it cannot be written: where and why.
    """
    with draft_of(path) as draft:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give a path beside a file's place, to be written in the block, and move it there at its end.

    Folders are made if missing. Where the block fails, the draft is removed and an earlier file stays.

    Raises:
        KFramesError: it cannot be written: where and why.
    """
    draft = path.parent / f".kframes-{uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise KFramesError(f"{printable(str(path))}: cannot be written ({error.strerror or error})") from error
