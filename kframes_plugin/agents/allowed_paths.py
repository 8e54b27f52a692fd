"""Which videos a stranger may name. A language model chooses the argument of a tool, so it may only name files under
directories that its owner chose, and no URL unless its host was allowed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from kframes_plugin.errors import VideoError
from kframes_plugin.text import printable, quoted
from kframes_plugin.video.sources import is_url
from kframes_plugin.video.suffixes import SUFFIXES

EXAMPLES = 8  # file names in a message
LOOKED_AT = 2000  # entries of the directories, at most, in search of them


class AllowedPaths:
    """Directories whose files may be named, and hosts whose URLs may.

    A path is resolved with all its symbolic links first and must then lie in a directory; only regular files are
    given out, and by their resolved path. Where others may write to the directories while a tool runs, they could
    swap a file for a link in between: give them directories that they cannot change.

    Args:
        directories: at least one, or at least one host.
        hosts: names of hosts ("videos.example.org") whose http(s) URLs are allowed. A host is trusted wholly,
            redirects included, so list none that would fetch an address for others.

    Raises:
        ValueError: neither directories nor hosts, or something that is no directory.
    """

    def __init__(self, directories: Iterable[str | os.PathLike[str]], hosts: Iterable[str] = ()) -> None:
        if isinstance(directories, str | os.PathLike):
            raise ValueError(
                f"allowed_paths must be a list of directories; got {directories!r}, write [{directories!r}]"
            )
        if isinstance(hosts, str):
            raise ValueError(f"hosts must be a list of names; got {hosts!r}, write [{hosts!r}]")
        self.directories = tuple(Path(os.path.realpath(directory)) for directory in directories)
        self.hosts = frozenset(host.lower() for host in hosts)
        if not self.directories and not self.hosts:
            raise ValueError("allowed_paths must name at least one directory whose videos may be read; got none")
        for directory in self.directories:
            if not directory.is_dir():
                raise ValueError(f"allowed_paths must be directories; {directory} is not one")

    def resolve(self, video: str) -> str:
        """The resolved path of an allowed file, or an allowed URL.

        Raises:
            VideoError: not allowed or not there; the message says what may be named, and nothing about what else
                is on this machine.
        """
        if not isinstance(video, str):
            raise VideoError(f"{quoted(video)} is not a path. {self._advice()}")
        if "://" in video or is_url(video):
            return self._url(video)
        for directory in self.directories:
            path = self._inside(directory, video)
            if path is None:
                continue
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise VideoError(f"{quoted(video)} is not a regular file. {self._advice()}")
            return path
        raise VideoError(f"{quoted(video)} is not a file that this tool may read. {self._advice()}")

    def find_videos(self, folder: str) -> dict[str, str] | None:
        """The videos in a folder and all below it, as resolved paths with the names by which they may be named.

        Args:
            folder: relative to the directories; "." is all of them, and "" is none.

        Returns:
            None where no directory holds such a folder. Links that lead outside, hidden folders and files that do not
            look like videos are left out.
        """
        found, is_there = dict[str, str](), False
        if not isinstance(folder, str):
            return None
        for directory in self.directories if folder.strip() and "://" not in folder else ():
            path = self._inside(directory, folder)
            if path is None or not os.path.isdir(path):
                continue
            is_there = True
            for name in self._walk(directory, path):
                found.setdefault(os.path.realpath(directory / name), name)
        return found if is_there else None

    def relative(self, message: str) -> str:
        """A message without the places of the directories on this machine."""
        for directory in self.directories:
            message = message.replace(f"{directory}{os.sep}", "")
        return message

    @staticmethod
    def _inside(directory: Path, video: str) -> str | None:
        """The resolved path of something that is there and inside the directory, else None."""
        try:
            path = os.path.realpath(directory / video)
            if not Path(path).is_relative_to(directory):
                return None
            os.stat(path)
        except (OSError, ValueError):  # not there, no permission, a NUL in the name, too long a name
            return None
        return path

    def _url(self, video: str) -> str:
        try:
            parts = urlsplit(video)
        except ValueError:  # "http://[": no URL at all
            parts = urlsplit("")
        if parts.scheme in ("http", "https") and (parts.hostname or "") in self.hosts:
            return video
        hosts = f" of {', '.join(sorted(self.hosts))}" if self.hosts else ""
        rule = f"URLs other than http(s){hosts}" if hosts else "URLs"
        raise VideoError(f"{quoted(video)} is not allowed: this tool opens no {rule}. {self._advice()}")

    def _advice(self) -> str:
        names = list(self._examples())
        if not names:
            return "Give the path of a video file relative to the tool's directories; they hold none now."
        return f"Give the path of a video file relative to the tool's directories, for example: {', '.join(names)}"

    def _examples(self) -> Iterator[str]:
        found = 0
        for directory in self.directories:
            for name in self._walk(directory, str(directory), LOOKED_AT):
                if found == EXAMPLES:
                    return
                found += 1
                yield printable(name)

    def _walk(self, directory: Path, start: str, most: int | None = None) -> Iterator[str]:
        """Names, relative to a directory, of the videos below a folder in it; at most so many entries are looked at."""
        seen = 0
        for folder, folders, files in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                seen += 1
                if most is not None and seen > most:
                    return
                path = self._inside(directory, os.path.join(folder, name))
                if name.lower().endswith(SUFFIXES) and path is not None and os.path.isfile(path):
                    yield str(Path(folder, name).relative_to(directory))
