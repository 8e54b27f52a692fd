"""Commands on one video: select, export, probe; and models, which lists the models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kframes_plugin.cli.app import (
    CHOOSE,
    MODELS,
    ONE,
    Json,
    ServerOption,
    app,
    check_not_blank,
    load_kframes,
    open_video,
    progress_bar,
    wrong_arguments,
)
from kframes_plugin.text import printable, printable_json, printable_lines, quoted
from kframes_plugin.types import EXPORT_KINDS, FRAME_SIZE, ExportKind, PredictionKind, Strategy

if TYPE_CHECKING:
    from kframes_plugin.keyframes import Progress
    from kframes_plugin.selection import Selection
    from kframes_plugin.words.options import Transcript, WordArguments


@app.command(rich_help_panel=ONE)
def select(
    video: Annotated[str, typer.Argument(help="A video file.")],
    query: Annotated[str, typer.Argument(help="What to look for, in words.", callback=check_not_blank)],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames.")] = 8,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    start: Annotated[str | None, typer.Option(help="Look only after this time: seconds or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="Look only before this time: seconds or 1:30.")] = None,
    within: Annotated[
        list[str] | None, typer.Option(help="Look only in this span: 10-20 or 1:30-2:00; repeatable.")
    ] = None,
    time_words: Annotated[
        bool, typer.Option("--time-words/--no-time-words", help='Read times in the query: "in the first minute".')
    ] = True,
    strategy: Annotated[
        Strategy,
        typer.Option(help="focused: inside the clips; hybrid: dense inside, sparse outside; uniform: evenly spaced."),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the frames, JSON, timeline, contact sheet and report.")
    ] = None,
    as_json: Json = False,
    candidates: Annotated[int | None, typer.Option(min=1, help="Number of frames shown to the selector.")] = None,
    frame_size: Annotated[
        int, typer.Option(min=0, help="Maximum long side of the k frames, in pixels; 0: the size of the video.")
    ] = FRAME_SIZE,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Space frames exactly, instead of taking nearby frames that are cheaper to decode."
        ),
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; chosen automatically by default.")] = None,
    prediction: Annotated[
        PredictionKind | None,
        typer.Option(
            help="How a multimodal model predicts: text (it writes clips), scores (it scores frames; faster), or both."
        ),
    ] = None,
    transcript: Annotated[
        str, typer.Option(help="A subtitle file; auto: in or next to the video; none: ignore words.")
    ] = "auto",
    speech: Annotated[
        str | None, typer.Option(help="Transcribe speech with this Whisper model (small, large-v3 ...).")
    ] = None,
    ocr: Annotated[bool, typer.Option("--ocr", help="Also read on-screen text.")] = False,
    language: Annotated[str | None, typer.Option(help="Language of subtitles and speech: en, de ...")] = None,
    server_option: ServerOption = None,
) -> None:
    """Select k frames of VIDEO for QUERY.

    Example: kframes select match.mp4 "the goal" -k 8 --out out/
    """
    from kframes_plugin.query.read import is_time_alone
    from kframes_plugin.query.spans import join_spans, to_span

    with open_video(video) as opened:  # before the model, so that a wrong path or span is told at once
        with wrong_arguments():
            spans = join_spans(map(to_span, within or ()), start, end, opened.duration, opened.path)
        if time_words and is_time_alone(query, spans, opened.duration, opened.timestamps):
            model, prediction, server_option = "uniform", None, None  # no model is asked, so none is loaded
        options: dict[str, Any] = {"prediction": prediction, "candidates": candidates, "strategy": strategy}
        options |= {"frame_size": frame_size or None, "exact": exact}
        kframes = load_kframes(model, server_option, device=device, time_words=time_words, **options)
        with wrong_arguments(), progress_bar() as progress:
            said = _transcript(transcript, speech, language, progress)
            words: WordArguments = {"transcript": said, "language": language, "ocr": ocr}
            selection = kframes.select(opened, query, k, within=spans, progress=progress, **words)
        if out is not None:  # while the video is open: the report shows frames that it keeps
            selection.save(out, report=True)
            typer.echo(printable(f"kframes: wrote {len(selection.frames)} frames and report.html to {out}"), err=True)
    typer.echo(printable_json(selection.to_dict()) if as_json else _text(selection))


def _check_kinds(kinds: list[str]) -> list[str]:
    for kind in kinds:
        if kind not in EXPORT_KINDS:
            raise typer.BadParameter(f"{quoted(kind)} is not one of {', '.join(EXPORT_KINDS)}")
    return kinds


@app.command(rich_help_panel=ONE)
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that `kframes select ... --out` wrote.")],
    kinds: Annotated[
        list[str],
        typer.Argument(help=f"What to write: {', '.join(EXPORT_KINDS)}.", metavar="KIND...", callback=_check_kinds),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; default: the folder of the selection.")
    ] = None,
    video: Annotated[str | None, typer.Option(help="Path of the video, if it has moved.")] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="mp4: cut at the exact frame and re-encode; default: copy from the I-frame before."
        ),
    ] = False,
) -> None:
    """Write the selection in FOLDER as files for other programs, and print their names.

    mp4, gif, webp: one file per clip. csv: two tables. edl, otio: timelines for editors. vtt: chapters. label-studio.

    Example: kframes export out/ mp4 otio --out cuts/
    """
    from kframes_plugin.export import export as write
    from kframes_plugin.selection import Selection

    selection = Selection.load(folder)
    for kind in cast(list[ExportKind], kinds):
        for path in write(selection, kind, folder if out is None else out, video=video, exact=exact):
            typer.echo(printable(str(path)))


@app.command(rich_help_panel=ONE)
def probe(video: Annotated[str, typer.Argument(help="A video file.")], as_json: Json = False) -> None:
    """Say what VIDEO contains: true duration, frames, codec, and anything unusual about it.

    Example: kframes probe match.mp4
    """
    with open_video(video) as opened:
        found: dict[str, Any] = {
            "video": opened.path,
            "duration": opened.duration,
            "frames": len(opened.timestamps),
            "frame_rate": opened.frame_rate,
            "width": opened.width,
            "height": opened.height,
            "rotation": opened.rotation,
            "offset": opened.offset,
            "hdr": opened.hdr or "no",
            "interlaced": opened.interlaced,
            "alpha": opened.alpha,
            "codec": opened.codec,
            "container": opened.container,
            "notes": [asdict(note) for note in opened.notes],
        }
    if as_json:
        typer.echo(printable_json(found))
        return
    for name, value in found.items():
        told = "; ".join(note["text"] for note in value) if name == "notes" else value
        typer.echo(f"{name:12}{printable(str(told))}")


@app.command(rich_help_panel=CHOOSE)
def models(as_json: Json = False) -> None:
    """List the models with a short name: what each needs, and which this machine can run.

    Other models go by a long name: openclip:ARCH/WEIGHTS, st:ORG/MODEL (sentence-transformers), a transformers id.

    Example: kframes models
    """
    from kframes_plugin.selectors.models import describe, find_downloads, read_machine, write_table

    machine, folder = read_machine(), find_downloads()
    typer.echo(printable_json(describe(machine, folder)) if as_json else printable_lines(write_table(machine, folder)))


def _transcript(transcript: str, speech: str | None, language: str | None, progress: Progress) -> Transcript:
    """Where the words come from."""
    if speech is not None:
        from kframes_plugin.words.speech import Speech

        return Speech(speech, language=language, progress=progress)
    return None if transcript == "none" else transcript


def _text(selection: Selection) -> str:
    """Clips, then frames, one a line, columns apart by tabs."""
    lines = []
    for clip in selection.clips:
        score = "" if clip.score is None else f"{clip.score:.3f}"
        lines.append(f"clip\t{clip.start:.3f}\t{clip.end:.3f}\t{clip.priority}\t{score}\t{printable(clip.reason)}")
    return "\n".join([*lines, *(f"frame\t{time:.3f}" for time in selection.timestamps)])
