"""``kframes eval`` compares selectors; ``kframes eval score`` scores selections from any source, without a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kframes_plugin.text import printable, printable_lines

KINDS = "own, videomme, mlvu, lvbench, longvideobench, kfs-bench, lv-haystack, qvhighlights, charades-sta"
DESCRIPTION = """Compare selectors on your own videos: frames and clips against the truth, correct answers, cost.

You can stop or kill it at any moment: the same command resumes from the folder OUT.rows.

Selectors (--selectors, comma-separated):
  kframes                     the --model, as loaded by KFrames.from_pretrained
  NAME=MODEL                  any other model of KFrames.from_pretrained
  NAME=FILE.py:FUNCTION       your own selector, or NAME=MODULE:OBJECT: called as f(frames, query), it returns a list of
                              kframes_plugin.Clip. It gets the same candidates as all others. Its clips end on cuts,
                              unless it has snap_to_cuts = False. If it raises, that query counts as 0 and is reported.
  uniform, scenes             built into kframes, without a model
  uniform-midpoint, uniform-linspace, uniform-stride, top-k, top-k-gap, stratified, aks, bolt, mdp3, focus, wfs-sb,
  watershed, qframe           published selectors; NAME@faithful keeps the original's faults; most need a --scorer
  oracle, random              the true clips, and clips of the same length at random places

All see the same candidates, and are compared in two ways: "candidates only", where only candidates may be chosen, and
"any frame, ends on cuts", where any frame of the clips may be chosen.
"""
EXAMPLES = """examples:
  kframes eval --data mine.jsonl --selectors kframes,uniform --k 8,32 --out r.json
  kframes eval --data mine.jsonl --selectors mine=./my_selector.py:select,uniform --out r.json --tables tables/
  kframes eval ... --out part1.json --shard 1/2     # on two machines, then merged:
  kframes eval ... --out all.json --stores part1.rows,part2.rows
  kframes eval score selections.jsonl --truth truth.jsonl
