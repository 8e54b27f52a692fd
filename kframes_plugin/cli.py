"""The command ``kframes``. Results go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 the video or the selector failed (the message says what to do), 2 wrong arguments.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kframes_plugin import KFramesError, __version__
from kframes_plugin.bulk.requests import Engine
from kframes_plugin.errors import SpanError
from kframes_plugin.text import printable, printable_json, printable_lines, table_row
from kframes_plugin.types import FRAME_SIZE, PredictionKind, Strategy

if TYPE_CHECKING:
    from kframes_plugin.keyframes import Progress
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.selection import Selection
    from kframes_plugin.video import OpenVideo
    from kframes_plugin.words.options import Transcript, WordArguments

app = typer.Typer(
    name="kframes",
    help="Query-aware key clips and any-k keyframes from long videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODELS = (
    "A name of `kframes models`, openclip:ARCH/WEIGHTS, st:ORG/MODEL, http(s)://HOST/v1#MODEL, a transformers id or a "
    "directory."
)
ServerOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE for a model behind a URL: max_tokens=4000, options.top_p=0.9; several times."),
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


def _not_blank(query: str) -> str:
    if not query.strip():
        raise typer.BadParameter("must not be empty; say in words what is looked for")
    return query


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Query-aware key clips and any-k keyframes from long videos."""
    if show:
        typer.echo(f"kframes {__version__}")


@app.command()
def select(
    video: Annotated[str, typer.Argument(help="A video file.")],
    query: Annotated[str, typer.Argument(help="What to look for, in words.", callback=_not_blank)],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames.")] = 8,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    start: Annotated[str | None, typer.Option(help="Look only from here on: seconds or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="Look only up to here: seconds or 1:30.")] = None,
    within: Annotated[
        list[str] | None, typer.Option(help="Look only here: 10-20 or 1:30-2:00; may be given several times.")
    ] = None,
    time_words: Annotated[
        bool, typer.Option("--time-words/--no-time-words", help='Read times in the query: "in the first minute".')
    ] = True,
    strategy: Annotated[
        Strategy, typer.Option(help="Inside the clips, dense inside and sparse outside, or neither.")
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Write frames, JSON, timeline, contact sheet and report here.")
    ] = None,
    as_json: Json = False,
    candidates: Annotated[int | None, typer.Option(min=1, help="Frames shown to the selector.")] = None,
    frame_size: Annotated[
        int, typer.Option(min=0, help="Long side of the k frames, pixels, at most; 0: as large as the video.")
    ] = FRAME_SIZE,
    exact: Annotated[
        bool, typer.Option("--exact", help="Exactly equal spacing, instead of frames nearby that cost less to decode.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    prediction: Annotated[
        PredictionKind | None,
        typer.Option(help="Of a multimodal model: it writes clips, scores the frames (faster), or both."),
    ] = None,
    transcript: Annotated[
        str, typer.Option(help="A subtitle file; auto: in or beside the video; none: words are not used.")
    ] = "auto",
    speech: Annotated[
        str | None, typer.Option(help="Recognise speech with this Whisper model (small, large-v3 ...).")
    ] = None,
    ocr: Annotated[bool, typer.Option("--ocr", help="Also read the text on screen.")] = False,
    language: Annotated[str | None, typer.Option(help="Of subtitles and speech: en, de ...")] = None,
    server_option: ServerOption = None,
) -> None:
    """Choose k frames of VIDEO for QUERY."""
    from kframes_plugin.query.read import is_time_alone
    from kframes_plugin.query.spans import join_spans, to_span

    with _opened(video) as opened:  # before the model, so that a wrong path or span is told at once
        with _wrong_arguments():
            spans = join_spans(map(to_span, within or ()), start, end, opened.duration, opened.path)
        if time_words and is_time_alone(query, spans, opened.duration, opened.timestamps):
            model, prediction, server_option = "uniform", None, None  # no model is asked, so none is loaded
        options: dict[str, Any] = {"prediction": prediction, "candidates": candidates, "strategy": strategy}
        options |= {"frame_size": frame_size or None, "exact": exact}
        kframes = _loaded(model, server_option, device=device, time_words=time_words, **options)
        with _wrong_arguments(), _progress_bar() as progress:
            said = _transcript(transcript, speech, language, progress)
            words: WordArguments = {"transcript": said, "language": language, "ocr": ocr}
            selection = kframes.select(opened, query, k, within=spans, progress=progress, **words)
        if out is not None:  # while the video is open: the report shows frames that it keeps
            selection.save(out, report=True)
            typer.echo(printable(f"kframes: wrote {len(selection.frames)} frames and report.html to {out}"), err=True)
    typer.echo(printable_json(selection.to_dict()) if as_json else _text(selection))


