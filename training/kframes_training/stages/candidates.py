"""The command ``kframes candidates``: decode the candidate frames of many videos once, before training."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from kframes_plugin.errors import KFramesError
from kframes_plugin.text import printable
from kframes_training.sources.peakclips.media import sources
from kframes_training.stages.candidate_cache import CandidateCache

app = typer.Typer(help="Decode candidate frames once, before training.", add_completion=False)


@app.command()
def candidates(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the frames: `cache:` in the recipe.")],
    count: Annotated[int, typer.Option("--candidates", min=1, help="Frames per video, as in the recipe.")] = 256,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels, as `frame:` in the recipe.")] = "224x168",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
) -> None:
    """Decode the candidates of VIDEOS into OUT, one file per video. If it is stopped, run it again to resume."""
    width, mark, height = size.partition("x")
    if not (mark and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"--size must be WIDTHxHEIGHT, such as 224x168; got {size}")
    try:
        found = [Path(source.path) for source in sources(videos)]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    work = partial(decode, CandidateCache(out, count, (int(width), int(height))))
    failed = 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for video, wrong in zip(found, tqdm(pool.map(work, found), total=len(found), disable=None), strict=True):
            if wrong:
                failed += 1
                typer.echo(f"kframes: {printable(str(video))}: {printable(wrong)}", err=True)
    typer.echo(f"kframes: {len(found) - failed} videos in {out}, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)


def decode(cache: CandidateCache, video: Path) -> str:
    """Put the candidates of a video into the folder, unless they are there; returns what went wrong, or ""."""
    try:
        path = cache.path_of(video)
        if path is None or not path.is_file():
            cache(video)
    except (KFramesError, OSError) as error:
        return str(error)
    return ""
