"""``results.json`` of the contest -> markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kframes_training.evaluation.contest.picks import (
    FOCUSED,
    FROM_SCORES,
    HYBRID,
    KFRAMES,
    ON_CANDIDATES,
    OURS,
    PICKS,
    RIVALS,
)
from kframes_training.evaluation.tables import cell, counted, find, table, titled

Report = Mapping[str, Any]
NAMES = {
    "kfr": "share of the frames that show evidence (KFR)",
    "shr": "share of the evidence spans that are shown (SHR)",
    "ukss": "UKSS (geometric mean)",
}
WHO = {
    "needle": "facts of one scene (needle, attribute, action)",
    "several": "several evidence spans",
}
LOST_IN = ("needle", "order", "several", "all but holistic")
BY_SPANS = ("1 span", "2 spans", "3 spans or more", "order", "holistic")
REASONS = {
    "form": "names a thing and a background",
    "all": "all that it names is in the clip's main scene",
    "somewhere": "all is in some scene that the clip touches",
    "by chance": "all is in a scene drawn from the rest of the video",
    "colour": "colour",
    "shape": "shape",
    "size": "size",
    "background": "background",
    "new, true": "of attributes that the query does not say: true of the clip's main scene",
    "new, by chance": "of attributes that the query does not say: true of that other scene",
}


def markdown(report: Report) -> str:
    """All tables of the contest."""
    parts = [about(report)]
    for group, who in WHO.items():
        for metric, name in NAMES.items():
            parts.append(titled(f"{name[0].upper()}{name[1:]}: {who}", by_k(report, group, metric, report["ks"])))
    for k in (8, 32):
        if k in report["ks"]:
            parts.append(titled(f"UKSS at k = {k} by number of evidence spans", by_spans(report, k)))
    for metric, what in (
        ("ukss", "UKSS over that of each baseline (geometric means)"),
        ("shr", "SHR minus each baseline"),
    ):
        for group, who in WHO.items():
            title = f"kframes auto, {what}, paired: {who}"
            parts.append(titled(title, differences(report, group, metric, report["ks"], RIVALS)))
    parts.append(titled("kframes auto against focused and hybrid, all queries but holistic", of_auto(report)))
    if report["answerer"]:
        for group, who in {**WHO, "all but holistic": "all questions"}.items():
            parts.append(titled(f"Right answers: {who}", by_k(report, group, "right", report["answer_ks"])))
        ks = report["answer_ks"]
        parts.append(
            titled("kframes auto minus each baseline, right answers, all questions; McNemar's p",
                   differences(report, "all but holistic", "right", ks, RIVALS))
        )  # fmt: skip
    parts.append(titled("Where evidence is lost, by kind of query", losses(report)))
    parts.append(titled("Cost, CPU seconds on one core", costs(report)))
    parts.append(titled("Are the reasons true?", reasons(report)))
    if report["answers_with_reasons"]:
        parts.append(titled("Right answers with the reasons in the prompt, k = 8", with_reasons(report)))
    return "\n\n".join(parts) + "\n"


def about(report: Report) -> str:
    """What was measured, in one paragraph."""
    return (
        f"{report['videos']} held-out videos of the {report['split']} split, {report['seconds'] / 3600:.1f} hours, decoded "
        f"from H.264 files; {report['queries']} queries and questions about what is there. All baselines (mended: exact k) "
        f"choose from the same T = {report['candidates']} candidates by the same scores (nano's prediction of the frames) and "
        f"features (nano's vision tokens). kframes finds clips on the same candidates (by its checkpoint's prediction), "
        "moves their ends to cuts and takes any frame inside; "
        f'"{ON_CANDIDATES}" may take candidates only, "{FROM_SCORES}" writes nothing. At k = T all that take candidates '
        "only give the same frames. Scenes of the metrics: the true clips, ends as they are. In brackets: 95% interval, "
        "bootstrap over videos."
    )


def by_k(report: Report, group: str, metric: str, ks: Sequence[int]) -> str:
    """One measure of one group by budget."""
    rows = [[name, *(cell(find(report, name, group, f"{metric}, k={k}")) for k in ks)] for name in PICKS]
    count = counted(report, [KFRAMES], group, f"{metric}, k={ks[0]}").removeprefix(group)
    return table([f"selector{count}", *(f"k = {k}" for k in ks)], rows)


def by_spans(report: Report, k: int) -> str:
    """UKSS by number of evidence spans."""
    measure = f"ukss, k={k}"
    rows = [[name, *(cell(find(report, name, group, measure)) for group in BY_SPANS)] for name in PICKS]
    return table(["selector", *(counted(report, [KFRAMES], group, measure) for group in BY_SPANS)], rows)


def differences(report: Report, group: str, metric: str, ks: Sequence[int], others: Sequence[str]) -> str:
    """Paired differences, one line a baseline."""
    found = {(row["other"], row["group"], row["measure"]): row for row in report["differences"]}
    rows = []
    for other in others:
        cells = [found.get((other, group, f"{metric}, k={k}")) for k in ks]
        rows.append([other, *map(_compared, cells)])
    return table(["against", *(f"k = {k}" for k in ks)], rows)


def _compared(row: Mapping[str, Any] | None) -> str:
    """A ratio, or a signed difference and maybe McNemar's p."""
    if row is None:
        return ""
    if "ratio" in row:
        return cell(row["ratio"])
    return cell(row["difference"], sign=True) + (f", p {row['p']:.2g}" if "p" in row else "")


