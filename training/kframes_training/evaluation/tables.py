"""A report -> tables, in one way for all studies: markdown, CSV, LaTeX. Failures stand first, then who found nothing.

Every cell is a mean over items with its 95% interval by bootstrap over videos.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Report = Mapping[str, Any]
HEADS = {
    "right": "right answers",
    "kfr": "KFR",
    "shr": "SHR",
    "bsr": "BSR",
    "bds": "BDS",
    "ukss": "UKSS",
    "f1": "F1, 5 s",
    "iou": "mIoU",
    "R@0.3": "R@1, .3",
    "R@0.5": "R@1, .5",
    "R@0.7": "R@1, .7",
    "precision": "precision of seconds",
    "recall": "recall of seconds",
    "over": "seconds found / true",
    "empty": "no clip",
}
FRAME_MEASURES = ("right", "kfr", "shr", "ukss", "f1")
CLIP_MEASURES = ("iou", "R@0.3", "R@0.5", "R@0.7")
POOL_TITLES = {"candidates": "candidates only", "free": "any frame, ends on cuts"}
GROUP_ORDER = ("all", "1 span", "2 spans", "3 spans or more", "< 3 min", "3-15 min", "> 15 min")
WORDS = (
    "KFR: share of the chosen frames that show evidence. SHR: share of the evidence spans that are shown. "
    "UKSS: their balance (KFS-Bench), geometric mean. mIoU: overlap of clips with the true ones. "
    "Candidates only: no other frame may be taken. Any frame: ends of clips move to cuts and k frames are spread "
    "inside; a selector over scores first chooses k distinct candidates, which become clips, so it gains little where "
    "k is near the number of candidates."
)


@dataclass(frozen=True)
class Table:
    """A table with its title; cells are texts."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_page(report: Report, tables: Sequence[Table]) -> str:
    """Markdown: failures first, then who found nothing, then the tables and the notes."""
    notes = [f"- {name}: {note} ({n} x)" for name, some in report["notes"].items() for note, n in some.items()]
    parts = ["\n".join(list_failures(report)), *map(render, tables)]
    if notes:
        parts.append("Notes\n\n" + "\n".join(notes))
    return "\n\n".join(parts) + "\n"


def standard_tables(report: Report) -> list[Table]:
    """The tables of ``kframes eval``: both pools, all groups; differences; costs; conformance."""
    made = []
    groups = sorted({row["group"] for row in report["table"]}, key=_order)
    for pool in report["pools"]:
        for group in groups:
            made += [results_table(report, group, pool), clips_table(report, group, pool)]
        made.append(difference_table(report, "all", pool))
    made += [cost_table(report), answer_cost_table(report), conformance_table(report)]
    return [one for one in made if one.rows]


def list_failures(report: Report) -> list[str]:
    """What was measured; what could not be read; who raised; who found no clip."""
    data = report["data"]
    lines = [
        f"{data['kind']}: {data['measured']} of {data['items']} items on {data['videos']} videos "
        f"({data['seconds'] / 3600:.1f} hours); {data['answered']} answered; "
        f"commit {(report['commit'] or 'none')[:8]}, seed {report['seed']}",
    ]
    if data["missing"]:
        lines.append(f"MISSING: {len(data['missing'])} videos are not there: {_some(data['missing'])}")
    if data["unreadable"]:
        total = len(data["unreadable"]) + data["videos"]
        lines.append(
            f"UNREADABLE: {len(data['unreadable'])} of {total} videos cannot be read: {_some(list(data['unreadable']))}"
        )
    if data["odd"]:
        lines.append(f"ODD: {len(data['odd'])} rows could not be read as they stand: {_some(data['odd'])}")
    for name, one in report["failures"].items():
        messages = [f"{message} ({n} x)" for message, n in one["messages"].items()]
        lines.append(f"RAISED: {name} in {one['raised']} of {one['of']} items, which count as 0: {_some(messages)}")
    for name, one in report["no_clip"].items():
        lines.append(f"{name}: no clip in {one['none']} of {one['of']} items, which count as 0")
    return lines


# ------------------------------------------------------------------------------------------------------ one table each


