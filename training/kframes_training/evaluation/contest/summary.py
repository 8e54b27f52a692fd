"""Records of the contest -> means with intervals over videos, paired differences, costs, faithfulness of reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kframes_training.evaluation.contest.picks import FOCUSED, HYBRID, KFRAMES, PICKS, RIVALS
from kframes_training.evaluation.metrics import compare
from kframes_training.evaluation.metrics.kfs_bench import KFS_METRICS, ukss_mean, ukss_ratio
from kframes_training.evaluation.statistics import ByVideo, difference, estimate, plain

Record = Mapping[str, Any]
Values = dict[str, dict[tuple[str, str], dict[str, list[float]]]]  # selector -> (group, measure) -> video -> values
NEEDLES = ("needle", "attribute", "action")
GROUPS = ("needle", "several", "1 span", "2 spans", "3 spans or more", "order", "holistic", "all but holistic")
ARMS = ("reasons", "true reasons", "wrong reasons")


def groups_of(item: Record) -> list[str]:
    """The groups of a query: ``needle`` is a fact of one scene, ``several`` needs two spans or more."""
    if item["kind"] == "holistic":
        return ["holistic"]
    spans = item["spans"]
    groups = ["all but holistic", "1 span" if spans == 1 else "2 spans" if spans == 2 else "3 spans or more"]
    if spans > 1:
        groups.append("several")
    elif item["kind"] in NEEDLES:
        groups.append("needle")
    return [*groups, "order"] if item["kind"] == "order" else groups


def values_of(records: Iterable[Record]) -> Values:
    """All single values; the items of a video are in the same order for every selector. Measures: "ukss, k=8" ..."""
    found: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in sorted(records, key=lambda one: one["seed"]):
        for item in record["items"]:
            for group in groups_of(item):
                for name, by_k in item["metrics"].items():
                    for k, scores in by_k.items():
                        for metric, value in zip(KFS_METRICS, scores, strict=True):
                            found[name][group, f"{metric}, k={k}"][record["video"]].append(value)
                for name, by_k in item.get("right", {}).items():
                    for k, right in by_k.items():
                        found[name][group, f"right, k={k}"][record["video"]].append(float(right))
    return {name: dict(measures) for name, measures in found.items()}


def table_of(values: Values) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """selector -> group -> measure -> [mean, low, high, items]; of UKSS the geometric mean, as KFS-Bench has it."""
    table: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for name, measures in values.items():
        groups: dict[str, dict[str, list[float | None]]] = defaultdict(dict)
        for (group, measure), by_video in measures.items():
            groups[group][measure] = plain(ukss_mean(by_video) if measure.startswith("ukss") else estimate(by_video))
        table[name] = dict(groups)
    return table


def compared(one: ByVideo, other: ByVideo) -> dict[str, Any]:
    """Difference of right answers and McNemar's p."""
    found = compare(one, other)
    return {"difference": plain(found.difference), "p": found.p}


def differences(values: Values, ks: Sequence[int], answer_ks: Sequence[int]) -> list[dict[str, Any]]:
    """kframes auto against every baseline, focused and hybrid, paired.

    Of SHR and right answers the difference; of UKSS the ratio of the geometric means.
    """
    measures = [f"{metric}, k={k}" for metric in ("ukss", "shr") for k in ks] + [f"right, k={k}" for k in answer_ks]
    rows = []
    for other in (*RIVALS, FOCUSED, HYBRID):
        for group in ("needle", "several", "all but holistic"):
            for measure in measures:
                mine, its = values[KFRAMES].get((group, measure)), values[other].get((group, measure))
                if not mine or not its:
                    continue
                row: dict[str, Any] = {"other": other, "group": group, "measure": measure}
                if measure.startswith("ukss"):
                    row["ratio"] = plain(ukss_ratio(mine, its))
                elif measure.startswith("right"):
                    row |= compared(mine, its)
                else:
                    row["difference"] = plain(difference(mine, its))
                rows.append(row)
    return rows


def costs_of(records: Sequence[Record]) -> dict[str, Any]:
    """CPU seconds and tokens: of looking a video, of scoring and writing a query, of picking a query and k."""
    queries = sum(len(record["items"]) for record in records)
    sums = {name: sum(record["seconds"][name] for record in records) for name in records[0]["seconds"]}
    items = [item for record in records for item in record["items"]]
    return {
        "decode_a_video": sums["decode"] / len(records),
        "see_a_video": sums["see"] / len(records),
        "score_a_query": sums["score"] / queries,
        "write_a_query": sums["write"] / queries,
        "snap_a_query": sums["snap"] / queries,
        "tokens_a_query": sums["tokens"] / queries,
        "focus_scores": sum(item["explored"] for item in items) / queries,
        "pick": {name: sum(item["picking"][name] for item in items) / queries for name in PICKS},
    }


def losses_of(records: Sequence[Record]) -> dict[str, dict[str, list[float | None]]]:
    """what went wrong -> group -> [share of the queries, low, high, queries]."""
    found: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in records:
        for item in record["items"]:
            for group in groups_of(item):
                for name, value in item["lost"].items():
                    found[name][group][record["video"]].append(float(value))
    return {
        name: {group: plain(estimate(by_video)) for group, by_video in groups.items()} for name, groups in found.items()
    }


def reasons_of(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Shares of the written reasons that are true, with intervals over videos; ``new, true``: of what is not asked."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for item in record["items"]:
            for one in item["reasons"] if item["kind"] != "holistic" else []:
                for name, value in one.items():
                    if not name.startswith("new"):
                        found[name][record["video"]].append(float(value))
                for name in ("new, true", "new, by chance") if one.get("new") else ():
                    found[name][record["video"]] += [1.0] * one[name] + [0.0] * (one["new"] - one[name])
    return {name: plain(estimate(by_video)) for name, by_video in found.items() if any(by_video.values())}


def answers_with_reasons(values: Values, k: int) -> dict[str, Any]:
    """Right answers of kframes' k frames without and with reasons in the prompt, and the differences to without."""
    made: dict[str, Any] = {}
    for group in ("needle", "all but holistic"):
        key = (group, f"right, k={k}")
        without = values.get(KFRAMES, {}).get(key)
        if not without:
            continue
        made[group] = {"without": {"mean": plain(estimate(without))}}
        for arm in ARMS:
            its = values[arm][key]
            made[group][arm] = {"mean": plain(estimate(its)), **compared(its, without)}
    return made
