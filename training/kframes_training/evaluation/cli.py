"""``kframes eval``: what a selector is worth; ``kframes eval score``: what anybody's selections are, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="eval",
    help="What a selector is worth on your own data.",
    invoke_without_command=True,
    add_completion=False,
    subcommand_metavar="[score]",
)
KINDS = "own, videomme, mlvu, lvbench, longvideobench, kfs-bench, lv-haystack, qvhighlights, charades-sta"
SELECTORS = (
    "Comma-separated: kframes (--model), NAME=MODEL, uniform, uniform-linspace, uniform-stride, scenes, top-k, top-k-gap, "
    "stratified, aks, bolt, mdp3, focus, wfs-sb, watershed, qframe, oracle; NAME@faithful: with the original's faults."
)


@app.callback()
def eval_(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="The annotation: a JSONL of your own, or a data set's file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report here, as JSON; what is found goes on beside it.")
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos; by default that of --data.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Told by the file's fields, else one of: {KINDS}.")] = None,
    questions: Annotated[Path | None, typer.Option(help="For kfs-bench: the annotation of its questions.")] = None,
    subtitles: Annotated[
        bool, typer.Option("--subtitles", help="For longvideobench: tell the answerer what is said.")
    ] = False,
    selectors: Annotated[str, typer.Option(help=SELECTORS)] = "kframes,uniform",
    k: Annotated[str, typer.Option("--k", "-k", help="Budgets, comma-separated.")] = "8,32,64",
    model: Annotated[str, typer.Option(help="Of kframes: any name of KFrames.from_pretrained.")] = "nano",
    prediction: Annotated[str | None, typer.Option(help="Of the model: text, scores or both.")] = None,
    strategy: Annotated[str, typer.Option(help="Of kframes: auto, focused, hybrid or uniform.")] = "auto",
    candidates: Annotated[int | None, typer.Option(min=1, help="Frames shown to selectors and scorer.")] = None,
    scorer: Annotated[
        str | None,
        typer.Option(help="Of the selectors over scores: openclip:ARCH/WEIGHTS, nano, a model, or a .jsonl."),
    ] = None,
    answerer: Annotated[
        str | None, typer.Option(help="A transformers id or directory, http(s)://HOST/v1#MODEL, or synthscenes:FOLDER.")
    ] = None,
    style: Annotated[
        str, typer.Option(help="Of a transformers answerer: interleaved for all, auto ...")
    ] = "interleaved",
    answer_size: Annotated[int, typer.Option(min=1, help="Long side of the frames it sees, pixels.")] = 448,
    against: Annotated[str | None, typer.Option(help="Whom all others are compared with; by default uniform.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items at most.")] = None,
    seed: Annotated[int, typer.Option(help="Of selectors that draw lots.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; automatic by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the tables.")] = False,
) -> None:
    """Selectors and an answerer on your own videos: frames against the truth, right answers, cost.

    It can be stopped at any moment: the same command goes on where it was.
    """
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise typer.BadParameter(
            "name the questions with --data and the report with --out; or: kframes eval score --help"
        )
    from kframes_training.evaluation.run.command import Request, evaluate
    from kframes_training.evaluation.run.selectors import Wanted
    from kframes_training.evaluation.run.tables import markdown

    try:
        report = evaluate(
            Request(
                data=data, cache=out.with_name(out.stem + ".found"), selectors=selectors.split(","), ks=_whole(k), kind=kind,
                videos=videos, questions=questions, subtitles=subtitles, scorer=scorer, answerer=answerer, style=style,
                answer_size=answer_size, against=against, limit=limit,
                wanted=Wanted(model, prediction, strategy, candidates, device),
                seed=seed,
            )
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    typer.echo(f"kframes: wrote {out}; {report['made']} made, {report['reused']} found before", err=True)
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else markdown(report))


def _whole(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"--k must be whole numbers, comma-separated; got {text!r}") from error


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
    summary = scoring.summary(rows)
    report = {"summary": summary, "items": rows, "notes": notes}
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(summary) if as_json else scoring.markdown(summary))
