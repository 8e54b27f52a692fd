"""One video of the contest: look once, score and read every query, let everyone pick, hold it against the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import numpy as np

from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.clips.geometry import overlap
from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.types import Candidates, Clip
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.answering import Asked, TinyAnswerer
from kframes_training.evaluation.baselines.common import unit_rows
from kframes_training.evaluation.baselines.focus import explored
from kframes_training.evaluation.contest.picks import KFRAMES, PICKS, Material
from kframes_training.evaluation.exam import Exam, exam_of, kind_of
from kframes_training.evaluation.metrics.clips import spans_of
from kframes_training.evaluation.metrics.kfs_bench import KFS_METRICS, kfs_scores
from kframes_training.evaluation.reader import NanoReader
from kframes_training.evaluation.reasons import checked
from kframes_training.evaluation.videos import video_on_disk
from kframes_training.sources.synthscenes import Question

Record = dict[str, Any]
REASON_K = 8  # frames beside which the answerer gets the reasons
MOST_REASONS = 2  # in a prompt: the best clips'


@dataclass(frozen=True)
class Contest:
    """What all videos are measured with.

    Attributes:
        reader: scores, features and written clips all come from this checkpoint.
        answerer: the frozen answerer, or None: selection metrics alone.
        videos: folder of the video files.
        split: "dev" or "test".
        ks: budgets.
        answer_ks: budgets that the answerer is asked at; it was trained on up to 32 frames.
    """

    reader: NanoReader
    answerer: TinyAnswerer | None
    videos: Path
    split: str
    ks: tuple[int, ...]
    answer_ks: tuple[int, ...]

    def measure(self, seed: int) -> Record:
        """The record of one video: of every query and question kind, spans, the metrics of every pick, reasons, costs.

        Queries for what is not there are left out: nobody's frames can be right or wrong.
        """
        exam = exam_of(seed, self.split)
        with OpenVideo(video_on_disk(exam.video, self.videos)) as opened:
            begin = process_time()
            frames = opened.candidates(self.reader.settings.candidates, size=self.reader.settings.frame_size)
            costs, asked = {"decode": process_time() - begin}, _asked(exam)
            materials = self._materials(opened, frames, exam, asked, costs)
            items, picked = [], {}
            for (place, kind), one in zip(asked, materials, strict=True):
                picked[place], spent = _picked(one, self.ks)
                items.append(_item(exam.texts[place], kind, place, one, picked[place], spent))
                items[-1]["reasons"] = [
                    checked(clip, exam.texts[place], exam.video.scenes, Random(f"{seed} {place} {clip.start}"))
                    for clip in one.written
                ]
            if self.answerer:
                written = {place: one.written for (place, _), one in zip(asked, materials, strict=True)}
                self._answers(opened, exam, picked, written, items)
        return {"video": exam.video.id, "seed": seed, "duration": exam.video.duration, "items": items, "seconds": costs}

    def _materials(self, opened: OpenVideo, frames: Candidates, exam: Exam, asked: Sequence[tuple[int, str]],
                   costs: dict[str, float]) -> list[Material]:  # fmt: skip
        """What everyone chooses from, for every text that is asked."""
        texts = [exam.texts[place] for place, _ in asked]
        begin = process_time()
        tokens = self.reader.see(frames)
        seen = process_time()
        scores = self.reader.scores(tokens, texts)
        rated = process_time()
        read = self.reader.read(frames, tokens, texts, prediction=self.reader.settings.prediction)
        costs |= {"see": seen - begin, "score": rated - seen, "write": process_time() - rated, "tokens": read.tokens}
        begin, size = process_time(), self.reader.settings.frame_size
        on_cuts = [snap_to_cuts(clips, frames, opened, size=size) for clips in read.clips]
        costs["snap"] = process_time() - begin
        features = unit_rows(tokens.numpy())
        times = np.array([frame.timestamp for frame in frames])
        scenes = detect_scenes(frames, opened.duration)
        return [
            Material(
                row, times, features, opened.duration, opened.timestamps, scenes, clips, written,
                snap_to_cuts(clips_from_scores(row, times.tolist(), opened.duration, rule=PROBABILITY), frames, opened, size=size),
                tuple((clip.start, min(clip.end, opened.duration)) for clip in exam.truth[place]),
            )
            for (place, _), row, written, clips in zip(asked, scores, read.clips, on_cuts, strict=True)
        ]  # fmt: skip

    def _answers(self, opened: OpenVideo, exam: Exam, picked: dict[int, Any], written: dict[int, Sequence[Clip]],
                 items: list[Record]) -> None:  # fmt: skip
        """Right or wrong of every pick for every question, and of kframes' with reasons in the prompt."""
        assert self.answerer is not None
        first, questions = len(exam.queries), list(exam.questions)
        plan: dict[tuple[int, str, int], Asked] = {}
        for index, _ in enumerate(exam.questions):
            for name, frames in picked[first + index].items():
                plan |= {(index, name, k): (index, tuple(frames[k])) for k in self.answer_ks}
            shown = tuple(picked[first + index][KFRAMES][REASON_K])
            for arm, text in _with_reasons(exam, index, written[first + index]).items():
                plan[index, arm, REASON_K] = (len(questions), shown)
                questions.append(replace(exam.questions[index], text=text))
        said = self.answerer.answer(opened, questions, list(plan.values()))
        for item in items:
            if item["place"] >= first:
                question: Question = exam.questions[item["place"] - first]
                item["right"] = defaultdict(dict)
                for (index, name, k), one in plan.items():
                    if index == item["place"] - first:
                        options = said[one]
                        likeliest = max(range(len(options)), key=options.__getitem__)
                        item["right"][name][str(k)] = int(likeliest == question.answer)


