"""kframes for agents over the Model Context Protocol: ``kframes mcp DIRECTORY`` serves one tool over stdio.

>>> from kframes_mcp import build_server  # doctest: +SKIP
>>> build_server(kframes=kf, allowed_paths=["videos"]).run()  # doctest: +SKIP
"""

import mcp  # noqa: F401 - the gate: without the host there is no integration

from kframes_mcp.server import build_server

__all__ = ["build_server"]
