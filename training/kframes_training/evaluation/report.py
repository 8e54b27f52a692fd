"""Rows of a run -> plain JSON: failures, means with intervals by group, paired differences, costs, conformance.

What raised and what found nothing counts as 0 in every mean; both are also told by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from kframes_plugin.types import Clip, Cost
from kframes_training.evaluation.loop import Outcome, Plan
from kframes_training.evaluation.metrics import clip_scores, compare, haystack_scores, kfs_scores
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.scoring import groups_of
from kframes_training.evaluation.selectors import POOLS
from kframes_training.evaluation.statistics import MEANS, ByVideo, compare_metric, estimate_metric, plain
from kframes_training.sources.datasets import Data, Item

RIGHT = "right"
ABSENT = "absent"
COMPARED = (RIGHT, "kfr", "shr", "ukss", "f1", "iou")
Row = Mapping[str, Any]
Line = tuple[str, str, int | None, str]  # selector, pool, k (None: of clips, whatever k), group
Values = dict[Line, dict[str, dict[str, list[float]]]]  # -> measure -> video -> values


def build_report(
    outcome: Outcome,
    data: Data,
    plan: Plan,
    *,
    study: str,
    settings: Mapping[str, Any],
    against: Sequence[str],
    compared_groups: Sequence[str] | None = None,
    with_items: bool = True,
    more: Callable[[Sequence[Row]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything that the tables need.

    Args:
        outcome: of the run.
        data: that was measured, with what is missing in it.
        plan: of the run.
        study: its name.
        settings: of the run, plain JSON values.
        against: the selectors that all others are compared with.
        compared_groups: groups whose differences are told; None: all.
        with_items: keep every single selection too.
        more: numbers of the study's own, made from the rows.
    """
    names, ks = [one.name for one in plan.selectors], list(plan.ks)
    values = collect_values(outcome.rows, ks)
    return {
        "benchmark": study,
        **about_this_run(),
        "settings": {
            **settings,
            "selectors": {one.name: one.settings for one in plan.selectors},
            "scorer": plan.scorer.settings if plan.scorer else None,
            "answerer": plan.answerer.settings if plan.answerer else None,
        },
        "data": describe_data(data, outcome),
        "selectors": names,
        "ks": ks,
        "pools": list(POOLS),
        "against": list(against),
        "failures": count_failures(outcome.rows, names),
        "no_clip": count_empty(outcome.rows, names),
        "table": estimate_all(values),
        "differences": compare_all(values, names, against, compared_groups),
        "costs": {name: mean_cost(costs) for name in names if (costs := _costs(outcome.rows, name))},
        "waits": measure_waits(outcome.rows, names) if plan.together == 1 else {},
        "answer_costs": list(_answer_costs(outcome.rows, names, ks)),
        "conformance": list(measure_conformance(outcome.rows, names, ks)),
        "notes": count_notes(outcome.rows),
        **({} if more is None else more(outcome.rows)),
        "made": outcome.made,
        "kept": outcome.kept,
        **({"items": [one for row in outcome.rows for one in _item_rows(row, ks)]} if with_items else {}),
    }


def describe_data(data: Data, outcome: Outcome) -> dict[str, Any]:
    """What there was, and what there was not: every missing video by name."""
    lengths = {str(row["item"].video): row["duration"] for row in outcome.rows}
    return {
        "kind": data.kind,
        "items": len(data.items),
        "measured": len({row["item"].id for row in outcome.rows}),
        "videos": len(lengths),
        "seconds": round(sum(lengths.values()), 1),
        "missing": list(data.missing),
        "unreadable": outcome.unreadable,
        "odd": list(data.odd),
        "answered": len({row["item"].id for row in outcome.rows if row["answers"]}),
    }


