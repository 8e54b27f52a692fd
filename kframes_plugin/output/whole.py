"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from kframes_plugin.errors import KFramesError
from kframes_plugin.text import printable


def write_whole(path: Path, text: str) -> None:
    """Write a text beside its place, then move it there; folders are made if missing.

    Raises:
        KFramesError: it cannot be written: where and why.
    """
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=".kframes-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except OSError as error:
        if draft is not None:
            Path(draft).unlink(missing_ok=True)
        raise KFramesError(f"{printable(str(path))}: cannot be written ({error.strerror or error})") from error


def _umask() -> int:
    """The process's mask for new files, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
