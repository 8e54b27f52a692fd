"""A report as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kframes_training.evaluation.tables import cell, table, titled

Report = Mapping[str, Any]
HEADS = {
    "right": "right answers",
    "kfr": "KFR",
    "shr": "SHR",
    "ukss": "UKSS",
    "f1": "F1, 5 s",
    "iou": "mIoU of clips",
    "R@0.5": "R@1, IoU .5",
}


def markdown(report: Report) -> str:
    """All tables: what is missing first, then results by group, differences, costs, conformance, notes."""
    shown = [name for name in HEADS if any(name in row for row in report["table"])]
    named = sorted({row["group"] for row in report["table"]}, key=_order)
    parts = [about(report)]
    parts += [titled(_title(group, report), results(report, group, shown)) for group in named if shown]
    if differences := difference_table(report):
        title = f"Differences to {report['against']} (paired bootstrap over videos; McNemar's exact test for answers)"
        parts.append(titled(title, differences))
    parts.append(titled("Cost of a query, as if it were asked alone", cost_table(report)))
    if report["answer_costs"]:
        parts.append(titled("Cost of an answer", answer_table(report)))
    parts.append(titled("Exactly k, distinct, in order", conformance_table(report)))
    notes = [f"- {name}: {note} ({n} x)" for name, found in report["notes"].items() for note, n in found.items()]
    if notes:
        parts.append("Notes\n\n" + "\n".join(notes))
    return "\n\n".join(parts) + "\n"


def about(report: Report) -> str:
    """What was measured, and what could not be."""
    data = report["data"]
    lines = [
        f"{data['kind']}: {data['items_with_video']} of {data['items']} items on {data['videos']} videos; "
        f"{data['answered']} answered; commit {(report['commit'] or 'none')[:8]}, seed {report['seed']}"
    ]
    if data["missing"]["count"]:
        lines.append(f"MISSING: {data['missing']['count']} videos are not there: {_some(data['missing']['videos'])}")
    if data["failed"]["count"]:
        lines.append(
            f"FAILED: {data['failed']['count']} videos cannot be read: {_some(list(data['failed']['videos']))}"
        )
    if data["odd"]["count"]:
        lines.append(f"ODD: {data['odd']['count']} rows could not be read as they stand: {_some(data['odd']['rows'])}")
    return "\n".join(lines)


def results(report: Report, group: str, shown: Sequence[str]) -> str:
    """One line a selector and k; in brackets the 95% interval over videos."""
    found = {(row["selector"], row["k"]): row for row in report["table"] if row["group"] == group}
    names = [name for name in shown if any(name in row for row in found.values())]
    lines = [
        [selector, str(k), *(cell(found[selector, k].get(name)) for name in names)]
        for k in report["ks"]
        for selector in report["selectors"]
        if (selector, k) in found
    ]
    return table(["selector", "k", *(HEADS[name] for name in names)], lines)


def difference_table(report: Report) -> str:
    """Over all items; by group they are in the JSON."""
    rows = [row for row in report["differences"] if row["group"] == "all" and row["measure"] in HEADS]
    lines = [
        [row["one"], str(row["k"]), HEADS[row["measure"]], cell(row["difference"], sign=True),
         f"{row['only_one']} / {row['only_other']}, p = {row['p']:.3g}" if "p" in row else ""]
        for row in rows
    ]  # fmt: skip
    return (
        table(["selector", "k", "measure", "difference", "only it / only the other, McNemar"], lines) if lines else ""
    )


def cost_table(report: Report) -> str:
    """Means over queries."""
    lines = [
        [name, f"{one['frames_decoded']:.0f}", f"{one['candidates']:.0f}", f"{one['model_calls']:.1f}",
         f"{one['tokens_in']:.0f} / {one['tokens_out']:.0f}", f"{one['seconds']:.3f}",
         ", ".join(f"{step} {value:.3f}" for step, value in one["seconds_by_step"].items())]
        for name, one in report["costs"].items()
    ]  # fmt: skip
    head = ["selector", "frames decoded", "candidates", "model calls", "tokens in / out", "seconds", "of them"]
    return table(head, lines)


def answer_table(report: Report) -> str:
    """Means over answers."""
    lines = [
        [one["selector"], str(one["k"]), f"{one['model_calls']:.1f}", f"{one['tokens_in']:.0f} / {one['tokens_out']:.0f}",
         f"{one['seconds']:.3f}"]
        for one in report["answer_costs"]
    ]  # fmt: skip
    return table(["selector", "k", "model calls", "tokens in / out", "seconds"], lines)


def conformance_table(report: Report) -> str:
    """Where a selector does not keep what was asked for: shares of its selections."""
    shares = ("exactly_k", "distinct", "in_order")
    broken = [one for one in report["conformance"] if any(one[name] < 1 for name in shares)]
    if not broken:
        return "Every selector gave exactly k frames, none twice, in order of time, for every query and k."
    lines = [
        [one["selector"], str(one["k"]), str(one["selections"]), *(f"{one[name]:.3f}" for name in shares)]
        for one in broken
    ]
    lines.append(["all others", "", "", *["1.000"] * len(shares)])
    return table(["selector", "k", "selections", "exactly k", "no duplicate", "in order"], lines)


def _title(group: str, report: Report) -> str:
    count = max(
        (
            value[3]
            for row in report["table"]
            if row["group"] == group
            for value in row.values()
            if isinstance(value, list)
        ),
        default=0,
    )
    return f"{group[0].upper()}{group[1:]} ({count:.0f} items)"


def _order(group: str) -> tuple[int, str]:
    """All, then by evidence, then by length, then the data set's own."""
    places = ("all", "1 span", "2 spans", "3 spans or more", "< 3 min", "3-15 min", "> 15 min")
    return (places.index(group), "") if group in places else (len(places), group)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more (all are in the JSON)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
