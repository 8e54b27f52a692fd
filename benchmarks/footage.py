"""Selectors on real footage, as far as they can be judged without a pretrained model's weights.

    python benchmarks/footage.py ../shared/videos/dev --haystacks FOLDER [--out OUT.json]

The queries of MANIFEST.json on the clips themselves (those under a minute, and the long ones), and on haystacks of 12,
20 and 28 minutes, assembled from the clips (haystack.py) where FOLDER does not hold them yet. 256 candidates.

What can run offline: the uniform conventions; scenes (kframes' selector of that name: one clip a scene); the published
selectors by a score that does not read the query, namely how far a candidate's colours are from the mean of the video
("by novelty"), which shows what the algorithms do without relevance; nano, which knows drawn scenes only and says so by
refusing a query; and the oracle. What ranks frames by the query (top-k, AKS, BOLT, MDP3 and the others as they are
meant, and kframes with a model that knows real footage) needs image-text weights and is not judged here.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import haystack
import numpy as np
from kframes_training.evaluation.baselines import BASELINES, BLIND
from kframes_training.evaluation.metrics.kfs_bench import KFS_METRICS, kfs_scores, ukss_mean
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.statistics import estimate, plain
from kframes_training.evaluation.tables import cell, table, titled
from numpy.typing import NDArray

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.mllm.vocabulary import refusal
from kframes_plugin.selectors.load import NANO
from kframes_plugin.selectors.scenes import SceneSelector
from kframes_plugin.types import Candidates, Clip, Span, Strategy
from kframes_plugin.video import OpenVideo

if TYPE_CHECKING:
    from kframes_plugin.selectors.mllm import MLLMSelector

KS = (8, 16, 32, 64)
CANDIDATES, SIZE = 256, 64  # candidates, their long side in pixels
HAYSTACKS = ((12, 1), (20, 2), (28, 3))  # minutes, seed
BY_NOVELTY = tuple(name for name in BASELINES if name not in (*BLIND, "oracle"))
GROUPS = ("clips under a minute", "long videos", "haystacks", "haystacks, several spans")
TITLES = {"shr": "share of the true spans that are shown (SHR)", "ukss": "UKSS (geometric mean)"}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A video, the queries about it with their true spans, and queries that nothing in it answers."""

    path: Path
    group: str
    queries: list[tuple[str, list[Span]]]
    negative: list[str]


def asked_of(folder: Path, haystacks: Path) -> Iterator[Asked]:
    """All videos that have queries; haystacks are assembled where they are missing."""
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    for item in manifest["items"]:
        queries = [(one["query"], [(a, b) for a, b in one["clips"]]) for one in item["queries"]]
        if queries and item["derived_from"] is None:
            group = "clips under a minute" if item["duration"] < 60 else "long videos"
            yield Asked(folder / item["file"], group, queries, [])
    haystacks.mkdir(parents=True, exist_ok=True)
    cache: dict[str, Any] = {}
    for minutes, seed in HAYSTACKS:
        path = haystacks / f"haystack_{minutes}min_{seed}.mp4"
        if not path.with_suffix(".json").exists():
            haystack.assemble(folder, path, minutes, seed, cache)
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        queries = [(one["query"], [(a, b) for a, b in one["clips"]]) for one in truth["queries"]]
        yield Asked(path, "haystacks", queries, truth["negative_queries"])


def colours_of(frames: Candidates) -> Floats:
    """(T, 4 x 4 x 27) colour histograms of 4 x 4 blocks, of unit norm."""
    rows = []
    for frame in frames:
        pixels = np.asarray(frame.image.resize((32, 32))) // 86  # 3 levels a channel
        codes = (pixels * [9, 3, 1]).sum(-1)
        blocks = codes.reshape(4, 8, 4, 8).swapaxes(1, 2).reshape(16, 64)
        rows.append(np.concatenate([np.bincount(block, minlength=27) for block in blocks]))
    made = np.array(rows, np.float64)
    unit: Floats = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


Pick = Callable[[str, Sequence[Span], int], list[float]]  # (query, true spans, k) -> timestamps


def picks_of(opened: OpenVideo, nano: MLLMSelector) -> dict[str, Pick]:
    """Everyone who can be run, on one video that is looked at once."""
    frames = opened.candidates(CANDIDATES, size=SIZE)
    times, colours = np.array([frame.timestamp for frame in frames]), colours_of(frames)
    mean = colours.mean(0)
    novelty = 1 - colours @ mean / np.linalg.norm(mean)
    parts = SceneSelector()(frames, "")

    def baseline(name: str, query: str, truth: Sequence[Span], k: int) -> list[float]:
        given = {"duration": opened.duration, "features": colours, "truth": truth}
        return [float(times[i]) for i in BASELINES[name](novelty, times, k, **given)]

    def spend(clips: Sequence[Clip], k: int, strategy: Strategy = "focused") -> list[float]:
        scenes = [(part.start, part.end) for part in parts]
        return allocate(clips, k, opened.timestamps, opened.duration, strategy=strategy, scenes=scenes)

    small = opened.candidates(nano.candidates or CANDIDATES, size=nano.frame_size)
    written: dict[str, list[Clip]] = {}  # one answer a query, whatever k

    def nanos(query: str, truth: Sequence[Span], k: int) -> list[float]:
        if query not in written:
            written[query] = nano(small, query)
        return spend(written[query], k, "auto")

    return {
        **{name: partial(baseline, name) for name in BLIND},
        "scenes": lambda query, truth, k: spend(parts, k),
        "nano": nanos,
        **{f"{name} by novelty": partial(baseline, name) for name in BY_NOVELTY},
        "oracle, candidates": partial(baseline, "oracle"),
        "oracle, any frame": lambda query, truth, k: spend([Clip(a, min(b, opened.duration)) for a, b in truth], k),
    }