def _asked(exam: Exam) -> list[tuple[int, str]]:
    """(place among the exam's texts, kind) of all that is there."""
    kinds = [*(kind_of(query) for query in exam.queries), *(question.kind for question in exam.questions)]
    return [(place, kind) for place, kind in enumerate(kinds) if exam.truth[place]]


def _picked(one: Material, ks: Sequence[int]) -> tuple[dict[str, dict[int, list[float]]], dict[str, float]]:
    """selector -> k -> timestamps, and the CPU seconds that choosing took, all ks together."""
    found: dict[str, dict[int, list[float]]] = {}
    spent: dict[str, float] = {}
    for name, pick in PICKS.items():
        begin = process_time()
        found[name] = {k: pick(one, k) for k in ks}
        spent[name] = process_time() - begin
    return found, spent


def _item(text: str, kind: str, place: int, one: Material, picked: dict[str, dict[int, list[float]]],
          spent: dict[str, float]) -> Record:  # fmt: skip
    scenes = [[span] for span in one.truth]
    return {
        "place": place,
        "kind": kind,
        "text": text,
        "spans": len(one.truth),
        "lost": _lost(one),
        "metrics": {
            name: {
                str(k): [round(score, 5) for score in _plain(kfs_scores(chosen, scenes, grace=0.0))]
                for k, chosen in by_k.items()
            }
            for name, by_k in picked.items()
        },
        "explored": float(explored(one.scores, one.times, one.duration).mean()),
        "picking": {name: seconds / len(picked[KFRAMES]) for name, seconds in spent.items()},
    }


def _lost(one: Material) -> dict[str, int]:
    """Why a query goes wrong: no clip at all, clips beside the evidence, scores that are highest elsewhere."""
    best = float(one.times[int(np.argmax(one.scores))])
    return {
        "nothing written": int(not one.written),
        "no written clip touches the evidence": int(not overlap(spans_of(one.written), one.truth)),
        "no clip from the scores touches it": int(not overlap(spans_of(one.read), one.truth)),
        "the best-scored candidate does not show it": int(not any(a <= best < b for a, b in one.truth)),
    }


def _plain(scores: dict[str, float]) -> list[float]:
    return [scores[name] for name in KFS_METRICS]


def _with_reasons(exam: Exam, index: int, clips: Sequence[Clip]) -> dict[str, str]:
    """The question's text with the reasons of kframes' best clips, with the true ones, and with wrong ones."""
    question, scenes = exam.questions[index], exam.video.scenes
    true = [_named(scenes[i]) for i in question.evidence[:MOST_REASONS]]
    others = [_named(scene) for i, scene in enumerate(scenes) if i not in question.evidence]
    wrong = Random(f"wrong {exam.video.seed} {index}").sample(others, min(len(others), len(true)))
    given = {"reasons": [clip.reason for clip in clips[:MOST_REASONS]], "true reasons": true, "wrong reasons": wrong}
    return {arm: " ; ".join([question.text, *filter(None, reasons)]) for arm, reasons in given.items()}


def _named(scene: Any) -> str:
    thing = scene.things[0]
    return f"{thing.size} {thing.colour} {thing.shape} on {scene.background}"
