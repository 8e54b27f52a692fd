"""Write a file whole or not at all."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from kframes_plugin.errors import KFramesError
from kframes_plugin.text import printable


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text or bytes beside its place, then move it there; folders are made if missing.

    Raises:
        KFramesError: it cannot be written: where and why.
    """
    draft = path.parent / f".kframes-{uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise KFramesError(f"{printable(str(path))}: cannot be written ({error.strerror or error})") from error
