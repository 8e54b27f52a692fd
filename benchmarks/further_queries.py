"""What a further query on an open video costs, beside the first: CPU seconds, with opening and decoding in the first.

    python benchmarks/long_videos.py clips videos --gop 10 --minutes 10
    python benchmarks/further_queries.py videos/g10_10min.mp4 --queries 50 --out further.json

Selectors: names of ``kframes models``, and "tiny-text" and "tiny-scores", a Qwen2.5-VL of two layers with random
weights that writes 64 tokens, or scores the frames. Every query is asked again of fresh candidates, from which no
selector has kept anything; what it finds must be the same. Prints a Markdown table; writes JSON with commit, versions,
device and seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from decode import about_this_run, cpu_seconds

from kframes_plugin import KFrames, Selection
from kframes_plugin.session import VideoSession
from kframes_plugin.types import Candidates

WORDS = ("dog", "car", "child", "tree", "boat", "horse", "ball", "train", "hat", "bird")
COLOURS = ("red", "white", "black", "blue", "old")
SELECTORS = ("tiny-text", "tiny-scores", "nano", "lite")
KNOWN = ("circle", "star", "square", "triangle", "cross")  # nano knows drawings alone


def list_queries(selector: str, count: int) -> list[str]:
    """As many different queries, in words that the selector knows."""
    things = KNOWN if selector == "nano" else WORDS
    pairs = [f"{colour} {thing}" for thing in things for colour in COLOURS[:4]]
    ordered = [f"{one} before {other}" for one in pairs for other in pairs if one != other]
    return [*pairs, *ordered][:count]


def build_selector(name: str, candidates: int | None) -> KFrames:
    """The KFrames of a name."""
    if not name.startswith("tiny-"):
        return KFrames.from_pretrained(name, candidates=candidates)
    import torch
    from random_models import build_model

    from kframes_plugin.mllm.checkpoint import CheckpointSettings
    from kframes_plugin.selectors.mllm import MLLMSelector

    model, processor = build_model("tiny", "cpu", torch.float32)
    prediction: Any = name.removeprefix("tiny-")
    settings = CheckpointSettings(max_new_tokens=64)
    return KFrames(MLLMSelector(model, processor, settings=settings, prediction=prediction), candidates=candidates)


def measure(selector: str, options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of the first and of the further queries, and how many of them are as when asked afresh."""
    kframes = build_selector(selector, options.candidates)
    first, *further = list_queries(selector, options.queries + 1)
    start = cpu_seconds()
    with kframes.open(options.video) as session:
        session.select(first, options.k)
        row: dict[str, Any] = {"selector": selector, "first": cpu_seconds() - start}
        costs, found = [], []
        for query in further:
            start = cpu_seconds()
            found.append(session.select(query, options.k))
            costs.append(cpu_seconds() - start)
        checked = further[:: max(1, len(further) // options.fresh)]
        same = sum(is_as_afresh(kframes, session, query, found[further.index(query)]) for query in checked)
        row |= {"candidates": len(session.candidates()), "with_clips": sum(bool(one.clips) for one in found)}
    mean = sum(costs) / len(costs)
    row |= {"further_median": median(costs), "further_mean": mean, "further_most": max(costs)}
    return {**row, "share": mean / row["first"], "queries": len(further), "checked": len(checked), "same": same}


def is_as_afresh(kframes: KFrames, session: VideoSession, query: str, selection: Selection) -> bool:
    """Whether a query finds the same in candidates of which nothing is kept; written answers are quoted in notes."""
    kept = session.candidates()
    fresh = Candidates(kept, kept.duration, transcript=kept.transcript, screen_text=kept.screen_text)
    alone = kframes.find(fresh, query, session.video)
    same = (tuple(alone), alone.nearest) == (selection.clips, selection.nearest)
    return same and set(alone.notes) <= set(selection.notes)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    heads = "selector, candidates | first, CPU s | further, median | mean | most | mean, of the first | same as afresh"
    lines = [f"| {heads} | with clips |", "|" + "---|" * 8]
    for row in rows:
        times = " | ".join(f"{row[name]:.3f}" for name in ("first", "further_median", "further_mean", "further_most"))
        same = f"{row['same']} of {row['checked']} | {row['with_clips']} of {row['queries']}"
        lines.append(f"| {row['selector']}, {row['candidates']} | {times} | {row['share']:.1%} | {same} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--selectors", default=",".join(SELECTORS))
    parser.add_argument("--queries", type=int, default=50, help="further queries (default 50)")
    parser.add_argument("--fresh", type=int, default=50, help="of them that are asked again afresh (default 50)")
    parser.add_argument("--candidates", type=int, help="T; default: what the selector asks for")
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    rows = [measure(name, options) for name in options.selectors.split(",")]
    print(table(rows))
    if options.out:
        report = {"benchmark": "further queries", **about_this_run(0), "video": Path(options.video).name, "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
