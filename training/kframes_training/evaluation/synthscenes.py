"""Selectors on held-out SynthScenes videos, decoded from real H.264 files: clips by kind of query, answers by k.

    python -m kframes_training.evaluation.synthscenes --videos 500 --selector nano=runs/nano/final \
        --answerer runs/nano/answerer/final --out results.json

Every (video, selector) is one line of ``<out>.jsonl``; a stopped run goes on where it was. All selectors see the same
candidates. Intervals are bootstraps over videos, as the queries of one video are not independent.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kframes_plugin.allocation import allocate
from kframes_plugin.types import Candidates, Clip
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.clips import iou, length, precision_recall
from kframes_training.synthetic import Question, Video, clips_of, queries, questions, sample_video, write_video
from kframes_training.synthetic.world import SPLITS

KS = (4, 8, 16, 32)
# (candidates, query, true clips, rng) -> clips; the truth is for the oracle, the others must not look
Predict = Callable[[Candidates, str, Sequence[Clip], Random], Sequence[Clip]]
# (frames as PIL images with times, question) -> p(option)
Answer = Callable[[Sequence[Any], Question], Sequence[float]]


def uniform(frames: Candidates, query: str, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """No clips: frames come uniformly."""
    return []


def oracle(frames: Candidates, query: str, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """The true clips: the ceiling."""
    return list(true)


def random_clips(frames: Candidates, query: str, true: Sequence[Clip], rng: Random) -> list[Clip]:
    """As many clips of the true lengths, anywhere: what knowing the lengths alone is worth."""
    starts = [rng.uniform(0, max(frames.duration - clip.length, 0)) for clip in true]
    return [Clip(start, start + clip.length) for start, clip in zip(starts, true, strict=True)]


def of_selector(selector: Callable[[Candidates, str], Sequence[Clip]]) -> Predict:
    """A real selector as a Predict."""
    return lambda frames, query, true, rng: selector(frames, query)


def measure_video(video: Video, opened: OpenVideo, frames: Candidates, predict: Predict, name: str,
                  answer: Answer | None, ks: Sequence[int] = KS) -> dict[str, Any]:  # fmt: skip
    """One selector on one video: a record for every query and question."""
    clips = []
    for query in queries(video.scenes, Random(f"queries {video.seed}"), "test"):
        true = clips_of(video.scenes, query)
        found = predict(frames, query.text, true, Random(f"{name} {video.seed} {query.kind}"))
        clips.append({"kind": query.kind, **clip_scores(found, true)})
    asked = []
    for question in questions(video.scenes, Random(f"questions {video.seed}")) if answer else ():
        true = [Clip(video.scenes[i].start, video.scenes[i].end) for i in question.evidence]
        found = predict(frames, question.text, true, Random(f"{name} {video.seed} {question.text}"))
        for k in ks:
            times = allocate(found, k, opened.timestamps, opened.duration, strategy="focused" if found else "uniform")
            options = list(answer(opened.frames_at(times, size=frames[0].image.size), question)) if answer else []
            right = int(np.argmax(options)) == question.answer
            asked.append({"kind": question.kind, "k": k, "right": int(right)})
    return {"video": video.id, "selector": name, "clips": clips, "questions": asked}


def clip_scores(found: Sequence[Clip], true: Sequence[Clip]) -> dict[str, float]:
    """IoU, R@1 at .3/.5/.7 (the first clip against the best true one), precision, recall, over-coverage, empty."""
    predicted, wanted = [(c.start, c.end) for c in found], [(c.start, c.end) for c in true]
    first = (
        max((iou(predicted[:1], [span]) for span in wanted), default=float(not predicted))
        if predicted or not wanted
        else 0.0
    )
    precision, recall = precision_recall(predicted, wanted)
    scores: dict[str, float] = {"iou": iou(predicted, wanted), "precision": precision, "recall": recall}
    scores |= {f"R@{level}": float(first >= level) for level in (0.3, 0.5, 0.7)}
    return scores | {"over": length(predicted) / length(wanted) if wanted else 0.0, "empty": float(not predicted)}


def run(out: Path, seeds: Sequence[int], selectors: Mapping[str, Predict], answer: Answer | None, *, candidates: int = 64,
        frame_size: int = 112, ks: Sequence[int] = KS) -> list[dict[str, Any]]:  # fmt: skip
    """Measure every selector on every video; returns (and appends to ``out``) one record a (video, selector)."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {(record["video"], record["selector"]) for record in done}
    for seed in seeds:
        video = sample_video(seed)
        todo = {name: predict for name, predict in selectors.items() if (video.id, name) not in known}
        if not todo:
            continue
        with TemporaryDirectory() as folder, OpenVideo(str(write_video(video, Path(folder) / "video.mp4"))) as opened:
            frames = opened.candidates(candidates, size=frame_size)
            for name, predict in todo.items():
                done.append(measure_video(video, opened, frames, predict, name, answer, ks))
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    return done


def interval(by_video: Sequence[Sequence[float]], draws: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Mean over all values and its 95% interval, by resampling videos."""
    sums = np.array([sum(values) for values in by_video])
    counts = np.array([len(values) for values in by_video])
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(sums), (draws, len(sums)))
    means = sums[picks].sum(1) / np.maximum(counts[picks].sum(1), 1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(sums.sum() / max(counts.sum(), 1)), float(low), float(high)


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """selector -> measure ("needle iou", "k=8 attribute" ...) -> (mean, low, high)."""
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in records:
        into, video = values[record["selector"]], record["video"]
        for row in record["clips"]:
            for name in row.keys() - {"kind"}:
                into[f"{row['kind']} {name}"][video].append(row[name])
        for row in record["questions"]:
            into[f"k={row['k']} {row['kind']}"][video].append(row["right"])
            into[f"k={row['k']} all"][video].append(row["right"])
    return {
        selector: {name: interval(list(videos.values())) for name, videos in sorted(measures.items())}
        for selector, measures in values.items()
    }


def markdown(table: Mapping[str, Mapping[str, tuple[float, float, float]]], columns: Sequence[str]) -> str:
    """A table of some measures: mean [low, high], one line a selector."""
    lines = ["| selector | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for selector, measures in table.items():
        cells = [f"{m[0]:.3f} [{m[1]:.3f}, {m[2]:.3f}]" if (m := measures.get(column)) else "" for column in columns]
        lines.append(f"| {selector} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def load_answer(folder: str) -> Answer:
    """The tiny answerer of a recipe."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    from kframes_training.answerer import answer_from_frames
    from kframes_training.nano import load_tokenizer

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = load_tokenizer(Path(folder))
    return lambda frames, question: answer_from_frames(model, tokenizer, frames, question)


def main() -> None:
    """Command line."""
    from kframes_plugin.selectors.mllm import MLLMSelector
    from kframes_plugin.selectors.scenes import SceneSelector

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=500)
    parser.add_argument("--selector", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--answerer", help="folder of the answerer; none: clips only")
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    selectors: dict[str, Predict] = {"uniform": uniform, "random clips": random_clips, "oracle clips": oracle}
    selectors["scenes"] = of_selector(SceneSelector())
    for entry in arguments.selector:
        name, _, folder = entry.partition("=")
        selectors[name] = of_selector(MLLMSelector.from_pretrained(folder))
    answer = load_answer(arguments.answerer) if arguments.answerer else None
    records = run(arguments.out.with_suffix(".jsonl"), SPLITS["test"][: arguments.videos], selectors, answer,
                  candidates=arguments.candidates)  # fmt: skip
    table = summary(records)
    arguments.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
