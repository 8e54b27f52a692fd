"""Held-out SynthScenes videos as a file of one's own, for ``kframes eval`` without a network: the command

    python -m kframes_training.evaluation.data.drawn --videos 20 --out drawn
    kframes eval --data drawn/questions.jsonl --selectors kframes,uniform --answerer synthscenes:ANSWERER --out r.json

draws the videos, and writes every query and every question about them with its true spans.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kframes_training.evaluation.exam import exam_of, kind_of
from kframes_training.evaluation.videos import video_on_disk
from kframes_training.sources.synthscenes import SPLITS


def rows_of(seed: int, folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of one video, in the form of own.py; its file is written to the folder where it is not there yet."""
    exam = exam_of(seed, split)
    file = video_on_disk(exam.video, folder).name
    rows = []
    for number, (text, true) in enumerate(zip(exam.texts, exam.truth, strict=True)):
        row: dict[str, Any] = {"id": f"{exam.video.id}/{number}", "video": file, "query": text}
        row["spans"] = [[clip.start, clip.end] for clip in true]
        if number < len(exam.queries):
            row["groups"] = {"kind": kind_of(exam.queries[number])}
        else:
            question = exam.questions[number - len(exam.queries)]
            row |= {"question": text, "options": list(question.options), "answer": question.answer}
            row["groups"] = {"kind": f"question: {question.kind}"}
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20, help="how many, of the split's first")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--out", type=Path, required=True, help="folder of the videos and of questions.jsonl")
    options = parser.parse_args(arguments)
    if not 1 <= options.videos <= len(SPLITS[options.split]):
        parser.error(f"--videos must be 1 to {len(SPLITS[options.split])}; got {options.videos}")
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = SPLITS[options.split][: options.videos]
    rows = [row for seed in tqdm(seeds, unit="video") for row in rows_of(seed, options.out, options.split)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (options.out / "questions.jsonl").write_text(text, encoding="utf-8")
    print(f"wrote {len(rows)} rows on {len(seeds)} videos to {options.out / 'questions.jsonl'}")


if __name__ == "__main__":
    main()