@app.command()
def ask(
    video: Annotated[str, typer.Argument(help="A video file.")],
    question: Annotated[str, typer.Argument(help="What to answer.", callback=_not_blank)],
    answerer: Annotated[
        str, typer.Option(help="Who answers: http(s)://HOST/v1#MODEL, a transformers id or a directory.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames that it sees.")] = 8,
    model: Annotated[str, typer.Option(help=f"Who selects the frames: {MODELS}")] = "lite",
    query: Annotated[str | None, typer.Option(help="What to look for; default: the question.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of a multiple-choice question; several times.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Also answer from k frames spread evenly.")] = False,
    said: Annotated[bool, typer.Option("--said", help="Tell the answerer what is said near the frames.")] = False,
    start: Annotated[str | None, typer.Option(help="Look only from here on: seconds or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="Look only up to here: seconds or 1:30.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write what the answer rests on here, as select does.")] = None,
    as_json: Json = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    server_option: ServerOption = None,
    answerer_option: ServerOption = None,
) -> None:
    """Answer QUESTION about VIDEO from the k frames that matter. `--compare` shows the answer from even frames."""
    from kframes_plugin.answering import answer_question, load_answerer
    from kframes_plugin.prompt.choices import write_question

    def show(piece: str) -> None:
        typer.echo(printable_lines(piece), nl=False)

    with _opened(video) as opened:  # before the models, so that a wrong path is told at once
        with _wrong_arguments(ValueError):
            write_question(question, option or ())
            asked = load_answerer(answerer, device=device, server=_server(answerer_option))
        kframes = _loaded(model, server_option, device=device)
        with _wrong_arguments(), _progress_bar() as progress:
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
            f"\nFrom frames spread evenly:\n{printable_lines(answer.uniform.text)}\n\n{answer.uniform.rests_on()}"
        )


@app.command("select-many")
def select_many(
    jobs: Annotated[
        Path,
        typer.Argument(help='A .jsonl file, a row a request: {"video", "query", "k", ...}; or a folder of videos.'),
    ],
    out: Annotated[Path, typer.Option(help="Results go here; a run that was ended goes on where it was.")],
    query: Annotated[str | None, typer.Option(help="What to look for, where a row does not say.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames, where a row does not say.")] = 8,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    strategy: Annotated[Strategy, typer.Option(help="As for select.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes, or Ray's actors.")] = 1,
    engine: Annotated[Engine, typer.Option(help="local, or ray (extra: ray).")] = "local",
    shard: Annotated[str, typer.Option(help="2/4: the second of four parts, for four machines.")] = "1/1",
    retry_failed: Annotated[bool, typer.Option(help="Do those again that failed before.")] = False,
    candidates: Annotated[int | None, typer.Option(min=1, help="Frames shown to the selector.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    server_option: ServerOption = None,
) -> None:
    """Choose frames for many requests: one folder each in OUT, and results.jsonl. An error costs its own row."""
    from kframes_plugin.bulk.jobs import read_jobs, read_shard, take_shard
    from kframes_plugin.bulk.run import run_jobs
    from kframes_plugin.bulk.store import ResultFolder
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.video.suffixes import SUFFIXES

    part, parts = read_shard(shard)
    server = _server(server_option)
    options: dict[str, Any] = {"candidates": candidates, "strategy": strategy, "server": server}
    table = "results.jsonl" if parts == 1 else f"results-{part}-of-{parts}.jsonl"
    results = ResultFolder(out, {"model": model, **options}, table)
    requests = take_shard(list(read_jobs(jobs, query, k, SUFFIXES)), part, parts)
    make = partial(KFrames.from_pretrained, model, device=device, **options)
    with _progress_bar() as progress:
        counts = run_jobs(
            *(requests, make, results),
            workers=workers,
            engine=engine,
            retry=retry_failed,
            progress=lambda done, total: progress("requests", done, total),
        )
    told = f"{counts.done} done, {counts.failed} failed, {counts.before} of them before; rows in {results.table}"
    typer.echo(f"kframes: {printable(told)}", err=True)
    if counts.failed:
        raise typer.Exit(1)


INDEX = "Folder of the index; default: .kframes in the folder of the videos."


@app.command("index")
def index_videos(
    folder: Annotated[Path, typer.Argument(help="A folder of videos, with all below it; or a video.")],
    index: Annotated[Path | None, typer.Option(help=INDEX)] = None,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
) -> None:
    """Make the index of the videos in FOLDER, or bring it up to date. It may be stopped, and goes on later."""
    kframes = _loaded(model, None, device=device)
    with _progress_bar() as progress:
        done = kframes.searcher.build(folder, index=index, progress=progress)
    for video, error in done.items():
        typer.echo(table_row("error", video, error) if error else table_row("video", video))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.", callback=_not_blank)],
    folder: Annotated[Path, typer.Argument(help="A folder of videos, with all below it; or a video.")] = Path(),
    k: Annotated[int, typer.Option("-k", min=1, help="Number of videos.")] = 8,
    index: Annotated[Path | None, typer.Option(help=INDEX)] = None,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    as_json: Json = False,
) -> None:
    """Find the videos in FOLDER that fit QUERY best, and where in them; what is new is indexed first."""
    kframes = _loaded(model, None)
    with _progress_bar() as progress:
        hits = kframes.search(folder, query, k, index=index, progress=progress)
    for video, error in hits.errors.items():
        typer.echo(printable(f"kframes: {video}: {error}"), err=True)
    for note in hits.notes:
        typer.echo(printable(f"kframes: {note}"), err=True)
    if as_json:
        typer.echo(printable_json(asdict(hits)))
        return
    for hit in hits:
        typer.echo(table_row("video", hit.video, f"{hit.score:.3f}"))
        for clip in hit.clips:
            score = 0.0 if clip.score is None else clip.score
            typer.echo(table_row("clip", f"{clip.start:.3f}", f"{clip.end:.3f}", f"{score:.3f}", clip.reason))


@app.command()
def probe(video: Annotated[str, typer.Argument(help="A video file.")], as_json: Json = False) -> None:
    """Say what is in VIDEO: true duration, frames, codec, and what is odd about it."""
    with _opened(video) as opened:
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


@app.command()
def models(as_json: Json = False) -> None:
    """List the models that can be chosen by a short name: what each needs, and what this machine can run.

    Others by their long name: openclip:ARCH/WEIGHTS, st:ORG/MODEL (sentence-transformers), a transformers id.
    """
    from kframes_plugin.selectors.models import describe, find_downloads, read_machine, write_table

    machine, folder = read_machine(), find_downloads()
    typer.echo(printable_json(describe(machine, folder)) if as_json else printable_lines(write_table(machine, folder)))


@app.command()
def mcp(
    allowed_paths: Annotated[
        list[Path], typer.Argument(help="Directories whose videos clients may name; no other file is read.")
    ],
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    max_k: Annotated[int, typer.Option(min=1, help="Most frames of one answer.")] = 32,
    long_side: Annotated[int, typer.Option(min=1, help="Long side of the pictures, pixels.")] = 768,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    server_option: ServerOption = None,
) -> None:
    """Serve the tool select_video_frames to agents: the Model Context Protocol over stdin and stdout."""
    try:
        from kframes_mcp import build_server
    except ImportError as error:
        raise KFramesError(f"cannot serve MCP: {error}; run: pip install 'kframes[mcp]'") from error
    for root in allowed_paths:
        if not root.is_dir():
            raise typer.BadParameter(f"{root} is no directory")
    kframes = _loaded(model, server_option, device=device)
    build_server(kframes=kframes, allowed_paths=allowed_paths, max_k=max_k, long_side=long_side).run("stdio")


@app.command()
def demo(
    answerer: Annotated[
        str | None,
        typer.Option(help="Who answers questions: http(s)://HOST/v1#MODEL, or a transformers id."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the first one that is free.")] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets others in: they may upload videos.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    answerer_option: ServerOption = None,
) -> None:
    """Try kframes in the browser: choose a video, say what to look for, see the report."""
    try:
        from kframes_demo import build_demo, launch
    except ImportError as error:
        raise KFramesError(f"cannot show the demo: {error}; run: pip install 'kframes[demo]'") from error
    from kframes_plugin.answering import load_answerer

    with _wrong_arguments(ValueError):
        asked = None if answerer is None else load_answerer(answerer, server=_server(answerer_option))
    launch(build_demo(answerer=asked), port=port, host=host, open_browser=browser)


HANDED_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


@app.command("eval", **HANDED_ON)
def evaluate(context: typer.Context) -> None:
    """Measure selectors on your own data: `kframes eval --help`."""
    _hand_on(context, "kframes_training.evaluation.cli", "evaluate", "train")


@app.command(**HANDED_ON)
def peakclips(context: typer.Context) -> None:
    """Annotate videos of your own: `peakclips build VIDEOS --annotator ... --out DIR`, `peakclips check DIR`."""
    _hand_on(context, "kframes_training.sources.peakclips.cli", "annotate", "annotate")


@app.command(**HANDED_ON)
def candidates(context: typer.Context) -> None:
    """Decode the candidate frames of videos once, for training: `candidates VIDEOS --out FOLDER`."""
    _hand_on(context, "kframes_training.stages.candidates", "decode for training", "train")


def _hand_on(context: typer.Context, module: str, verb: str, extra: str) -> None:
    """Give the arguments to another room's commands, which are loaded only now."""
    try:
        importlib.import_module(module).app(context.args, prog_name=f"kframes {context.info_name}")
    except ModuleNotFoundError as error:
        raise KFramesError(f"cannot {verb}: {error}; run: pip install 'kframes[{extra}]'") from error


def _loaded(model: str, server_option: list[str] | None, **options: Any) -> KFrames:
    """The KFrames of a model's name; an option that does not go with it is a wrong argument."""
    from kframes_plugin.kframes import KFrames

    with _wrong_arguments(ValueError):
        return KFrames.from_pretrained(model, server=_server(server_option), **options)


def _server(texts: list[str] | None) -> dict[str, Any] | None:
    """The options of a server, None where there are none."""
    from kframes_plugin.chat.options import read_options

    with _wrong_arguments(ValueError):
        return read_options(texts) if texts else None


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


@contextmanager
def _wrong_arguments(kind: type[ValueError] = SpanError) -> Iterator[None]:
    """Errors of a kind, those of seconds that cannot be at first, are wrong arguments."""
    try:
        yield
    except kind as error:
        raise typer.BadParameter(str(error)) from error


def _opened(video: str) -> OpenVideo:
    """The opened video; a bar shows how far it is where all of it has to be decoded for that."""

    from kframes_plugin.video import OpenVideo

    with _progress_bar() as progress:
        return OpenVideo(video, progress=partial(progress, "opening"))


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr, one task a step; silent when stderr is no terminal."""
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
