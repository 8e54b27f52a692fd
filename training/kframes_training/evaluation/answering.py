"""Right or wrong: k frames of a video, a multiple-choice question, and the frozen tiny answerer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.types import Clip, Frame, Span
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.contenders import Contender
from kframes_training.nano.answerer import option_probabilities, see_frames
from kframes_training.nano.data import UNSEEN, Row
from kframes_training.nano.recipe import load_tokenizer
from kframes_training.sources.synthscenes.language import Question

Asked = tuple[int, tuple[float, ...]]  # index of the question, timestamps of the frames


def frames_for(
    clips: Sequence[Clip], k: int, video: OpenVideo, scenes: Sequence[Span], contender: Contender
) -> tuple[float, ...]:
    """The timestamps that a user gets for these clips: kframes' own allocation at its defaults."""
    if not contender.tags:
        clips = [replace(clip, priority="P1") for clip in clips]
    return tuple(allocate(clips, k, video.timestamps, video.duration, strategy=contender.strategy, scenes=scenes))


class TinyAnswerer:
    """The frozen answerer of a recipe, for many questions on the frames of one video.

    Args:
        folder: of its weights and tokenizer.
    """

    def __init__(self, folder: str | Path) -> None:
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = load_tokenizer(Path(folder))

    @torch.no_grad()
    def see(self, frames: Sequence[Frame], batch: int = 64) -> Tensor:
        """The token of every frame, as ``answer_from_frames`` makes it: (n, width)."""
        parts = [see_frames(self.model, frames[start : start + batch]) for start in range(0, len(frames), batch)]
        return torch.cat(parts)

    @torch.no_grad()
    def answer(
        self, video: OpenVideo, questions: Sequence[Question], asked: Sequence[Asked]
    ) -> Mapping[Asked, list[float]]:
        """p(option) for every (question, timestamps); what is asked twice is answered once.

        All frames that some question needs are decoded in one pass and seen once.
        """
        distinct = sorted(set(asked), key=lambda one: (len(one[1]), one))
        times = sorted({time for _, chosen in distinct for time in chosen})
        if not times:
            return {}
        tokens = self.see(video.frames_at(times))
        place = {time: index for index, time in enumerate(times)}
        found: dict[Asked, list[float]] = {}
        for k in sorted({len(chosen) for _, chosen in distinct}):  # equal lengths: nothing to pad
            same = [one for one in distinct if len(one[1]) == k]
            rows = [
                Row(questions[index].text, "", (0,) * k, (UNSEEN,) * k, tokens[[place[t] for t in chosen]], "qa")
                for index, chosen in same
            ]
            found |= zip(
                same,
                option_probabilities(self.model, self.tokenizer, rows, [questions[index].options for index, _ in same]),
                strict=True,
            )
        return found
