"""``results.json`` of a run -> markdown. Every cell is a mean and its 95% interval over videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kframes_training.evaluation.summary import ANSWER

Report = Mapping[str, Any]
CLIP_KINDS = ("needle", "attribute", "action", "order", "count", "holistic", "all that are there")
CLIP_COLUMNS = {
    "iou": "mIoU",
    "R@0.3": "R@1, .3",
    "R@0.5": "R@1, .5",
    "R@0.7": "R@1, .7",
    "precision": "precision of seconds",
    "recall": "recall of seconds",
    "over": "seconds found / true",
}
NAMES = {**CLIP_COLUMNS, "empty": "abstention"}
ANSWER_KINDS = ("needle", "attribute", "action", "order", "count", "all")


def markdown(report: Report) -> str:
    """All tables of a run."""
    main, ablated = report["contenders"], report["ablations"]
    parts = [
        about(report),
        titled("Clips of needles", clip_table(report, main, "needle")),
        titled("mIoU by kind of query", kind_table(report, main, CLIP_KINDS, "iou")),
        titled("R@1 at IoU .5 by kind of query", kind_table(report, main, CLIP_KINDS, "R@0.5")),
        titled("mIoU of needles by length of the video", kind_table(report, main, lengths(report, "needle"), "iou")),
        titled("Queries answered with no clip", abstention_table(report, main)),
    ]
    if report["answerer"]:
        parts += [titled(f"Right answers, {kind}", answer_table(report, main, kind)) for kind in ("needle", "all")]
        parts += [
            titled(f"Right answers at k = {k} by kind of question", answers_by_kind(report, main, k))
            for k in report["ks"]
        ]
        long = lengths(report, f"{ANSWER} all")
        parts.append(titled("Right answers at k = 8 by length of the video", kind_table(report, main, long, "k=8")))
    parts += difference_tables("Paired differences", report["differences"])
    if ablated:
        parts += ablation_tables(report, [report["best"], *ablated])
    parts.append(
        titled(
            "Cost, CPU seconds on one core (all queries of a video are read together)",
            cost_table(report, [*main, *ablated]),
        )
    )
    if "latency" in report:
        parts.append(titled("Seconds that a user waits, median of 10 videos", latency_table(report)))
    return "\n\n".join(parts) + "\n"


def about(report: Report) -> str:
    """What was measured, in one paragraph."""
    return (
        f"{report['videos']} held-out videos of the {report['split']} split, {report['seconds'] / 3600:.1f} hours, decoded "
        f"from H.264 files; T = {report['candidates']} candidates, size {report['frame_size']}, for every selector. In "
        "brackets: 95% interval, bootstrap over videos. Needle questions: attribute and action. Allocation: kframes' "
        f"defaults. {report['cpu_seconds'] / 60:.0f} CPU minutes."
    )


def titled(title: str, table: str) -> str:
    """A table under its heading."""
    return f"### {title}\n\n{table}"


def clip_table(report: Report, selectors: Sequence[str], kind: str) -> str:
    """All measures of one kind of query."""
    rows = [[name, *(cell(find(report, name, kind, measure)) for measure in CLIP_COLUMNS)] for name in selectors]
    return table(["selector", *CLIP_COLUMNS.values()], rows)


def kind_table(report: Report, selectors: Sequence[str], kinds: Sequence[str], measure: str) -> str:
    """One measure by kind."""
    rows = [[name, *(cell(find(report, name, kind, measure)) for kind in kinds)] for name in selectors]
    return table(["selector", *(counted(report, selectors, kind, measure) for kind in kinds)], rows)


def abstention_table(report: Report, selectors: Sequence[str]) -> str:
    """Right abstention on what is absent, wrong abstention on what is there."""
    kinds = {
        "absent: known words": "absent, known words (should abstain)",
        "absent: unknown words": "absent, words never trained on (should abstain)",
        "absent": "all absent",
        "needle": "needles (should not)",
        "all that are there": "all that are there (should not)",
    }
    rows = [[name, *(cell(find(report, name, kind, "empty")) for kind in kinds)] for name in selectors]
    return table(["selector", *kinds.values()], rows)


def answer_table(report: Report, selectors: Sequence[str], kind: str) -> str:
    """Accuracy by k."""
    ks = report["ks"]
    rows = [[name, *(cell(find(report, name, f"{ANSWER} {kind}", f"k={k}")) for k in ks)] for name in selectors]
    return table(["selector", *(f"k = {k}" for k in ks)], rows)


def answers_by_kind(report: Report, selectors: Sequence[str], k: int) -> str:
    """Accuracy by kind of question."""
    return kind_table(report, selectors, [f"{ANSWER} {kind}" for kind in ANSWER_KINDS], f"k={k}")


def difference_tables(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Paired differences, one line a pair; of answers also McNemar's exact p. Clips, then every group of answers."""
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        group = row["kind"] if row["kind"].startswith(ANSWER) else "clips"
        parts.setdefault(group, []).append(row)
    made = []
    for group, mine in parts.items():
        columns = list(dict.fromkeys((row["kind"], row["measure"]) for row in mine))
        cells = {(row["one"], row["other"], row["kind"], row["measure"]): row for row in mine}
        pairs = dict.fromkeys((row["one"], row["other"]) for row in mine)
        lines = [
            [f"{one} - {other}", *(_differs(cells.get((one, other, *key))) for key in columns)] for one, other in pairs
        ]
        names = [measure if group != "clips" else f"{kind}, {NAMES[measure]}" for kind, measure in columns]
        made.append(titled(f"{title}: {group}", table(["pair", *names], lines)))
    return made


