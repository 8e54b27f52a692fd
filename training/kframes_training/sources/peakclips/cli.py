"""The commands ``kframes peakclips build`` and ``kframes peakclips check``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from kframes_training.rows import P1_SCORE, P2_SCORE, Row
from kframes_training.sources.peakclips.building import ANNOTATORS, Plan, Progress, build
from kframes_training.sources.peakclips.chapters import THRESHOLDS
from kframes_training.sources.peakclips.checking import check, lines
from kframes_training.sources.peakclips.estimate import estimate
from kframes_training.sources.peakclips.media import Source, sources
from kframes_training.sources.peakclips.pipeline import STEPS, Tables
from kframes_training.sources.peakclips.prompts import GIVEN
from kframes_training.sources.peakclips.refinement import Refinement
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.peakclips.store import copy_videos

app = typer.Typer(help="Make query-conditioned clip labels from videos of your own.", no_args_is_help=True)


@app.command("build")
def build_command(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    annotator: Annotated[str, typer.Option(help=f"{ANNOTATORS}.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    queries: Annotated[
        Path | None, typer.Option(help='JSON lines {"video_id", "query", "kind"}; without it they are written.')
    ] = None,
    similarity: Annotated[str, typer.Option(help="none, openclip:ARCH/WEIGHTS, or frames:MODEL (nano ...).")] = "none",
    engine: Annotated[str, typer.Option(help="local, or ray.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes, or Ray actors.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way together, a worker.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the annotator; another one asks everything anew.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count scenes and say what it would cost.")] = False,
    price_in: Annotated[float, typer.Option(min=0, help="Of a million tokens read.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Of a million tokens written.")] = 0.0,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before the start where more is expected.")] = None,
    redo: Annotated[list[str] | None, typer.Option(help=f"Make a step anew: {', '.join(STEPS)}.")] = None,
    work: Annotated[Path | None, typer.Option(help="Answers and steps, kept for the next run; OUT/.work.")] = None,
    with_videos: Annotated[bool, typer.Option("--with-videos", help="Copy the videos into the data set.")] = False,
    licence: Annotated[str, typer.Option(help="Of the videos, as the card shall say.")] = "",
    split: Annotated[str, typer.Option(help="Of the data set.")] = "train",
    grouping: Annotated[
        str, typer.Option(help=f"Of scenes into chapters: {', '.join(THRESHOLDS)}.")
    ] = Settings.grouping,
    min_scene: Annotated[float, typer.Option(min=0, help="Shortest scene, seconds.")] = Settings.min_scene,
    frames_per_scene: Annotated[int, typer.Option(min=1)] = Settings.frames_per_scene,
    frame_size: Annotated[int, typer.Option(min=1, help="Long side, pixels.")] = Settings.frame_size,
    queries_per_video: Annotated[float, typer.Option(min=0)] = Settings.queries_per_video,
    questions_per_video: Annotated[int, typer.Option(min=0)] = Settings.questions_per_video,
    w_caption: Annotated[float, typer.Option(min=0, help="Weight of the annotator's score.")] = Refinement.w_caption,
    w_similarity: Annotated[float, typer.Option(min=0, help="Weight of the similarity.")] = Refinement.w_similarity,
    similarity_low: Annotated[float | None, typer.Option(help="Similarity worth 1; the median of the scenes.")] = None,
    similarity_high: Annotated[float | None, typer.Option(help="Similarity worth 5; the highest.")] = None,
    p1: Annotated[float, typer.Option(help="Least score of a P1 clip.")] = P1_SCORE,
    p2: Annotated[float, typer.Option(help="Least score of a P2 clip.")] = P2_SCORE,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer of a model.")] = 2048,
    json_schema: Annotated[bool, typer.Option(help="Send the server the form of the answers.")] = True,
    device: Annotated[str | None, typer.Option(help="For local models: cpu, cuda ...")] = None,
) -> None:
    """Annotate VIDEOS and write a data set. Run it again after a stop: it goes on, and pays for nothing twice."""
    if unknown := set(redo or ()) - set(STEPS):
        raise typer.BadParameter(f"--redo must be one of {', '.join(STEPS)}; got {', '.join(sorted(unknown))}")
    prices, options = (price_in, price_out), {"max_tokens": max_tokens}
    try:
        rule = Refinement(w_caption, w_similarity, similarity_low, similarity_high, p1_score=p1, p2_score=p2)
        settings = Settings(min_scene, frames_per_scene, frame_size, grouping, None, queries_per_video,
                            questions_per_video, refinement=rule)  # fmt: skip
        found = sources(videos, licence)
        options |= {"json_schema": json_schema} if annotator.startswith("http") else {}
        plan = Plan(annotator, work or out / ".work", similarity, settings, _given(queries), seed, concurrency, device,
                    frozenset(redo or ()), options)  # fmt: skip
        expected = estimate(found, plan, count_scenes=dry_run)
        for line in expected.lines(prices):
            typer.echo(f"kframes: {line}", err=True)
        if dry_run:
            return
        if max_cost is not None and (cost := expected.cost(*prices)) > max_cost:
            raise typer.BadParameter(
                f"about {cost:.2f} are expected, more than --max-cost {max_cost:.2f}; nothing was asked"
            )
        with _bar() as progress:
            tables = build(
                found, out, plan, engine=engine, workers=workers, split=split, prices=prices, progress=progress
            )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if with_videos:
        copy_videos(out, found)
    _tell(found, tables, out)


@app.command("check")
def check_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    against: Annotated[Path | None, typer.Option(help="The same videos by another seed or annotator.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data set; all of them by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Say what is in a data set and how good it is."""
    try:
        report = check(folder, against=against, split=split)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(json.dumps(report, indent=1, ensure_ascii=False) if as_json else "\n".join(lines(report)))


def _given(path: Path | None) -> dict[str, list[Row]]:
    """Queries by video id.

    Raises:
        ValueError: a line that is no query.
    """
    given: dict[str, list[Row]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path else (), 1):
        if not line.strip():
            continue
        row: Any = json.loads(line)
        if not isinstance(row, dict) or not {"video_id", "query"} <= set(row):
            raise ValueError(f'{path}, line {number}: must be {{"video_id": ..., "query": ...}}; got {line[:80]}')
        given.setdefault(row["video_id"], []).append({"query": row["query"], "kind": row.get("kind", GIVEN)})
    return given


def _tell(found: list[Source], tables: Tables, out: Path) -> None:
    counts = ", ".join(f"{len(rows)} {table}" for table, rows in tables.items())
    typer.echo(f"kframes: wrote {counts} to {out}", err=True)
    broken = [row for row in tables["errors"] if row["step"] == "scenes"]
    for row in broken[:5]:
        typer.echo(f"kframes: {row['file']}: {row['message']}", err=True)
    if len(broken) == len(found):
        typer.echo("kframes: none of the videos could be read", err=True)
        sys.exit(1)


@contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar on stderr, silent when stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    bars = Bars(console=Console(stderr=True), transient=True)
    task = bars.add_task("videos", total=None)
    with bars:
        yield lambda done, total: bars.update(task, completed=done, total=total)
