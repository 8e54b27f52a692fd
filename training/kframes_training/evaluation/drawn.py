"""Held-out SynthScenes videos, encoded as real H.264 files, with every query and question about them. The command

    python -m kframes_training.evaluation.drawn --videos 20 --out drawn
    kframes eval --data drawn/questions.jsonl --selectors kframes,uniform,oracle --out r.json

writes them with their true spans as a file of one's own, for ``kframes eval`` without a network.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tqdm.auto import tqdm

from kframes_plugin.types import Clip
from kframes_training.evaluation.processes import run_in_processes
from kframes_training.sources.datasets.items import Data, Item
from kframes_training.sources.synthscenes import (
    SPLITS,
    Query,
    Question,
    Video,
    make_clips,
    paint,
    queries,
    questions,
    sample_video,
    video_file,
    write_video,
)
from kframes_training.sources.synthscenes.words import UNKNOWN

SIZE, FPS = (192, 144), 4  # pixels, frames a second
ONE_SCENE = ("needle", "attribute", "action")  # kinds that ask for a fact of one scene


@dataclass(frozen=True)
class Exam:
    """What is asked about a video, and the truth.

    Attributes:
        video: the video.
        queries: one of every kind that it offers.
        questions: multiple choice; may be none.
    """

    video: Video
    queries: list[Query]
    questions: list[Question]

    @property
    def texts(self) -> list[str]:
        """What a selector reads: first the queries, then the questions."""
        return [query.text for query in self.queries] + [question.text for question in self.questions]

    @property
    def truth(self) -> list[list[Clip]]:
        """The true clips of every text; of a question the scenes that hold its answer."""
        scenes = self.video.scenes
        evidence = [[Clip(scenes[i].start, scenes[i].end) for i in question.evidence] for question in self.questions]
        return [*(make_clips(scenes, query) for query in self.queries), *evidence]


def make_exam(seed: int, split: str) -> Exam:
    """The exam of a seed, always the same.

    Args:
        seed: of the video.
        split: "dev" or "test": absent queries may name words never trained on.
    """
    video = sample_video(seed)
    asked = questions(video.scenes, Random(f"questions {seed}"))
    return Exam(video, queries(video.scenes, Random(f"queries {seed}"), split), asked)


def name_kind(query: Query) -> str:
    """The kind of a query; absent ones by why: known words that do not come together, or words never trained on."""
    if query.kind != "absent":
        return query.kind
    unknown = set(UNKNOWN) & set(query.text.replace("?", "").split())
    return "absent: unknown words" if unknown else "absent: known words"


def make_items(exam: Exam, file: Path, *, with_questions: bool = True) -> list[Item]:
    """All queries and questions as items; groups: "kind", "facts" (of one scene or several), "needle" (by length).

    Args:
        exam: of the video.
        file: of the video.
        with_questions: else the queries alone.
    """
    kinds = [*(name_kind(query) for query in exam.queries), *(question.kind for question in exam.questions)]
    items = []
    for number, (text, kind, true) in enumerate(zip(exam.texts, kinds, exam.truth, strict=True)):
        place = number - len(exam.queries)
        if place >= 0 and not with_questions:
            break
        more: dict[str, Any] = {}
        if place >= 0:
            question = exam.questions[place]
            more = {"question": text, "options": tuple(question.options), "answer": question.answer}
        items.append(
            Item(
                f"{exam.video.id}/{number}",
                file,
                text,
                scenes=tuple(((c.start, c.end),) for c in true),
                absent=not true,
                duration=exam.video.duration,
                groups=_groups(exam, kind, true, place >= 0),
                **more,
            )
        )
    return items


def _groups(exam: Exam, kind: str, true: Sequence[Clip], is_question: bool) -> dict[str, str]:
    groups = {"kind": f"question, {kind}" if is_question else kind}
    if kind != "holistic" and len(true) > 1:
        groups["facts"] = "several scenes"
    elif kind in ONE_SCENE:
        groups["facts"] = "one scene"
    if kind == "needle":
        length = exam.video.duration
        groups["needle"] = "< 3 min" if length < 180 else "3-8 min" if length < 480 else "> 8 min"
    return groups


def video_on_disk(video: Video, folder: Path) -> Path:
    """The file of a video, written when it is not there yet.

    Its name holds a digest of the scenes and of the code that paints and encodes them, so that no file outlives a
    change of either. Several processes may write into the same folder.
    """
    path = folder / f"{video.id}-{_digest(video)}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.mp4")
        write_video(video, unfinished, size=SIZE, fps=FPS)
        unfinished.replace(path)
    return path


def _digest(video: Video) -> str:
    code = "".join(inspect.getsource(inspect.getmodule(part) or part) for part in (paint, video_file))
    return hashlib.sha256(f"{video!r} {SIZE} {FPS} {code}".encode()).hexdigest()[:12]


def render_data(
    count: int, split: str, folder: Path, *, with_questions: bool = True, workers: int = 1, progress: bool = True
) -> Data:
    """The first videos of a split with all their items; files that are there already are kept.

    Args:
        count: of videos, >= 1.
        split: "dev" or "test".
        folder: of the video files.
        with_questions: else the queries alone.
        workers: processes that render.
        progress: show a bar.

    Raises:
        ValueError: more videos than the split has, or none.
    """
    if not 1 <= count <= len(SPLITS[split]):
        raise ValueError(f"--videos must be 1 to {len(SPLITS[split])}; got {count}")
    seeds = SPLITS[split][:count]
    draw_one = partial(_render, folder=folder)
    made = run_in_processes(draw_one, seeds, workers) if workers > 1 and count > 1 else map(draw_one, seeds)
    bar = tqdm(made, total=count, desc="rendering", unit="video", file=sys.stderr, disable=None if progress else True)
    files = dict(bar)
    items = [
        item
        for seed in seeds
        for item in make_items(make_exam(seed, split), files[seed], with_questions=with_questions)
    ]
    return Data(f"SynthScenes, {split} split", tuple(items))


def _render(seed: int, folder: Path) -> tuple[int, Path]:
    return seed, video_on_disk(sample_video(seed), folder)


def to_row(item: Item) -> dict[str, Any]:
    """An item in the form of own.py; the video by its file name."""
    row: dict[str, Any] = {"id": item.id, "video": item.video.name, "query": item.query}
    row |= {"spans": [list(span) for span in item.spans], "groups": dict(item.groups)}
    if item.options:
        row |= {"question": item.question, "options": list(item.options), "answer": item.answer}
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20, help="how many, of the split's first")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the videos and of questions.jsonl")
    options = parser.parse_args(arguments)
    try:
        data = render_data(options.videos, options.split, options.out, workers=options.workers)
    except ValueError as error:
        parser.error(str(error))
    text = "".join(json.dumps(to_row(item)) + "\n" for item in data.items)
    (options.out / "questions.jsonl").write_text(text, encoding="utf-8")
    print(f"wrote {len(data.items)} rows on {options.videos} videos to {options.out / 'questions.jsonl'}")


if __name__ == "__main__":
    main()
