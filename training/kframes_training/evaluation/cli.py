"""``kframes eval``: what a selector is worth. ``score`` needs no model and no GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="eval", help="What a selector is worth on your own data.", no_args_is_help=True, add_completion=False
)


@app.callback()
def eval_() -> None:
    """What a selector is worth on your own data."""


@app.command()
def score(
    selections: Annotated[
        Path,
        typer.Argument(help="JSON Lines or a JSON array: frame numbers, seconds, AKS's, KFS-Bench's, kframes' own."),
    ],
    truth: Annotated[
        Path,
        typer.Option(help="JSON Lines with id (or video, query) and spans, scenes or keyframes; or KFS-Bench's CSV."),
    ],
    fps: Annotated[float | None, typer.Option(min=0.001, help="Of frame numbers, where neither file says it.")] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave queries without a selection out; else they count as empty.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write every item and all means here, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Score anybody's selections: which of the true spans they hit, how well they are spread; no model is run."""
    from kframes_training.evaluation import scoring
    from kframes_training.evaluation.selection_files import read_selections
    from kframes_training.evaluation.truth_files import read_truth

    for path in (selections, truth):
        if not path.is_file():
            raise typer.BadParameter(f"{path} is no file")
    try:
        truths = read_truth(truth)
        pairs, notes = scoring.matched(read_selections(selections), truths, fps=fps, skip_missing=skip_missing)
    except (ValueError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error)) from error
    rows = scoring.scored(pairs)
    if unscored := len({pair.truth.key for pair in pairs}) - len({tuple(row["key"]) for row in rows}):
        notes.append(f"without a true span, so without such a score, and left out: {unscored} of the queries")
    for note in notes:
        typer.echo(note, err=True)
    if not rows:
        raise typer.BadParameter("no query of the truth can be scored")
    report = {"summary": scoring.summary(rows), "items": rows, "notes": notes}
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(report["summary"]) if as_json else scoring.markdown(report["summary"]))