def results_table(report: Report, group: str, pool: str, measures: Sequence[str] = FRAME_MEASURES) -> Table:
    """One line a selector and k: measures of the frames."""
    lines = {(row["selector"], row["k"]): row for row in _rows(report, group, pool)}
    shown = [name for name in measures if any(name in row for (_, k), row in lines.items() if k is not None)]
    rows = [
        [selector, str(k), *(cell(lines[selector, k].get(name)) for name in shown)]
        for k in report["ks"]
        for selector in report["selectors"]
        if (selector, k) in lines
    ]
    title = f"{_title(group)} ({_count(lines.values())} items): {POOL_TITLES[pool]}"
    return Table(title, ["selector", "k", *(HEADS[name] for name in shown)], rows if shown else [])


def clips_table(report: Report, group: str, pool: str, measures: Sequence[str] = CLIP_MEASURES) -> Table:
    """One line a selector that names clips."""
    lines = {row["selector"]: row for row in _rows(report, group, pool) if row["k"] is None}
    shown = [name for name in measures if any(name in row for row in lines.values())]
    rows = [
        [selector, *(cell(lines[selector].get(name)) for name in shown)]
        for selector in report["selectors"]
        if selector in lines
    ]
    title = f"Clips, {group} ({_count(lines.values())} items): {POOL_TITLES[pool]}"
    return Table(title, ["selector", *(HEADS[name] for name in shown)], rows if shown else [])


def budget_table(report: Report, group: str, pool: str, measure: str) -> Table:
    """One measure of one group, one column a k."""
    lines = {(row["selector"], row["k"]): row for row in _rows(report, group, pool) if measure in row}
    ks = [k for k in report["ks"] if any(key[1] == k for key in lines)]
    rows = [
        [selector, *(cell(lines.get((selector, k), {}).get(measure)) for k in ks)]
        for selector in report["selectors"]
        if any(key[0] == selector for key in lines)
    ]
    title = f"{HEADS[measure]}, {group} ({_count(lines.values())} items): {POOL_TITLES[pool]}"
    return Table(title, ["selector", *(f"k = {k}" for k in ks)], rows)


def group_table(
    report: Report, groups: Sequence[str], pool: str, measure: str, k: int | None = None, title: str = ""
) -> Table:
    """One measure, one column a group; of clips where k is None."""
    lines = {
        (row["selector"], row["group"]): row
        for row in report["table"]
        if row["pool"] == pool and row["k"] == k and measure in row
    }
    shown = [group for group in groups if any(key[1] == group for key in lines)]
    counts = {group: _count([row for key, row in lines.items() if key[1] == group]) for group in shown}
    rows = [
        [selector, *(cell(lines.get((selector, group), {}).get(measure)) for group in shown)]
        for selector in report["selectors"]
        if any(key[0] == selector for key in lines)
    ]
    head = ["selector", *(f"{group.removeprefix('kind: ')} ({counts[group]})" for group in shown)]
    at = "" if k is None else f" at k = {k}"
    return Table(title or f"{HEADS[measure]}{at}: {POOL_TITLES[pool]}", head, rows)


def difference_table(report: Report, group: str, pool: str, measures: Sequence[str] = tuple(HEADS)) -> Table:
    """Paired; of UKSS the ratio of the geometric means."""
    rows = [
        [
            f"{row['one']} - {row['other']}" if "difference" in row else f"{row['one']} / {row['other']}",
            "" if row["k"] is None else str(row["k"]),
            HEADS[row["measure"]],
            cell(row["difference"], sign=True) if "difference" in row else cell(row["ratio"]),
            f"{row['only_one']} / {row['only_other']}, p = {row['p']:.3g}" if "p" in row else "",
        ]
        for row in report["differences"]
        if row["group"] == group and row["pool"] == pool and row["measure"] in measures
    ]
    title = f"Differences, {group}: {POOL_TITLES[pool]} (paired bootstrap over videos; of answers McNemar's exact test)"
    return Table(title, ["pair", "k", "measure", "difference or ratio", "only one / only the other right"], rows)


