"""What a run found -> plain JSON: means with intervals by group, paired differences, costs, conformance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from kframes_plugin.types import Clip, Cost
from kframes_training.evaluation.data import Data, Item
from kframes_training.evaluation.metrics import clip_scores, compare, haystack_scores, kfs_scores, ukss_mean
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.run.loop import Outcome
from kframes_training.evaluation.scoring import groups_of
from kframes_training.evaluation.statistics import ByVideo, difference, estimate, plain

RIGHT = "right"
CLIPS = ("iou", "R@0.3", "R@0.5", "R@0.7")
COMPARED = (RIGHT, "kfr", "shr", "ukss", "f1")
Row = Mapping[str, Any]
Values = dict[
    tuple[str, int, str], dict[str, dict[str, list[float]]]
]  # selector, k, group -> measure -> video -> values


def report_of(
    outcome: Outcome, data: Data, settings: Mapping[str, Any], names: Sequence[str], ks: Sequence[int], against: str
) -> dict[str, Any]:
    """Everything that the tables need.

    Args:
        outcome: of the run.
        data: that was read, with what is missing in it.
        settings: of the run, plain JSON values.
        names: of the selectors, in order.
        ks: budgets.
        against: the selector that all others are compared with.
    """
    rows = [{**row, "scores": scores_of(row)} for row in outcome.rows]
    values = values_of(rows)
    return {
        "benchmark": "eval",
        **about_this_run(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "settings": dict(settings),
        "data": about_data(data, outcome),
        "selectors": list(names),
        "ks": list(ks),
        "against": against,
        "table": table_of(values),
        "differences": differences_of(values, names, ks, against),
        "costs": {name: mean_cost(costs) for name, costs in outcome.costs.items()},
        "answer_costs": [
            {"selector": name, "k": k, **mean_cost(costs)} for (name, k), costs in outcome.answers.items()
        ],
        "conformance": conformance_of(rows, names, ks),
        "notes": outcome.notes,
        "made": outcome.made,
        "reused": outcome.reused,
        "items": [item_row(row) for row in rows],
    }


def about_data(data: Data, outcome: Outcome) -> dict[str, Any]:
    """What there was, and what there was not: every missing video by name."""
    present = data.present
    return {
        "kind": data.kind,
        "items": len(data.items),
        "items_with_video": len(present),
        "videos": len({item.video for item in present}),
        "missing": {"count": len(data.missing), "videos": list(data.missing)},
        "failed": {"count": len(outcome.failed), "videos": outcome.failed},
        "odd": {"count": len(data.odd), "rows": list(data.odd)},
        "answered": len({id(row["item"]) for row in outcome.rows if RIGHT in row}),
    }


def scores_of(row: Row) -> dict[str, float | None]:
    """All measures that the truth of a row's item allows."""
    item: Item = row["item"]
    scores: dict[str, float | None] = {}
    if item.scenes:
        scores |= kfs_scores(row["frames"], item.scenes, grace=0.0)  # readers give exact ends
        if row["clips"]:
            found = clip_scores([Clip(**clip) for clip in row["clips"]], [Clip(a, b) for a, b in item.spans])
            scores |= {name: found[name] for name in CLIPS}
    if item.points:
        scores |= haystack_scores(row["frames"], item.points)
    if RIGHT in row:
        scores[RIGHT] = float(row[RIGHT])
    return scores


def groups(row: Row) -> list[str]:
    """The lines that a row counts in: all, pieces of evidence, length, and the data set's own groups."""
    item: Item = row["item"]
    return groups_of({"spans": item.evidence, "duration": row["duration"]}) + [
        f"{name}: {value}" for name, value in item.groups.items()
    ]


def values_of(rows: Iterable[Row]) -> Values:
    """All single values; the items of a video are in the same order for every selector."""
    found: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        for group in groups(row) if row["scores"] else ():
            into = found[row["selector"], row["k"], group]
            for name, value in row["scores"].items():
                if value is not None:
                    into[name][row["path"]].append(value)
    return found


def table_of(values: Values) -> list[dict[str, Any]]:
    """One entry a (selector, k, group): measure -> [mean, low, high, items]; of UKSS the geometric mean, as published."""
    table = []
    for (selector, k, group), measures in values.items():
        means = {name: plain(ukss_mean(by) if name == "ukss" else estimate(by)) for name, by in measures.items()}
        table.append({"selector": selector, "k": k, "group": group, **means})
    return table


def differences_of(values: Values, names: Sequence[str], ks: Sequence[int], against: str) -> list[dict[str, Any]]:
    """Every selector - ``against`` on the same items, by group: bootstrap over videos; of answers McNemar's exact test."""
    rows = []
    grouped = sorted({group for _, _, group in values}, key=lambda group: (group != "all", group))
    for name in names:
        for k in ks:
            for group in grouped:
                mine, its = values.get((name, k, group)), values.get((against, k, group))
                if name == against or mine is None or its is None:
                    continue
                for measure in COMPARED:
                    if set(mine.get(measure, {})) & set(its.get(measure, {})):
                        row = {"one": name, "other": against, "k": k, "group": group, "measure": measure}
                        rows.append(row | _compared(mine[measure], its[measure], measure))
    return rows


def _compared(mine: ByVideo, its: ByVideo, measure: str) -> dict[str, Any]:
    if measure != RIGHT:
        return {"difference": plain(difference(mine, its))}
    return compare(mine, its).to_dict()


def mean_cost(costs: Sequence[Cost]) -> dict[str, Any]:
    """Means over queries, each as if it were asked alone; seconds by step."""

    def mean(of: Callable[[Cost], float]) -> float:
        return round(sum(map(of, costs)) / len(costs), 4)

    def seconds_of(step: str) -> float:
        return mean(lambda cost: cost.seconds.get(step, 0.0))

    steps = dict.fromkeys(step for cost in costs for step in cost.seconds)
    return {
        "queries": len(costs),
        "frames_decoded": mean(lambda cost: cost.frames_decoded),
        "candidates": mean(lambda cost: cost.candidates),
        "model_calls": mean(lambda cost: cost.model_calls),
        "tokens_in": mean(lambda cost: cost.tokens_in),
        "tokens_out": mean(lambda cost: cost.tokens_out),
        "seconds": mean(lambda cost: sum(cost.seconds.values())),
        "seconds_by_step": {step: seconds_of(step) for step in steps},
    }


def conformance_of(rows: Sequence[Row], names: Sequence[str], ks: Sequence[int]) -> list[dict[str, Any]]:
    """Of every selector and k: share of selections with exactly k frames, without a duplicate, in order of time."""
    found = []
    for name in names:
        for k in ks:
            chosen = [row["frames"] for row in rows if row["selector"] == name and row["k"] == k]
            if chosen:
                count = len(chosen)
                found.append({
                    "selector": name, "k": k, "selections": count,
                    "exactly_k": sum(len(set(one)) == len(one) == k for one in chosen) / count,
                    "distinct": sum(len(set(one)) == len(one) for one in chosen) / count,
                    "in_order": sum(list(one) == sorted(one) for one in chosen) / count,
                })  # fmt: skip
    return found


def item_row(row: Row) -> dict[str, Any]:
    """One selection, as plain JSON."""
    item: Item = row["item"]
    kept = {"id": item.id, "video": item.video.name, "query": item.query, "selector": row["selector"], "k": row["k"],
            "timestamps": row["frames"], "scores": row["scores"]}  # fmt: skip
    return kept | {name: row[name] for name in ("choice", "chances") if name in row}