def count_failures(rows: Iterable[Row], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of every selector that raised: how often, of how many items, and the messages with their numbers."""
    found: dict[str, dict[str, Any]] = {name: {"raised": 0, "of": 0, "messages": defaultdict(int)} for name in names}
    for row in rows:
        one = found[row["selector"]]
        one["of"] += 1
        if "error" in row:
            one["raised"] += 1
            one["messages"][row["error"]] += 1
    return {name: one | {"messages": dict(one["messages"])} for name, one in found.items() if one["raised"]}


def count_empty(rows: Iterable[Row], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of every selector that names clips: for how many items with something to find it named none."""
    found = {name: {"none": 0, "of": 0} for name in names}
    for row in rows:
        if row["item"].evidence and "error" not in row and row["clips"] is not None:
            found[row["selector"]]["of"] += 1
            found[row["selector"]]["none"] += not row["clips"]["free"]
    return {name: one for name, one in found.items() if one["none"]}


def score_row(row: Row, pool: str, k: int | None) -> dict[str, float]:
    """All measures that the truth of a row's item allows: of its clips (k is None), or of its k frames."""
    item: Item = row["item"]
    failed = "error" in row
    if k is None:
        if (not failed and row["clips"] is None) or not (item.scenes or item.absent):
            return {}
        found = [] if failed else [Clip(**clip) for clip in row["clips"][pool]]
        scores = clip_scores(found, [Clip(start, end) for start, end in item.spans])
        return dict.fromkeys(scores, 0.0) if failed else scores
    frames = [] if failed else row["frames"][pool][str(k)]
    scores = {}
    if item.scenes:
        scores |= kfs_scores(frames, item.scenes, grace=0.0)  # readers give exact ends
    if item.points:
        near = haystack_scores(frames, item.points)
        scores |= {name: value for name in ("precision", "recall", "f1") if (value := near[name]) is not None}
    if answer := row["answers"].get(str(k)):
        scores[RIGHT] = float(answer["choice"] == item.answer)
    elif failed and item.options and item.answer is not None:
        scores[RIGHT] = 0.0
    return scores


def list_groups(row: Row) -> list[str]:
    """The lines that a row counts in: all (or absent), pieces of evidence, length, and the data set's own groups."""
    item: Item = row["item"]
    own = [f"{name}: {value}" for name, value in item.groups.items()]
    if item.absent:
        return [ABSENT, *own]
    return groups_of({"spans": item.evidence, "duration": row.get("duration")}) + own


def collect_values(rows: Sequence[Row], ks: Sequence[int]) -> Values:
    """All single values; the items of a video are in the same order for every selector."""
    found: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    answered = any(row["answers"] for row in rows)
    for row in rows:
        groups, video = list_groups(row), str(row["item"].video)
        for pool in POOLS:
            for k in (None, *ks):
                for name, value in score_row(row, pool, k).items():
                    if name == RIGHT and (pool != "free" or not answered):
                        continue
                    for group in groups:
                        found[row["selector"], pool, k, group][name][video].append(value)
    return found


def estimate_all(values: Values) -> list[dict[str, Any]]:
    """One entry a line of the tables: measure -> [mean, low, high, items]."""
    return [
        {
            "selector": selector,
            "pool": pool,
            "k": k,
            "group": group,
            **{name: plain(estimate_metric(name, by)) for name, by in measures.items()},
        }
        for (selector, pool, k, group), measures in values.items()
    ]


def compare_all(
    values: Values, names: Sequence[str], against: Sequence[str], groups: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Every selector against those named, paired on the same items of the same videos.

    Bootstrap over videos, in the mean that the metric is reported with: a difference, or the ratio of geometric means.
    Of answers McNemar's exact test too.
    """
    rows = []
    for (name, pool, k, group), mine in values.items():
        for other in against:
            its = values.get((other, pool, k, group))
            earlier = other not in names or (name in against and names.index(name) <= names.index(other))
            if its is None or name == other or earlier or (groups is not None and group not in groups):
                continue
            for measure in COMPARED:
                if set(mine.get(measure, {})) & set(its.get(measure, {})):
                    row = {"one": name, "other": other, "pool": pool, "k": k, "group": group, "measure": measure}
                    rows.append(row | _compare(mine[measure], its[measure], measure))
    return rows


def _compare(mine: ByVideo, its: ByVideo, measure: str) -> dict[str, Any]:
    if measure == RIGHT:
        return compare(mine, its).to_dict()
    kind = "ratio" if MEANS[measure] == "geometric" else "difference"
    return {kind: plain(compare_metric(measure, mine, its))}


def mean_cost(costs: Sequence[Cost]) -> dict[str, Any]:
    """Means over queries, each as if it were asked alone; seconds by step."""

    def mean(read: Callable[[Cost], float]) -> float:
        return round(sum(map(read, costs)) / len(costs), 5)

    def seconds(step: str) -> float:
        return mean(lambda cost: cost.seconds.get(step, 0.0))

    steps = dict.fromkeys(step for cost in costs for step in cost.seconds)
    counts = ("frames_decoded", "candidates", "model_calls", "tokens_in", "tokens_out")
    return {
        "queries": len(costs),
        **{name: mean(lambda cost, name=name: getattr(cost, name)) for name in counts},  # type: ignore[misc]
        "seconds": mean(lambda cost: sum(cost.seconds.values())),
        "seconds_by_step": {step: seconds(step) for step in steps},
    }


def _costs(rows: Iterable[Row], name: str) -> list[Cost]:
    return [Cost(**row["cost"]) for row in rows if row["selector"] == name and "error" not in row]


def measure_waits(rows: Iterable[Row], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """selector -> median seconds of the "first" query on a video, its candidates decoded, and of the "next" ones."""
    waits: dict[str, dict[str, list[float]]] = {name: {"first": [], "next": []} for name in names}
    met = set()
    for row in rows:
        if "error" in row:
            continue
        seconds, on_video = dict(row["cost"]["seconds"]), (row["selector"], row["item"].video)
        decoding = seconds.pop("candidates", 0.0)
        which, paid = ("next", 0.0) if on_video in met else ("first", decoding)
        waits[row["selector"]][which].append(sum(seconds.values()) + paid)
        met.add(on_video)
    return {name: {which: median(took) for which, took in one.items() if took} for name, one in waits.items()}


def _answer_costs(rows: Sequence[Row], names: Sequence[str], ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    for name in names:
        mine = [row["answers"] for row in rows if row["selector"] == name and row["answers"]]
        for k in ks if mine else ():
            yield {"selector": name, "k": k, **mean_cost([Cost(**answers[str(k)]["cost"]) for answers in mine])}


def measure_conformance(rows: Sequence[Row], names: Sequence[str], ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Of every selector, pool and k: share of selections with exactly k frames, without a duplicate, in time order."""
    fine = [row for row in rows if "error" not in row]
    for name in names:
        mine = [row["frames"] for row in fine if row["selector"] == name]
        for pool in POOLS if mine else ():
            for k in ks:
                chosen = [frames[pool][str(k)] for frames in mine]
                yield {
                    "selector": name,
                    "pool": pool,
                    "k": k,
                    "selections": len(chosen),
                    "exactly_k": sum(len(set(one)) == len(one) == k for one in chosen) / len(chosen),
                    "distinct": sum(len(set(one)) == len(one) for one in chosen) / len(chosen),
                    "in_order": sum(list(one) == sorted(one) for one in chosen) / len(chosen),
                }


def count_notes(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """selector -> note -> how often."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        for note in row.get("notes", ()):
            notes = found.setdefault(row["selector"], {})
            notes[note] = notes.get(note, 0) + 1
    return found


def _item_rows(row: Row, ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One selection a budget, as plain JSON; of pool "free"."""
    item: Item = row["item"]
    about = {"id": item.id, "video": item.video.name, "query": item.query, "selector": row["selector"]}
    if "error" in row:
        yield about | {"error": row["error"]}
        return
    clips = (
        {} if row["clips"] is None else {"clips": [[c["start"], c["end"], c["priority"]] for c in row["clips"]["free"]]}
    )
    for k in ks:
        answer = row["answers"].get(str(k), {})
        yield (
            about
            | clips
            | {
                "k": k,
                "timestamps": row["frames"]["free"][str(k)],
                "scores": score_row(row, "free", k),
                **{name: answer[name] for name in ("choice", "chances") if name in answer},
            }
        )
