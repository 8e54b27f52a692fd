"""The commands ``kframes peakclips build`` and ``kframes peakclips check``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from kframes_plugin.text import printable, printable_json, printable_lines
from kframes_training.rows import Row
from kframes_training.sources.peakclips.building import ANNOTATORS, Plan, Progress, build
from kframes_training.sources.peakclips.checking import check, lines
from kframes_training.sources.peakclips.estimate import estimate
from kframes_training.sources.peakclips.media import Source, sources
from kframes_training.sources.peakclips.options import (
    CostOptions,
    DataOptions,
    LabelOptions,
    ModelOptions,
    RunOptions,
    ScoreOptions,
    take_groups,
)
from kframes_training.sources.peakclips.pipeline import Tables
from kframes_training.sources.peakclips.prompts import GIVEN
from kframes_training.sources.peakclips.store import copy_videos

MISSING = {  # kinds of errors: how many, and of how many videos
    "video": "{} videos could not be annotated; the others are complete",
    "server": "{} answers of {} videos are missing because the server failed; run the build again to get them",
    "answer": "{} answers of {} videos were unusable and are left out",
}

app = typer.Typer(help="Make query-conditioned clip labels from your own videos.", no_args_is_help=True)


@app.command("build")
@take_groups
def build_command(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders of videos.")],
    annotator: Annotated[str, typer.Option(help=f"{ANNOTATORS}.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    *,
    labels: LabelOptions,
    scores: ScoreOptions,
    model: ModelOptions,
    run: RunOptions,
    costs: CostOptions,
    data: DataOptions,
) -> None:
    """Annotate VIDEOS and write a data set. If it is stopped, run it again to resume; no request is repeated."""
    try:
        found = sources(videos, data.licence)
        more = model.of_server() if annotator.startswith("http") else {}
        plan = Plan(
            annotator,
            run.work if run.work is not None else out / ".work",
            scores.similarity,
            labels.settings(scores.refinement()),
            _given(labels.queries),
            model.seed,
            model.concurrency,
            model.device,
            run.steps(),
            {"max_tokens": model.max_tokens} | more,
        )
        if not _affordable(found, plan, costs):
            return
        with _bar() as progress:
            tables = build(
                found,
                out,
                plan,
                engine=run.engine,
                workers=run.workers,
                split=data.split,
                prices=costs.prices,
                progress=progress,
            )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if data.with_videos:
        copy_videos(out, found)
    _tell(found, tables, out)


@app.command("check")
def check_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    against: Annotated[
        Path | None, typer.Option(help="A data set of the same videos, made with another seed or annotator.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the data set; all splits by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Say what a data set contains and how good its labels are."""
    try:
        report = check(folder, against=against, split=split)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(printable_json(report) if as_json else printable_lines("\n".join(lines(report))))


def _affordable(found: list[Source], plan: Plan, costs: CostOptions) -> bool:
    """Say what is expected; whether the build shall start.

    Raises:
        ValueError: it costs more than the most that was allowed.
    """
    expected = estimate(found, plan, count_scenes=costs.dry_run)
    for line in expected.lines(costs.prices):
        typer.echo(printable(f"kframes: {line}"), err=True)
    if not costs.dry_run and costs.max_cost is not None and (cost := expected.cost(*costs.prices)) > costs.max_cost:
        raise ValueError(f"the estimate is {cost:.2f}, more than --max-cost {costs.max_cost:.2f}; no request was sent")
    return not costs.dry_run


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
    """Say what was written and what is missing, with its causes; end with 1 where a video or a server failed."""
    counts = ", ".join(f"{len(rows)} {table}" for table, rows in tables.items())
    typer.echo(printable(f"kframes: wrote {counts} to {out}"), err=True)
    by_kind = {kind: [row for row in tables["errors"] if row["kind"] == kind] for kind in MISSING}
    for kind, rows in by_kind.items():
        if rows:
            typer.echo(f"kframes: {MISSING[kind].format(len(rows), len({row['video_id'] for row in rows}))}", err=True)
        causes = Counter((row["file"], row["message"]) for row in rows)
        for (file, message), count in causes.most_common(5):
            times = f" ({count} times)" if count > 1 else ""
            typer.echo(f"kframes:   {printable(file)}: {printable(message)}{times}", err=True)
    if by_kind["video"] or by_kind["server"]:
        raise typer.Exit(1)


@contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar on stderr, silent when stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    bars = Bars(console=Console(stderr=True), transient=True)
    task = bars.add_task("videos", total=None)
    with bars:
        yield lambda done, total: bars.update(task, completed=done, total=total)
