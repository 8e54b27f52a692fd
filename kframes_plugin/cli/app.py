"""What the commands share: the program, its exit codes, options, bars, errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kframes_plugin import KFramesError, __version__
from kframes_plugin.errors import SpanError
from kframes_plugin.text import printable_lines

if TYPE_CHECKING:
    from kframes_plugin.keyframes import Progress
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.video import OpenVideo

# Groups of commands in the help.
ONE, CHOOSE, MANY = "One video", "Choosing a model", "Many videos"
SERVE, TRAIN = "Agents and the browser", "Evaluation and training"

app = typer.Typer(
    name="kframes",
    help="Query-aware key clips and any-k keyframes from long videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODELS = (
    "A name from `kframes models`, openclip:ARCH/WEIGHTS, st:ORG/MODEL, http(s)://HOST/v1#MODEL, a transformers id or "
    "a directory."
)
ServerOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE for a model behind a URL: max_tokens=4000, options.top_p=0.9; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def main() -> None:
    """Entry point: maps errors to exit codes."""
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("kframes").setLevel(logging.INFO)
    try:
        app()
    except KFramesError as error:
        print(f"kframes: {printable_lines(str(error))}", file=sys.stderr)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Query-aware key clips and any-k keyframes from long videos."""
    if show:
        typer.echo(f"kframes {__version__}")


def check_not_blank(query: str) -> str:
    if not query.strip():
        raise typer.BadParameter("must not be empty; say in words what to look for")
    return query


def load_kframes(model: str, server_option: list[str] | None, **options: Any) -> KFrames:
    """The KFrames of a model's name; an option that does not go with it is a wrong argument."""
    from kframes_plugin.kframes import KFrames

    with wrong_arguments(ValueError):
        return KFrames.from_pretrained(model, server=read_server(server_option), **options)


def read_server(texts: list[str] | None) -> dict[str, Any] | None:
    """The options of a server, None where there are none."""
    from kframes_plugin.chat.options import read_options

    with wrong_arguments(ValueError):
        return read_options(texts) if texts else None


@contextmanager
def wrong_arguments(kind: type[ValueError] = SpanError) -> Iterator[None]:
    """Errors of a kind, those of seconds that cannot be at first, are wrong arguments."""
    try:
        yield
    except kind as error:
        raise typer.BadParameter(str(error)) from error


def open_video(video: str) -> OpenVideo:
    """The opened video; a bar shows how far it is where all of it has to be decoded for that."""

    from kframes_plugin.video import OpenVideo

    with progress_bar() as progress:
        return OpenVideo(video, progress=partial(progress, "opening"))


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr, one task a step; silent when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    bars = Bars(console=Console(stderr=True), transient=True)
    tasks: dict[str, Any] = {}

    def progress(step: str, done: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = bars.add_task(step, total=total)
        bars.update(tasks[step], completed=done, total=total)

    with bars:
        yield progress