def _differs(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    return cell(row["difference"], sign=True) + (f", p {row['p']:.2g}" if "p" in row else "")


def ablation_tables(report: Report, names: Sequence[str]) -> list[str]:
    """The best checkpoint with one thing changed at a time."""
    kinds = ("needle", "count", "all that are there")
    parts = [titled("Ablations: mIoU", kind_table(report, names, kinds, "iou"))]
    if report["answerer"]:
        parts += [
            titled(f"Ablations: right answers, {kind}", answer_table(report, names, kind))
            for kind in ("needle", "count", "all")
        ]
    return parts + difference_tables("Ablations, paired differences", report["ablation_differences"])


def cost_table(report: Report, names: Sequence[str]) -> str:
    """What seeing and reading cost."""
    rows = [
        [
            name,
            f"{one['sight_a_video']:.3f}",
            f"{one['read_a_query']:.4f}",
            f"{one['snap_a_query']:.4f}",
            f"{one['tokens_a_query']:.0f}",
        ]
        for name in names
        if (one := report["costs"].get(name))
    ]
    return table(
        [
            "selector",
            "vision, a video",
            "reading, a query",
            "finding cuts, a query (frames seen by one above are not decoded again)",
            "tokens written, a query",
        ],
        rows,
    )


def latency_table(report: Report) -> str:
    """One query at a time, through KFrames."""
    rows = [
        [name, f"{one['first']:.2f}", f"{one['next']:.2f}", f"{one['threads']:.0f}"]
        for name, one in report["latency"].items()
    ]
    return table(["prediction", "first query on a video, opening included", "next query", "threads"], rows)


def lengths(report: Report, kind: str) -> list[str]:
    """The parts of a kind by length of the video."""
    found = {name for kinds in report["table"].values() for name in kinds if name.startswith(f"{kind}, videos")}
    return sorted(found, key=lambda name: ("<" not in name, ">" in name))


def counted(report: Report, selectors: Sequence[str], kind: str, measure: str) -> str:
    """A column's head: the kind, and how many items it has."""
    counts = [value[3] for name in selectors if (value := find(report, name, kind, measure))]
    return f"{kind.removeprefix(ANSWER + ' ')} ({counts[0]})" if counts else kind.removeprefix(ANSWER + " ")


def find(report: Report, selector: str, kind: str, measure: str) -> Sequence[float] | None:
    """A value of the report, or None."""
    found: Sequence[float] | None = report["table"].get(selector, {}).get(kind, {}).get(measure)
    return found


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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