def measured(asked: Asked, nano: MLLMSelector) -> dict[str, Any]:
    """The record of one video: metrics of every pick, what nano refused, CPU seconds."""
    begin = process_time()
    with OpenVideo(asked.path) as opened:
        picks = picks_of(opened, nano)
        looked, items, broken = process_time() - begin, [], 0
        for query, spans in asked.queries:
            true = [(start, min(end, opened.duration)) for start, end in spans if start < opened.duration]
            scores = {}
            for name, pick in picks.items():
                chosen = {k: pick(query, true, k) for k in KS}
                promised = len(opened.timestamps) if name in ("scenes", "nano", "oracle, any frame") else CANDIDATES
                broken += sum(
                    len(set(times)) != min(k, promised, len(opened.timestamps)) for k, times in chosen.items()
                )
                kfs = {k: kfs_scores(times, [[span] for span in true], grace=0.0) for k, times in chosen.items()}
                scores[name] = {str(k): [round(one[metric], 5) for metric in KFS_METRICS] for k, one in kfs.items()}
            items.append({"query": query, "spans": len(true), "scores": scores})
    known = nano.settings.vocabulary or ()
    return {
        "video": asked.path.name,
        "group": asked.group,
        "duration": opened.duration,
        "items": items,
        "refused": [bool(refusal(query, known)) for query, _ in asked.queries],
        "negative_refused": [bool(refusal(query, known)) for query in asked.negative],
        "not_exactly_k": broken,
        "looking": looked,
        "all": process_time() - begin,
    }


def groups_of(record: Mapping[str, Any], item: Mapping[str, Any]) -> list[str]:
    """The groups that a query counts in."""
    several = record["group"] == "haystacks" and item["spans"] > 1
    return [record["group"], *(["haystacks, several spans"] if several else [])]


def summed(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """selector -> group -> "metric, k=8" -> [mean, low, high, queries]; of UKSS the geometric mean."""
    values: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list))))
    for record in records:
        for item in record["items"]:
            for name, by_k in item["scores"].items():
                for (k, row), group in product(by_k.items(), groups_of(record, item)):
                    for metric, value in zip(KFS_METRICS, row, strict=True):
                        values[name][group][f"{metric}, k={k}"][record["video"]].append(value)
    return {
        name: {
            group: {
                measure: plain(ukss_mean(by_video) if measure.startswith("ukss") else estimate(by_video))
                for measure, by_video in measures.items()
            }
            for group, measures in groups.items()
        }
        for name, groups in values.items()
    }


def markdown(report: Mapping[str, Any]) -> str:
    """All tables."""
    found = report["table"]
    parts = [_about(report)]
    for group in GROUPS:
        if group not in found["scenes"]:
            continue
        count = found["scenes"][group][f"shr, k={KS[0]}"][3]
        for metric, title in (
            ("shr", "share of the true spans that are shown (SHR)"),
            ("ukss", "UKSS (geometric mean)"),
        ):
            rows = [[name, *(cell(groups[group][f"{metric}, k={k}"]) for k in KS)] for name, groups in found.items()]
            parts.append(titled(f"{group}: {title}", table([f"selector ({count})", *(f"k = {k}" for k in KS)], rows)))
    return "\n\n".join(parts) + "\n"


def _about(report: Mapping[str, Any]) -> str:
    return (
        f"{report['videos']} videos, {report['seconds'] / 60:.0f} minutes, of them {len(HAYSTACKS)} haystacks; "
        f"{report['queries']} queries, {report['candidates']} candidates. In brackets: 95% interval, bootstrap over "
        "videos (few, so wide; the haystacks are of the same clips). Nothing here reads the query but the oracle and "
        f"nano, which knows drawn scenes only: it refused {report['refused']:.0%} of the queries as words it was never "
        f"trained on ({report['negative_refused']:.0%} of those that nothing answers), and then gives every scene "
        "a frame. By novelty: the published algorithms on a score that does not read the query. **Not judged, for want "
        "of image-text weights: top-k, AKS, BOLT, MDP3, FOCUS, WFS-SB, F2C's clips and Q-Frame on relevance, and "
        f"kframes with a selector that knows real footage.** Picks that were not exactly k distinct frames: "
        f"{report['not_exactly_k']}. CPU: {report['cpu_seconds']:.0f} s."
    )


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the clips and MANIFEST.json")
    parser.add_argument("--haystacks", type=Path, required=True, help="folder, written where empty")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from kframes_plugin.selectors.mllm import MLLMSelector  # here, so that the tables can be made without torch

    nano = MLLMSelector.from_pretrained(NANO, device="cpu")
    records = [measured(asked, nano) for asked in asked_of(options.folder, options.haystacks)]
    refused = [one for record in records for one in record["refused"]]
    negative = [one for record in records for one in record["negative_refused"]]
    report = {
        "benchmark": "footage",
        **about_this_run(),
        "videos": len(records),
        "seconds": round(sum(record["duration"] for record in records), 1),
        "queries": len(refused),
        "candidates": CANDIDATES,
        "refused": sum(refused) / len(refused),
        "negative_refused": sum(negative) / max(1, len(negative)),
        "not_exactly_k": sum(record["not_exactly_k"] for record in records),
        "cpu_seconds": round(sum(record["all"] for record in records), 1),
        "table": summed(records),
    }
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(markdown(report))


if __name__ == "__main__":
    main()
