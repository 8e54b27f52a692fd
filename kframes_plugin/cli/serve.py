"""Commands that serve: mcp for agents, demo for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kframes_plugin import KFramesError
from kframes_plugin.cli.app import MODELS, SERVE, ServerOption, app, load_kframes, read_server, wrong_arguments


@app.command(rich_help_panel=SERVE)
def mcp(
    allowed_paths: Annotated[
        list[Path], typer.Argument(help="Directories of videos that clients may use; no other file is read.")
    ],
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    max_k: Annotated[int, typer.Option(min=1, help="Maximum number of frames per answer.")] = 32,
    long_side: Annotated[int, typer.Option(min=1, help="Long side of the pictures, in pixels.")] = 768,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; chosen automatically by default.")] = None,
    server_option: ServerOption = None,
) -> None:
    """Serve the tool select_video_frames to agents, by the Model Context Protocol over stdin and stdout.

    Example: kframes mcp videos/
    """
    try:
        from kframes_mcp import build_server
    except ImportError as error:
        raise KFramesError(f"cannot serve MCP: {error}; run: pip install 'kframes[mcp]'") from error
    for root in allowed_paths:
        if not root.is_dir():
            raise typer.BadParameter(f"{root} is not a directory")
    kframes = load_kframes(model, server_option, device=device)
    build_server(kframes=kframes, allowed_paths=allowed_paths, max_k=max_k, long_side=long_side).run("stdio")


@app.command(rich_help_panel=SERVE)
def demo(
    answerer: Annotated[
        str | None,
        typer.Option(help="The model that answers questions: http(s)://HOST/v1#MODEL, or a transformers id."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the first free port from 7860 on.")
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines connect and upload videos.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    answerer_option: ServerOption = None,
) -> None:
    """Try kframes in the browser: choose a video, say what to look for, see the report.

    Example: kframes demo
    """
    try:
        from kframes_demo import build_demo, launch
    except ImportError as error:
        raise KFramesError(f"cannot show the demo: {error}; run: pip install 'kframes[demo]'") from error
    from kframes_plugin.answering import load_answerer

    with wrong_arguments(ValueError):
        asked = None if answerer is None else load_answerer(answerer, server=read_server(answerer_option))
    launch(build_demo(answerer=asked), port=port, host=host, open_browser=browser)
