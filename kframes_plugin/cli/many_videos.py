"""Commands on many videos: select-many, index, search."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kframes_plugin.bulk.requests import Engine
from kframes_plugin.cli.app import (
    MANY,
    MODELS,
    Json,
    ServerOption,
    app,
    check_not_blank,
    load_kframes,
    progress_bar,
    read_server,
)
from kframes_plugin.text import printable, printable_json, table_row
from kframes_plugin.types import Strategy

INDEX = "Folder of the index; default: .kframes inside the folder of videos."


@app.command("select-many", rich_help_panel=MANY)
def select_many(
    jobs: Annotated[
        Path,
        typer.Argument(help='A .jsonl file, one request per row: {"video", "query", "k", ...}; or a folder of videos.'),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; an interrupted run resumes where it stopped.")],
    query: Annotated[str | None, typer.Option(help="What to look for, if a row does not say.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of frames, if a row does not say.")] = 8,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    strategy: Annotated[Strategy, typer.Option(help="As for select.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes, or of Ray actors.")] = 1,
    engine: Annotated[Engine, typer.Option(help="local, or ray (extra: ray).")] = "local",
    shard: Annotated[str, typer.Option(help="2/4: the second of four parts, for four machines.")] = "1/1",
    retry_failed: Annotated[bool, typer.Option(help="Retry requests that failed before.")] = False,
    candidates: Annotated[int | None, typer.Option(min=1, help="Frames shown to the selector.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    server_option: ServerOption = None,
) -> None:
    """Select frames for many requests: a folder each in OUT, and results.jsonl. A failed one does not stop the rest.

    Example: kframes select-many videos/ --query "a dog" --out results/ --workers 2
    """
    from kframes_plugin.bulk.jobs import read_jobs, read_shard, take_shard
    from kframes_plugin.bulk.run import run_jobs
    from kframes_plugin.bulk.store import ResultFolder
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.video.suffixes import SUFFIXES

    part, parts = read_shard(shard)
    server = read_server(server_option)
    options: dict[str, Any] = {"candidates": candidates, "strategy": strategy, "server": server}
    table = "results.jsonl" if parts == 1 else f"results-{part}-of-{parts}.jsonl"
    results = ResultFolder(out, {"model": model, **options}, table)
    requests = take_shard(list(read_jobs(jobs, query, k, SUFFIXES)), part, parts)
    make = partial(KFrames.from_pretrained, model, device=device, **options)
    with progress_bar() as progress:
        counts = run_jobs(
            *(requests, make, results),
            workers=workers,
            engine=engine,
            retry=retry_failed,
            progress=lambda done, total: progress("requests", done, total),
        )
    told = (
        f"{counts.done} done, {counts.failed} failed, {counts.before} of these in earlier runs; rows in {results.table}"
    )
    typer.echo(f"kframes: {printable(told)}", err=True)
    if counts.failed:
        raise typer.Exit(1)


@app.command("index", rich_help_panel=MANY)
def index_videos(
    folder: Annotated[Path, typer.Argument(help="A folder of videos, searched recursively; or a video.")],
    index: Annotated[Path | None, typer.Option(help=INDEX)] = None,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
) -> None:
    """Build the index of the videos in FOLDER, or update it. It can be stopped and resumed.

    Example: kframes index videos/
    """
    kframes = load_kframes(model, None, device=device)
    with progress_bar() as progress:
        done = kframes.searcher.build(folder, index=index, progress=progress)
    for video, error in done.items():
        typer.echo(table_row("error", video, error) if error else table_row("video", video))


@app.command(rich_help_panel=MANY)
def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.", callback=check_not_blank)],
    folder: Annotated[Path, typer.Argument(help="A folder of videos, searched recursively; or a video.")] = Path(),
    k: Annotated[int, typer.Option("-k", min=1, help="Number of videos.")] = 8,
    index: Annotated[Path | None, typer.Option(help=INDEX)] = None,
    model: Annotated[str, typer.Option(help=MODELS)] = "lite",
    as_json: Json = False,
) -> None:
    """Find the videos in FOLDER that match QUERY best, and the moments in them. New videos are indexed first.

    Example: kframes search "a dog on a beach" videos/
    """
    kframes = load_kframes(model, None)
    with progress_bar() as progress:
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
