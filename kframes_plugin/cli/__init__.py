"""The command ``kframes``. Results go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 the video or the selector failed (the message says what to do), 2 wrong arguments.
"""

from kframes_plugin.cli import one_video, ask, many_videos, serve, training  # isort: skip  # noqa: F401 - the order of the help
from kframes_plugin.cli.app import app, main

__all__ = ["app", "main"]