def cost_table(report: Report) -> Table:
    """Means over queries."""
    rows = [
        [
            name,
            f"{one['frames_decoded']:.0f}",
            f"{one['candidates']:.0f}",
            f"{one['model_calls']:.1f}",
            f"{one['tokens_in']:.0f} / {one['tokens_out']:.0f}",
            f"{one['seconds']:.3f}",
            ", ".join(f"{step} {value:.4f}" for step, value in one["seconds_by_step"].items()),
        ]
        for name, one in report["costs"].items()
    ]
    head = ["selector", "frames decoded", "candidates", "model calls", "tokens in / out", "seconds", "by step"]
    return Table("Cost of a query, as if it were asked alone", head, rows)


def answer_cost_table(report: Report) -> Table:
    """Means over answers."""
    rows = [
        [
            one["selector"],
            str(one["k"]),
            f"{one['model_calls']:.1f}",
            f"{one['tokens_in']:.0f} / {one['tokens_out']:.0f}",
            f"{one['seconds']:.3f}",
        ]
        for one in report["answer_costs"]
    ]
    return Table("Cost of an answer", ["selector", "k", "model calls", "tokens in / out", "seconds"], rows)


def conformance_table(report: Report) -> Table:
    """Where a selector does not keep what was asked for: shares of its selections."""
    shares = ("exactly_k", "distinct", "in_order")
    broken = [one for one in report["conformance"] if any(one[name] < 1 for name in shares)]
    rows = [
        [
            one["selector"],
            POOL_TITLES[one["pool"]],
            str(one["k"]),
            str(one["selections"]),
            *(f"{one[name]:.3f}" for name in shares),
        ]
        for one in broken
    ]
    rows.append(["all others" if broken else "every selector", "", "", "", *["1.000"] * len(shares)])
    head = ["selector", "pool", "k", "selections", "exactly k", "no duplicate", "in order"]
    return Table("Exactly k, distinct, in order", head, rows)


# ---------------------------------------------------------------------------------------------------------- as a file


def render(one: Table) -> str:
    """Markdown, under its title."""
    lines = [list(one.head), ["---"] * len(one.head), *map(list, one.rows)]
    title = f"### {one.title}\n\n" if one.title else ""
    return title + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Every table as NN_title.csv and NN_title.tex (booktabs); the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, one in enumerate(tables, 1):
        stem = f"{number:02d}_" + re.sub(r"[^a-z0-9]+", "_", one.title.lower()).strip("_")[:60]
        with (folder / f"{stem}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([one.head, *one.rows])
        (folder / f"{stem}.tex").write_text(_latex(one), encoding="utf-8")
        written += [folder / f"{stem}.csv", folder / f"{stem}.tex"]
    return written


def _latex(one: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(re.sub(r"([&%$#_{}])", r"\\\1", text) for text in cells) + r" \\"

    body = "\n".join(map(line, one.rows))
    return (
        f"% {one.title}\n\\begin{{tabular}}{{l{'r' * (len(one.head) - 1)}}}\n\\toprule\n{line(one.head)}\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def cell(value: Sequence[float | None] | None, sign: bool = False) -> str:
    """ ".812 [.790, .833]" """
    if value is None or value[0] is None:
        return ""
    mean, (low, high) = value[0], value[1:3]
    shown = short(mean, sign)
    return shown if low is None or high is None else f"{shown} [{short(low, sign)}, {short(high, sign)}]"


def short(value: float, sign: bool = False) -> str:
    """Three decimals without a leading zero."""
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _rows(report: Report, group: str, pool: str) -> Iterator[Mapping[str, Any]]:
    return (row for row in report["table"] if row["group"] == group and row["pool"] == pool)


def _count(rows: Any) -> int:
    return max((int(value[3]) for row in rows for value in row.values() if isinstance(value, list)), default=0)


def _title(group: str) -> str:
    return f"{group[0].upper()}{group[1:]}"


def _order(group: str) -> tuple[int, str]:
    """All, then by evidence, then by length, then the data set's own."""
    return (GROUP_ORDER.index(group), "") if group in GROUP_ORDER else (len(GROUP_ORDER), group)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more (all are in the JSON)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