def of_auto(report: Report) -> str:
    """Is auto as good as the better of focused and hybrid? Ratio of UKSS, differences of SHR and right answers."""
    found = {(row["other"], row["measure"]): row for row in report["differences"] if row["group"] == "all but holistic"}
    rows = []
    for metric, name in (("ukss", "UKSS, over"), ("shr", "SHR, minus"), ("right", "right answers, minus")):
        for other in (FOCUSED, HYBRID):
            cells = [_compared(found.get((other, f"{metric}, k={k}"))) for k in report["ks"]]
            rows += [[f"{name} {other.removeprefix('kframes ')}", *cells]] if any(cells) else []
    return table(["kframes auto", *(f"k = {k}" for k in report["ks"])], rows)


def losses(report: Report) -> str:
    """Queries whose evidence no clip touches, and whether the best-scored candidate shows it."""
    found = report["losses"]
    rows = [[text, *(cell(groups.get(group)) for group in LOST_IN)] for text, groups in found.items()]
    counts = next(iter(found.values()))
    return table(["share of the queries", *(f"{group} ({counts[group][3]})" for group in LOST_IN)], rows)


def costs(report: Report) -> str:
    """What looking, scoring, writing and picking cost."""
    cost = report["costs"]
    shared = (
        f"Everyone: {cost['decode_a_video']:.2f} a video to decode {report['candidates']} candidates, "
        f"{cost['see_a_video']:.2f} to see them; then"
    )
    rows = []
    for name in PICKS:
        blind, oracle = name.startswith("uniform"), name.startswith("oracle")
        written = name in (KFRAMES, FOCUSED, HYBRID, ON_CANDIDATES)
        model = 0.0 if blind or oracle else cost["write_a_query"] if written else cost["score_a_query"]
        cuts = cost["snap_a_query"] if name in OURS and name != ON_CANDIDATES else 0.0
        scored = 0.0 if blind or oracle else cost["focus_scores"] if name == "focus" else 1.0
        rows.append(
            [name, f"{model:.4f}", f"{cuts:.4f}", f"{cost['tokens_a_query']:.0f}" if written else "0",
             f"{scored * report['candidates']:.0f}", f"{1000 * cost['pick'][name]:.2f}"]
        )  # fmt: skip
    head = [
        "selector",
        "model, a query",
        "ends on cuts, a query",
        "tokens written",
        "frames it needs scored",
        "picking, ms a query and k",
    ]
    return f"{shared}\n\n{table(head, rows)}"


def reasons(report: Report) -> str:
    """Shares of true reasons."""
    found = report["reasons"]
    rows = [[text, cell(found[name]), str(found[name][3])] for name, text in REASONS.items() if name in found]
    return table(["of the reasons that nano wrote (no holistic queries)", "share", "of"], rows)


def with_reasons(report: Report) -> str:
    """Right answers without and with reasons."""
    rows = []
    for group, arms in report["answers_with_reasons"].items():
        for arm, one in arms.items():
            change = "" if arm == "without" else f"{cell(one['difference'], sign=True)}, p {one['p']:.2g}"
            rows.append([group, arm, cell(one["mean"]), change])
    return table(["questions", "in the prompt", "right", "minus without"], rows)
