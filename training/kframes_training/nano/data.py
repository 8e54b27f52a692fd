"""Rows that teach nano: scenes of train videos put into new orders, with their frames already seen by the vision tower.

The tower is frozen in the language stages and looks at every frame alone, so a frame's token is computed once
(``build_bank``) and a training video is a new sequence of known scenes. A row is a pure function of (seed, index):
training resumes exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_training.nano.encoding import FORMAT, Row, collate
from kframes_training.nano.model import FRAME, cut_patches, frame_tokens
from kframes_training.nano.vision import roughen_frames
from kframes_training.sources.synthscenes.paint import paint_scene
from kframes_training.sources.synthscenes.tasks import candidate_times, make_task
from kframes_training.sources.synthscenes.world import SPLITS, Scene, alike, sample_video


@dataclass(frozen=True)
class Bank:
    """Scenes of train videos and the vision tokens of some of their frames.

    Attributes:
        scenes: the scenes.
        tokens: float32 (scenes, frames a scene, width).
    """

    scenes: tuple[Scene, ...]
    tokens: Tensor

    @property
    def by_background(self) -> Mapping[str, list[int]]:
        """Indices of the scenes on every background."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, scene in enumerate(self.scenes):
            found[scene.background].append(index)
        return found


@torch.no_grad()
def build_bank(model: Qwen2_5_VLForConditionalGeneration, seeds: Sequence[int], frames: int = 5) -> Bank:
    """See ``frames`` pictures of every scene of the given videos (about 1.3 ms each on one core)."""
    scenes = [scene for seed in seeds for scene in sample_video(seed).scenes]
    rng, parts = Random(f"bank {seeds[0]}"), []
    for start in range(0, len(scenes), 50):
        pictures = [
            paint_scene(scene, (i + rng.random()) / frames * (scene.end - scene.start), (FRAME, FRAME))
            for scene in scenes[start : start + 50]
            for i in range(frames)
        ]
        seen = frame_tokens(model, cut_patches(roughen_frames(pictures, rng)))
        parts.append(seen.view(-1, frames, seen.shape[-1]))
    return Bank(tuple(scenes), torch.cat(parts))


def compose(
    bank: Bank, pools: Mapping[str, list[int]], rng: Random, candidates: int
) -> tuple[list[Scene], list[int], Tensor]:
    """A new video: the plan of a train video (lengths, chapters) filled with scenes of the bank.

    Returns:
        Its scenes; for every candidate the index of its scene; the candidates' tokens (T, width).
    """
    plan = list(sample_video(rng.choice(SPLITS["train"])).scenes)
    most = max(4, candidates // 2)
    first = rng.randrange(max(1, len(plan) - most + 1))
    plan = plan[first : first + most]
    scenes: list[Scene] = []
    sources: list[int] = []
    for part in plan:
        chosen = rng.choice(pools[part.background])
        while scenes and alike(bank.scenes[chosen], scenes[-1]):
            chosen = rng.choice(pools[part.background])
        sources.append(chosen)
        scenes.append(replace(bank.scenes[chosen], start=part.start - plan[0].start, end=part.end - plan[0].start))
    times = candidate_times(scenes[-1].end, candidates)
    where = [next(i for i, scene in enumerate(scenes) if time < scene.end) for time in times]
    shots = [rng.randrange(bank.tokens.shape[1]) for _ in where]
    return scenes, where, bank.tokens[[sources[i] for i in where], shots]


class Batches:
    """Batch ``i`` of the training stream: a pure function of (seed, i).

    A batch holds ``videos`` composed videos with ``queries`` rows each, all with the same number of candidates.

    Args:
        bank: the scenes.
        tokenizer: nano's.
        lengths: numbers of candidates, taken in turn.
        tasks: share of every task.
        videos, queries: size of a batch.
        seed: of the stream.
        write: whether rows carry their answers.
    """

    def __init__(
        self,
        bank: Bank,
        tokenizer: PreTrainedTokenizerBase,
        lengths: Sequence[int],
        tasks: Mapping[str, float],
        videos: int = 2,
        queries: int = 4,
        seed: int = 0,
        write: bool = True,
    ) -> None:
        self.bank, self.pools, self.tokenizer = bank, bank.by_background, tokenizer
        self.lengths, self.tasks, self.videos, self.queries, self.seed = lengths, dict(tasks), videos, queries, seed
        self.write = write

    def rows(self, index: int) -> list[Row]:
        """The rows of batch ``index``."""
        rng = Random(f"{self.seed} {index}")
        candidates = self.lengths[index % len(self.lengths)]
        rows: list[Row] = []
        while len(rows) < self.videos * self.queries:
            scenes, where, tokens = compose(self.bank, self.pools, rng, candidates)
            made = 0
            for _ in range(4 * self.queries):
                kind = rng.choices(list(self.tasks), list(self.tasks.values()))[0]
                task = make_task(kind, scenes, where, rng, FORMAT)
                if task is not None and made < self.queries:
                    rows.append(Row(**vars(task), tokens=tokens))
                    made += 1
                if made == self.queries:
                    break
        return rows[: self.videos * self.queries]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rows = self.rows(index)
        return collate(rows if self.write else [replace(row, answer="") for row in rows], self.tokenizer)
