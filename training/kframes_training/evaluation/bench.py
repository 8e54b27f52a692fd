"""All contenders on one video: decode, predict clips for every query and question, answer from k frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from torch import Tensor

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.types import Candidates, Clip, Span
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.answering import Asked, TinyAnswerer, frames_for
from kframes_training.evaluation.contenders import Contender
from kframes_training.evaluation.exam import Exam, exam_of, kind_of
from kframes_training.evaluation.reader import NanoReader
from kframes_training.evaluation.reference_clips import REFERENCE_CLIPS
from kframes_training.evaluation.videos import video_on_disk
from kframes_training.sources.synthscenes import Question

KS = (4, 8, 16, 32)
Record = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside its contenders.

    Attributes:
        videos: folder of the video files.
        split: of the queries, "dev" or "test".
        frame_size: of the candidates: long side in pixels, or (width, height).
        answerer: folder, or None for clips alone.
        ks: budgets of the answers.
    """

    videos: Path
    split: str
    frame_size: int | tuple[int, int]
    answerer: str | None
    ks: tuple[int, ...] = KS


@dataclass
class Look:
    """One opened video and what was made of it so far; every part is made once."""

    opened: OpenVideo
    frame_size: int | tuple[int, int]
    candidates: dict[int, Candidates] = field(default_factory=dict)
    scenes: dict[int, list[Span]] = field(default_factory=dict)
    tokens: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def at(self, count: int) -> Candidates:
        """``count`` candidates, exactly as KFrames has them; the scenes between them are kept too."""
        if count not in self.candidates:
            self.candidates[count] = self.opened.candidates(count, size=self.frame_size)
            self.scenes[count] = detect_scenes(self.candidates[count], self.opened.duration)
        return self.candidates[count]


@dataclass(frozen=True)
class Found:
    """Clips of every text of an exam, and the CPU seconds ("decode", "see", "read", "snap") and tokens they cost."""

    clips: list[list[Clip]]
    cost: dict[str, float]


class Bench:
    """Loads every checkpoint once; then ``measure`` one video after the other.

    Args:
        settings: of the run.
        folders: of all checkpoints.
    """

    def __init__(self, settings: Settings, folders: Sequence[str]) -> None:
        self.settings = settings
        self.readers = {folder: NanoReader(folder) for folder in dict.fromkeys(folders)}
        self.answerer = TinyAnswerer(settings.answerer) if settings.answerer else None

    def measure(self, seed: int, contenders: Sequence[Contender]) -> list[Record]:
        """One record for every contender on the video of a seed.

        A record holds, of every query, its kind, text, clips found and true clips; of every question its kind, text,
        clips, p(option) and whether it was answered rightly at every k; and CPU seconds, of which ``share`` is the
        contender's part of all work on the video.
        """
        begin = process_time()
        exam = exam_of(seed, self.settings.split, with_questions=self.answerer is not None)
        path, written = video_on_disk(exam.video, self.settings.videos), process_time()
        with OpenVideo(path) as opened:
            look = Look(opened, self.settings.frame_size)
            distinct = {contender.reads: contender for contender in contenders}
            found = {reads: self._find(contender, look, exam) for reads, contender in distinct.items()}
            start = process_time()
            answers = self._answers(contenders, found, look, exam)
        end, many = process_time(), len(contenders)
        spent = {"write": written - begin, "answers": (end - start) / many, "share": (end - begin) / many}
        return [
            {
                "video": exam.video.id,
                "seed": seed,
                "duration": exam.video.duration,
                "selector": contender.name,
                "queries": [
                    {"kind": kind_of(query), "text": query.text, "clips": _plain(clips), "truth": _plain(true)}
                    for query, clips, true in zip(exam.queries, found[contender.reads].clips, exam.truth, strict=False)
                ],
                "questions": answers[contender.name],
                "seconds": {**spent, **found[contender.reads].cost},
            }
            for contender in contenders
        ]

    def _find(self, contender: Contender, look: Look, exam: Exam) -> Found:
        """The contender's clips for every text."""
        begin = process_time()
        frames = look.at(contender.candidates)
        decoded = process_time()
        if contender.source in REFERENCE_CLIPS:
            select, seed = REFERENCE_CLIPS[contender.source], exam.video.seed
            clips = [
                list(select(frames, true, Random(f"{contender.source} {seed} {text}")))
                for text, true in zip(exam.texts, exam.truth, strict=True)
            ]
            read_by = process_time()
            cost = {"decode": decoded - begin, "see": 0, "read": read_by - decoded, "tokens": 0}
            return self._snapped(clips, cost, look, contender)
        reader = self.readers[contender.source]
        key = reader.sight, contender.candidates
        if key not in look.tokens:
            look.tokens[key] = reader.see(frames)
        seen = process_time()
        read = reader.read(frames, look.tokens[key], exam.texts, times=contender.times, prediction=contender.prediction)
        cost = {"decode": decoded - begin, "see": seen - decoded, "read": read.seconds, "tokens": read.tokens}
        return self._snapped([list(clips) for clips in read.clips], cost, look, contender)

    def _snapped(self, clips: list[list[Clip]], cost: dict[str, float], look: Look, contender: Contender) -> Found:
        """With their ends on cuts, as KFrames has them; "snap" is what that cost."""
        start, size = process_time(), self.settings.frame_size
        if contender.snap:
            frames = look.at(contender.candidates)
            clips = [snap_to_cuts(some, frames, look.opened, size=size) for some in clips]
        return Found(clips, {**cost, "snap": process_time() - start})

    def _answers(
        self, contenders: Sequence[Contender], found: Mapping[Any, Found], look: Look, exam: Exam
    ) -> dict[str, list[Record]]:
        """For every contender its records of all questions."""
        if self.answerer is None:
            return {contender.name: [] for contender in contenders}
        first, asked = len(exam.queries), list(enumerate(exam.questions))
        plan: dict[tuple[str, int, int], Asked] = {}
        for contender in contenders:
            scenes = look.scenes[contender.candidates]
            for index, _ in asked:
                clips = found[contender.reads].clips[first + index]
                for k in self.settings.ks:
                    plan[contender.name, index, k] = index, frames_for(clips, k, look.opened, scenes, contender)
        said = self.answerer.answer(look.opened, exam.questions, list(plan.values()))
        return {
            one.name: [
                {
                    **_marked(question, {k: said[plan[one.name, index, k]] for k in self.settings.ks}),
                    "clips": _plain(found[one.reads].clips[first + index]),
                }
                for index, question in asked
            ]
            for one in contenders
        }


def _marked(question: Question, said: Mapping[int, Sequence[float]]) -> Record:
    """Of every k: p(option), and 1 where the likeliest option is the right one."""
    likeliest = {k: max(range(len(options)), key=options.__getitem__) for k, options in said.items()}
    return {
        "kind": question.kind,
        "text": question.text,
        "answer": question.answer,
        "options": {str(k): [round(p, 4) for p in options] for k, options in said.items()},
        "right": {str(k): int(option == question.answer) for k, option in likeliest.items()},
    }


def _plain(clips: Sequence[Clip]) -> list[list[Any]]:
    return [[round(clip.start, 3), round(clip.end, 3), clip.priority, clip.reason] for clip in clips]
