"""Records of a run -> means with intervals, paired differences, costs: what ``results.json`` holds.

Every value is a list [mean, low, high, items] (see statistics.py), so that a table can be made from the file alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kframes_plugin.types import Clip
from kframes_training.evaluation.metrics import clip_scores, compare
from kframes_training.evaluation.statistics import difference, estimate, plain

Record = Mapping[str, Any]
Values = dict[str, dict[tuple[str, str], dict[str, list[float]]]]  # selector -> (kind, measure) -> video -> values
LENGTHS = ((0.0, 180.0, "videos < 3 min"), (180.0, 480.0, "videos of 3-8 min"), (480.0, math.inf, "videos > 8 min"))
ANSWER = "answers"  # their kinds begin with this word, as "answers needle"
# Questions whose answer stands in the one scene that they describe, and all questions.
GROUPS = {"needle": ("attribute", "action"), "all": ("attribute", "action", "order", "count")}


def values_of(records: Iterable[Record]) -> Values:
    """All single values, grouped; the items of a video are in the same order for every selector."""
    found: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in sorted(records, key=lambda one: one["seed"]):
        into, video = found[record["selector"]], record["video"]
        length = next(name for low, high, name in LENGTHS if low <= record["duration"] < high)
        for row in record["queries"]:
            scores = clip_scores(clips_from(row["clips"]), clips_from(row["truth"]))
            kinds = [row["kind"], *([f"needle, {length}"] if row["kind"] == "needle" else [])]
            for kind in (*kinds, "all that are there" if row["truth"] else "absent"):
                for name, value in scores.items():
                    into[kind, name][video].append(value)
        for row in record["questions"]:
            groups = [group for group, members in GROUPS.items() if row["kind"] in members]
            for kind in (row["kind"], *groups, *(f"{group}, {length}" for group in groups)):
                for k, right in row["right"].items():
                    into[f"{ANSWER} {kind}", f"k={k}"][video].append(float(right))
    return {selector: dict(measures) for selector, measures in found.items()}


def clips_from(rows: Sequence[Sequence[Any]]) -> list[Clip]:
    """Clips as they stand in a record: [start, end, priority, reason]."""
    return [Clip(start, end, priority, reason) for start, end, priority, reason in rows]


def table_of(values: Values) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """selector -> kind -> measure -> [mean, low, high, items]."""
    table: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for selector, measures in values.items():
        kinds: dict[str, dict[str, list[float | None]]] = defaultdict(dict)
        for (kind, measure), by_video in measures.items():
            kinds[kind][measure] = plain(estimate(by_video))
        table[selector] = dict(kinds)
    return table


def compared(
    values: Values, pairs: Iterable[tuple[str, str]], measures: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Paired differences ``one`` - ``other`` of selectors; of right and wrong answers also McNemar's exact test."""
    rows = []
    for one, other in pairs:
        for key in measures:
            mine, its = values.get(one, {}).get(key, {}), values.get(other, {}).get(key, {})
            if not set(mine) & set(its):
                continue
            told = (
                compare(mine, its).to_dict()
                if key[0].startswith(ANSWER)
                else {"difference": plain(difference(mine, its))}
            )
            rows.append({"one": one, "other": other, "kind": key[0], "measure": key[1], **told})
    return rows


def costs_of(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """CPU seconds of every selector: candidates and sight a video, reading a query, tokens written a query."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for record in records:
        into = sums[record["selector"]]
        into["videos"] += 1
        into["texts"] += len(record["queries"]) + len(record["questions"])
        for name, value in record["seconds"].items():
            into[name] += value
    return {
        selector: {
            "sight_a_video": one["see"] / one["videos"],
            "read_a_query": one["read"] / one["texts"],
            "snap_a_query": one["snap"] / one["texts"],
            "tokens_a_query": one["tokens"] / one["texts"],
        }
        for selector, one in sums.items()
    }


def standard_measures(ks: Sequence[int]) -> list[tuple[str, str]]:
    """What is compared: IoU of needles and of all queries, abstention, answers to needles and to all at every k."""
    clips = [("needle", "iou"), ("all that are there", "iou"), ("absent: known words", "empty")]
    return clips + [(f"{ANSWER} {group}", f"k={k}") for group in GROUPS for k in ks]
