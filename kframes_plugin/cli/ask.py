"""The command ``ask``: select, then answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kframes_plugin.cli.app import (
    MODELS,
    ONE,
    Json,
    ServerOption,
    app,
    check_not_blank,
    load_kframes,
    open_video,
    progress_bar,
    read_server,
    wrong_arguments,
)
from kframes_plugin.text import printable_json, printable_lines


@app.command(rich_help_panel=ONE)
def ask(
    video: Annotated[str, typer.Argument(help="A video file.")],
    question: Annotated[str, typer.Argument(help="The question to answer.", callback=check_not_blank)],
    answerer: Annotated[
        str, typer.Option(help="The model that answers: http(s)://HOST/v1#MODEL, a transformers id or a directory.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames that the answerer sees.")] = 8,
    model: Annotated[str, typer.Option(help=f"The model that selects the frames: {MODELS}")] = "lite",
    query: Annotated[str | None, typer.Option(help="What to look for; default: the question.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of a multiple-choice question; repeatable.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Also answer from k evenly spaced frames.")] = False,
    said: Annotated[bool, typer.Option("--said", help="Tell the answerer what is said near the frames.")] = False,
    start: Annotated[str | None, typer.Option(help="Look only after this time: seconds or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="Look only before this time: seconds or 1:30.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the selected frames and the report, as with select.")
    ] = None,
    as_json: Json = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; chosen automatically by default.")] = None,
    server_option: ServerOption = None,
    answerer_option: ServerOption = None,
) -> None:
    """Answer QUESTION about VIDEO from the k frames that matter. `--compare` also answers from evenly spaced frames.

    Example: kframes ask match.mp4 "Who scored?" --answerer http://localhost:8000/v1#qwen --compare
    """
    from kframes_plugin.answering import answer_question, load_answerer
    from kframes_plugin.prompt.choices import write_question

    def show(piece: str) -> None:
        typer.echo(printable_lines(piece), nl=False)

    with open_video(video) as opened:  # before the models, so that a wrong path is told at once
        with wrong_arguments(ValueError):
            write_question(question, option or ())
            asked = load_answerer(answerer, device=device, server=read_server(answerer_option))
        kframes = load_kframes(model, server_option, device=device)
        with wrong_arguments(), progress_bar() as progress:
            looked_for = question if query is None else query
            selection = kframes.select(opened, looked_for, k, start=start, end=end, progress=progress)
        told: dict[str, Any] = {"options": option or (), "transcript": said, "compare": compare}
        answer = answer_question(selection, question, asked, **told, on_text=None if as_json else show)
    if out is not None:
        selection.save(out, report=True)
    if as_json:
        typer.echo(printable_json(answer.to_dict()))
        return
    typer.echo(printable_lines(f"\n\n{answer.rests_on()}"))
    if answer.uniform is not None:
        typer.echo(
            f"\nFrom evenly spaced frames:\n{printable_lines(answer.uniform.text)}\n\n{answer.uniform.rests_on()}"
        )