"""


def app(arguments: Sequence[str], prog_name: str = "kframes eval") -> None:
    """Run the command.

    Raises:
        SystemExit: 2 for wrong arguments; 1 where no item could be measured.
    """
    if list(arguments[:1]) == ["score"]:
        score(list(arguments[1:]), prog_name)
        return
    parser = build_parser(prog_name)
    options = parser.parse_args(arguments)
    try:
        report, tables = evaluate(options)
    except ValueError as error:
        parser.error(str(error))
    finish(report, tables, options)


def build_parser(prog_name: str) -> argparse.ArgumentParser:
    """The options of ``kframes eval``."""
    parser = argparse.ArgumentParser(
        prog_name, description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the annotation file: your own JSONL, or that of a data set")
    add("--videos", type=Path, help="folder of the videos; default: the folder of --data")
    add("--kind", help=f"format of --data; default: recognised by its fields. One of: {KINDS}")
    add("--questions", type=Path, help="for kfs-bench: the annotation file of its questions")
    add("--subtitles", action="store_true", help="for longvideobench: give the answerer the subtitles")
    add("--selectors", type=_split, default=["kframes", "uniform"], help="see above; default: kframes,uniform")
    add("--k", "-k", type=_whole_numbers, default=[8, 32, 64], help="budgets, comma-separated; default: 8,32,64")
    add(
        "--model",
        default="lite",
        help="model of the kframes selector: any name for KFrames.from_pretrained; default: lite",
    )
    add(
        "--prediction",
        choices=("text", "scores", "both"),
        help="how the model predicts; default: what it was trained for",
    )
    add(
        "--strategy",
        choices=("auto", "focused", "hybrid", "uniform"),
        default="auto",
        help="for selectors that return clips",
    )
    add(
        "--candidates",
        type=_positive,
        help="number of candidates for all selectors; default: what the model asks for, else 256",
    )
    add("--scorer", help="for selectors that need scores: openclip:ARCH/WEIGHTS, nano, a model, or a .jsonl of scores")
    add(
        "--answerer",
        help="the model that answers: a transformers id or directory, http(s)://HOST/v1#MODEL, or synthscenes:FOLDER",
    )
    add(
        "--style",
        default="interleaved",
        help="message style for a transformers answerer: interleaved (default), auto ...",
    )
    add(
        "--answer-size",
        type=_positive,
        default=448,
        help="long side of the frames that the answerer sees, in pixels; default: 448",
    )
    add("--against", help="the selector to compare all others with; default: the first uniform one")
    add("--limit", type=_positive, help="maximum number of items")
    add("--seed", type=int, default=0, help="seed for selectors that sample at random")
    add("--device", help="cpu, cuda ...; chosen automatically by default")
    add(
        "--server-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for models behind a URL: max_tokens=4000, options.top_p=0.9; repeatable",
    )
    add_run_options(parser)
    add("--json", action="store_true", help="print JSON instead of the tables")
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of every measured run."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the report, as JSON; rows are kept next to it in OUT.rows")
    add("--tables", type=Path, metavar="DIR", help="also write every table as CSV and LaTeX")
    add(
        "--workers",
        type=_positive,
        default=1,
        help="number of processes, with one thread each; every one loads the models",
    )
    add("--shard", metavar="i/n", help="measure every n-th video only")
    add(
        "--stores",
        type=_split,
        default=[],
        metavar="ROWS,ROWS",
        help="also read the .rows folders of other runs, to merge shards",
    )


def evaluate(options: argparse.Namespace, *, progress: bool = True) -> tuple[dict[str, Any], list[Any]]:
    """Run it: the report and its tables.

    Raises:
        ValueError: arguments that do not go together, or data that cannot be read.
        SelectorError: a model cannot be loaded.
    """
    from kframes_plugin.chat.options import read_options
    from kframes_training.evaluation.load import Setup, load_plan, parse_selectors
    from kframes_training.evaluation.tables import standard_tables
    from kframes_training.sources.datasets import read

    setup = Setup(
        selectors=options.selectors,
        ks=options.k,
        model=options.model,
        prediction=options.prediction,
        strategy=options.strategy,
        candidates=options.candidates,
        scorer=options.scorer,
        answerer=options.answerer,
        style=options.style,
        answer_size=options.answer_size,
        seed=options.seed,
        device=options.device,
        server=read_options(options.server_option),
    )
    data = read(
        options.data, options.videos, kind=options.kind, questions=options.questions, subtitles=options.subtitles
    )
    if options.limit is not None:
        data = replace(data, items=data.items[: options.limit])
    if not data.present:
        raise ValueError(_explain_nothing(data, options.data))
    labels = [one.label for one in parse_selectors(setup.selectors)]
    first = next((label for label in labels if label.startswith("uniform")), labels[0])
    against = first if options.against is None else options.against
    if against not in labels:
        raise ValueError(f"--against must be one of the selectors {', '.join(labels)}; got {against!r}")
    if "oracle" in labels and not any(item.evidence for item in data.present):
        raise ValueError(f"oracle needs true spans or points, and no item of {options.data.name} has any; leave it out")
    report = measure(data, partial(load_plan, setup), options, "eval", [against], progress=progress)
    return report, standard_tables(report)


def measure(
    data: Any,
    load: Any,
    options: argparse.Namespace,
    study: str,
    against: Sequence[str],
    *,
    progress: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """The one way from data and a plan to a report, for ``kframes eval`` and every study.

    Args:
        data: what was read.
        load: gives the plan.
        options: with those of :func:`add_run_options`.
        study: name of the report.
        against: the selectors that all others are compared with.
        progress: show a bar.
        more: for :func:`~..report.build_report`.
    """
    from kframes_training.evaluation.loop import keep_shard, run
    from kframes_training.evaluation.provenance import shorten_path
    from kframes_training.evaluation.report import build_report
    from kframes_training.evaluation.store import Store

    if options.shard:
        data = replace(data, items=tuple(keep_shard(data.items, options.shard)))
    plan = load()
    store = Store(options.out.with_suffix(".rows"), [Path(one) for one in options.stores])
    try:
        outcome = run(data.present, load, store, plan=plan, workers=options.workers, progress=progress)
    finally:
        store.close()
    settings = json.loads(json.dumps(vars(options), default=lambda path: shorten_path(str(path))))
    return build_report(outcome, data, plan, study=study, settings=settings, against=against, **more)


def finish(report: Mapping[str, Any], tables: Sequence[Any], options: argparse.Namespace) -> None:
    """Write the report and the tables, and print them; exit 1 where nothing could be measured."""
    from kframes_plugin.output.whole import write_whole
    from kframes_training.evaluation.tables import write_page, write_tables

    write_whole(options.out, write_json(report))
    page = write_page(report, tables)
    if options.tables:
        write_tables(options.tables, tables)
        write_whole(options.tables / "tables.md", page)
    told = f"kframes: wrote {options.out}; {report['made']} made, {report['kept']} kept from before"
    print(printable(told), file=sys.stderr)
    print(printable_lines(write_json(report) if getattr(options, "json", False) else page))
    failed = report["failures"]
    if not report["data"]["measured"] or all(
        name in failed and failed[name]["raised"] == failed[name]["of"] for name in report["selectors"]
    ):
        sys.exit(1)


def write_json(report: Mapping[str, Any]) -> str:
    """A report as JSON, one row of its tables a line; numbers to 6 decimals."""
    parts = []
    for name, value in report.items():
        rows = isinstance(value, list) and value and isinstance(value[0], dict)
        lines = [json.dumps(_rounded(one), ensure_ascii=False) for one in value] if rows else []
        text = "[\n  " + ",\n  ".join(lines) + "\n ]" if rows else json.dumps(_rounded(value), ensure_ascii=False)
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _explain_nothing(data: Any, file: Path) -> str:
    if not data.items:
        return (
            f"{file} was read as {data.kind}, and no item of it is usable: {'; '.join(data.odd[:3]) or 'it is empty'}"
        )
    return (
        f"none of the {len(data.missing)} videos of {file} is there; the first was looked for at {data.missing[0]}: "
        "name their folder with --videos"
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in _split(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be whole numbers, comma-separated; got {text!r}") from error


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1; got {text!r}")
    return int(text)


def build_score_parser(prog_name: str) -> argparse.ArgumentParser:
    """The options of ``kframes eval score``."""
    parser = argparse.ArgumentParser(f"{prog_name} score", description=score.__doc__)
    add = parser.add_argument
    add(
        "selections",
        type=Path,
        help="JSON Lines or a JSON array: frame numbers, seconds, or the formats of AKS, KFS-Bench and kframes",
    )
    add(
        "--truth",
        type=Path,
        required=True,
        help="JSON Lines with id (or video, query) and spans, scenes or keyframes; or KFS-Bench's CSV",
    )
    add("--fps", type=float, help="frames per second of frame numbers, if neither file says it")
    add("--skip-missing", action="store_true", help="skip queries without a selection; by default they count as empty")
    add("--out", type=Path, help="write all items and means to this file, as JSON")
    add("--json", action="store_true", help="print JSON instead of the table")
    return parser


def score(arguments: Sequence[str], prog_name: str = "kframes eval") -> None:
    """Score selections from any source: which true spans they hit, and how well they are spread. No model is run."""
    from kframes_training.evaluation import scoring
    from kframes_training.evaluation.selection_files import read_selections
    from kframes_training.evaluation.truth_files import read_truth

    parser = build_score_parser(prog_name)
    options = parser.parse_args(arguments)
    for path in (options.selections, options.truth):
        if not path.is_file():
            parser.error(f"{path} is no file")
    try:
        chosen, truths = read_selections(options.selections), read_truth(options.truth)
        pairs, notes = scoring.matched(chosen, truths, fps=options.fps, skip_missing=options.skip_missing)
    except (ValueError, UnicodeDecodeError) as error:
        parser.error(str(error))
    rows = scoring.scored(pairs)
    if unscored := len({pair.truth.key for pair in pairs}) - len({tuple(row["key"]) for row in rows}):
        notes.append(f"without a true span, so without such a score, and left out: {unscored} of the queries")
    print(*map(printable, notes), sep="\n", end="\n" if notes else "", file=sys.stderr)
    if not rows:
        parser.error("no query of the truth can be scored")
    summary = scoring.summary(rows)
    if options.out:
        from kframes_plugin.output.whole import write_whole
        from kframes_training.evaluation.provenance import about_this_run

        report = {**about_this_run(), "summary": summary, "items": rows, "notes": notes}
        write_whole(options.out, json.dumps(report, indent=1) + "\n")
    print(json.dumps(summary) if options.json else printable_lines(scoring.markdown(summary)))
