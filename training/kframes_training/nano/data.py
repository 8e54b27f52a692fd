"""Rows that teach nano: scenes of train videos put into new orders, with their frames already seen by the vision tower.

The tower is frozen in the language stages and looks at every frame alone, so a frame's token is computed once
(``build_bank``) and a training video is a new sequence of known scenes. A row is a pure function of (seed, index):
training resumes exactly.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.prompt import RELEVANCE, PromptFormat, write_clips
from kframes_training.nano.model import FRAME, frame_tokens, patches_of
from kframes_training.nano.vision import roughen_frames
from kframes_training.rows import P1_SCORE, P2_SCORE
from kframes_training.sources.synthscenes.draw import draw_scene
from kframes_training.sources.synthscenes.language import (
    DOING,
    Query,
    caption_scene,
    describe_thing,
    make_query,
    reason_of,
)
from kframes_training.sources.synthscenes.rows import clips_of
from kframes_training.sources.synthscenes.wanted import invented, present
from kframes_training.sources.synthscenes.world import SPLITS, Scene, Thing, alike, sample_video

FORMAT = PromptFormat(time_format="index", query_position="before", instruction="short", reasons=True)
IGNORE = -100
SIGHTS = 5
# What the frames of a row "show" where nothing reads its dense labels
UNSEEN = Scene(0.0, 1.0, "black", "plain", (Thing("circle", "red", "big", "still", 0.5, 0.5),))
# Shares of the tasks. Stage 1: a caption -> its span, a span -> its caption, (span, query) -> score 1 to 5.
STAGE1 = {"word": 2.0, "ground": 4.0, "describe": 2.0, "score": 2.0}
STAGE2 = {"needle": 6.0, "attribute": 2.0, "action": 2.0, "order": 2.0, "count": 3.0, "holistic": 0.5, "absent": 3.0}


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


@dataclass(frozen=True)
class Row:
    """One training text.

    Attributes:
        query: what stands before and after the frames.
        answer: what the model shall write.
        relevance: for every frame an index into RELEVANCE.
        scenes: for every frame what it shows.
        tokens: float32 (T, width), the frames.
        kind: the task.
    """

    query: str
    answer: str
    relevance: tuple[int, ...]
    scenes: tuple[Scene, ...]
    tokens: Tensor
    kind: str


@torch.no_grad()
def build_bank(model: Qwen2_5_VLForConditionalGeneration, seeds: Sequence[int], frames: int = 5) -> Bank:
    """See ``frames`` pictures of every scene of the given videos (about 1.3 ms each on one core)."""
    scenes = [scene for seed in seeds for scene in sample_video(seed).scenes]
    rng, parts = Random(f"bank {seeds[0]}"), []
    for start in range(0, len(scenes), 50):
        pictures = [
            draw_scene(scene, (i + rng.random()) / frames * (scene.end - scene.start), (FRAME, FRAME))
            for scene in scenes[start : start + 50]
            for i in range(frames)
        ]
        seen = frame_tokens(model, patches_of(roughen_frames(pictures, rng)))
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


def candidate_times(duration: float, count: int) -> list[float]:
    """Middles of ``count`` equal spans of the video, seconds."""
    return [(i + 0.5) * duration / count for i in range(count)]


def make_row(
    kind: str, scenes: Sequence[Scene], where: Sequence[int], tokens: Tensor, rng: Random, fmt: PromptFormat = FORMAT
) -> Row | None:
    """A row of one task, or None where the video offers none.

    Args:
        kind: a key of STAGE1 or STAGE2.
        scenes: of the video, starting at 0.
        where: for every candidate the index of its scene.
        tokens: of the candidates, kept in the row.
        rng: source of all chance.
        fmt: how times are written.
    """
    seen = sorted(set(where))
    if kind in STAGE1:
        return _stage1(kind, scenes, where, tokens, rng, rng.choice(seen), fmt)
    query = make_query(kind, scenes, rng)
    if query is None:
        return None
    # what falls between two candidates cannot be found: it is no part of the target
    scores = tuple(score if index in seen else 1.0 for index, score in enumerate(query.scores))
    if kind != "absent" and max(scores) < P2_SCORE:
        return None
    query = replace(query, scores=scores)
    relevance = tuple(_level(scores[index]) for index in where)
    answer = answer_of(scenes, query, len(where), fmt)
    return Row(query.text, answer, relevance, tuple(scenes[i] for i in where), tokens, kind)


def answer_of(scenes: Sequence[Scene], query: Query, candidates: int, fmt: PromptFormat = FORMAT) -> str:
    """The true clips of a query in the wire form, six at most."""
    duration = scenes[-1].end
    clips = clips_of(scenes, query)[:6]
    return write_clips(clips, duration, fmt=fmt, times=candidate_times(duration, candidates))


def _level(score: float) -> int:
    """Index into RELEVANCE of a scene's score."""
    return 3 if score >= P1_SCORE else 2 if score >= P2_SCORE else 1 if score > 1 else 0


def _stage1(kind: str, scenes: Sequence[Scene], where: Sequence[int], tokens: Tensor, rng: Random, goal: int,
            fmt: PromptFormat) -> Row | None:  # fmt: skip
    shown = tuple(scenes[i] for i in where)
    relevance = tuple(3 if i == goal else 0 for i in where)
    scene = scenes[goal]
    if kind == "ground":
        text = f"{describe_thing(scene.things[0])} on {scene.background}"
        hits = [index == goal for index in range(len(scenes))]
        query = Query(f"find: {caption_scene(scene, rng)}", kind, tuple(5.0 if hit else 1.0 for hit in hits),
                      tuple(text if hit else "" for hit in hits))  # fmt: skip
        return Row(query.text, answer_of(scenes, query, len(where), fmt), relevance, shown, tokens, kind)
    if kind == "word":
        return _word(scenes, where, tokens, rng, fmt)
    first, last = where.index(goal), len(where) - where[::-1].index(goal)
    span = f"{first} to {last}" if fmt.time_format == "index" else f"{scene.start:.1f} to {scene.end:.1f}"
    if kind == "describe":
        return Row(f"describe {span}", caption_scene(scene, rng), relevance, shown, tokens, kind)
    asked = make_query(rng.choice(("needle", "count", "attribute", "absent")), scenes, rng)
    if asked is None:
        return None
    return Row(f"rate {span}: {asked.text}", str(round(asked.scores[goal] - 0.01)), relevance, shown, tokens, kind)


def _word(scenes: Sequence[Scene], where: Sequence[int], tokens: Tensor, rng: Random, fmt: PromptFormat) -> Row:
    """A single word of the vocabulary, shown or not, and the frames that show it."""
    name = rng.choice(("colour", "shape", "motion", "background", "label", "label"))  # most labels are rare
    wanted = present(scenes, rng, (name,)) if rng.random() < 0.7 else invented(rng, (name,))
    if getattr(wanted, name) in ("", "still"):
        wanted = invented(rng, (name,))
    value = getattr(wanted, name)
    scores = tuple(wanted.score(scene) for scene in scenes)
    reasons = tuple(
        reason_of(wanted, scene) if score >= P2_SCORE else "" for scene, score in zip(scenes, scores, strict=True)
    )
    query = Query(rng.choice(DOING[value]) if name == "motion" else value, "word", scores, reasons)
    relevance = tuple(_level(scores[i]) for i in where)
    return Row(
        query.text,
        answer_of(scenes, query, len(where), fmt),
        relevance,
        tuple(scenes[i] for i in where),
        tokens,
        "word",
    )


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

    def __init__(self, bank: Bank, tokenizer: PreTrainedTokenizerBase, lengths: Sequence[int], tasks: Mapping[str, float],
                 videos: int = 2, queries: int = 4, seed: int = 0, write: bool = True) -> None:  # fmt: skip
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
                row = make_row(kind, scenes, where, tokens, rng)
                if row is not None and made < self.queries:
                    rows.append(row)
                    made += 1
                if made == self.queries:
                    break
        return rows[: self.videos * self.queries]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rows = self.rows(index)
        return collate(rows if self.write else [replace(row, answer="") for row in rows], self.tokenizer)


def collate(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """Rows as tensors, padded on the right (attention is causal, so the padding needs no mask).

    Returns:
        int64 (rows, length): ``input_ids``; ``labels`` (answers); and at every image token the labels of dense.py:
        ``times``, ``relevance``, ``spans``; ``sights`` (rows, length, SIGHTS). And ``frames``, float32 (rows x T, width).
    """
    lines = [encode(row, tokenizer) for row in rows]
    length = max(len(line["input_ids"]) for line in lines)
    fills = {name: tokenizer.pad_token_id if name == "input_ids" else IGNORE for name in lines[0]}
    batch = {
        name: torch.tensor([[*line[name], *[fill] * (length - len(line[name]))] for line in lines])
        for name, fill in fills.items()
    }
    batch["sights"] = torch.full((len(rows), length, SIGHTS), IGNORE)
    piece = _pieces(tokenizer)
    for number, row in enumerate(rows):
        places = [place for place, label in enumerate(lines[number]["times"]) if label != IGNORE]
        for place, scene in zip(places, row.scenes, strict=True):
            words = [piece(f" {word}")[-1] for word in sights_of(scene)]
            batch["sights"][number, place, : len(words)] = torch.tensor(words)
    return batch | {"frames": torch.cat([row.tokens for row in rows])}


def encode(row: Row, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """A row as lists of equal length (see collate); the same ids as the chat template gives."""
    piece = _pieces(tokenizer)
    ids = [*piece("<|im_start|>user\n"), *piece(row.query), *piece("\n")]
    before, count = len(ids), len(row.relevance)
    image = piece("<|image_pad|>")[0]
    marks = [piece(str(index))[0] for index in range(count + 1)]
    ids += [token for mark in marks[:-1] for token in (mark, image)]
    ids += [marks[-1], *piece("<|im_end|>\n<|im_start|>assistant\n")]
    answer = [*piece(row.answer), *piece("<|im_end|>")]
    labels = [IGNORE] * len(ids) + answer
    ids += answer
    words = [piece(word)[0] for word in RELEVANCE]
    spans = [IGNORE if start is None else words[0] if start < 0 else marks[start] for start in clip_starts(row)]
    at_frames = {"times": marks[:-1], "relevance": [words[level] for level in row.relevance], "spans": spans}
    lines = {"input_ids": ids, "labels": labels}
    for name, tokens in at_frames.items():
        line = [IGNORE] * before + [label for token in tokens for label in (IGNORE, token)]
        lines[name] = [*line, *[IGNORE] * (len(ids) - len(line))]
    return lines


def sights_of(scene: Scene) -> tuple[str, ...]:
    """The words that say what a frame shows, SIGHTS at most."""
    main = scene.things[0]
    return (main.size, main.colour, main.shape, scene.background, *((scene.label,) if scene.label else ()))


def clip_starts(row: Row) -> list[int | None]:
    """What every frame knows of the clips of the row's answer: the start of its clip; at the first frame behind a clip
    its own number; elsewhere -1. None for all where the answer names no clips."""
    count = len(row.relevance)
    if not row.answer.startswith("["):
        return [None] * count
    starts: list[int | None] = [-1] * count
    clips = sorted((clip["start"], clip["end"]) for clip in json.loads(row.answer))
    for _, end in clips:
        if end < count:
            starts[end] = end
    for start, end in clips:
        starts[start:end] = [start] * (end - start)
    return starts


def padded_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Prompts as ids and mask, int64 (n, longest), ``pad`` in front, so that all end together and can be written on."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


def prompt_ids(row: Row, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of a row up to where its answer begins."""
    line = encode(row, tokenizer)
    return line["input_ids"][: line["labels"].count(IGNORE)]


_CACHE: dict[int, dict[str, list[int]]] = {}


def _pieces(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Tokenise a piece of text, remembering short ones."""
    known = _CACHE.setdefault(id(tokenizer), {})

    def piece(text: str) -> list[int]:
        if text not in known:
            if len(known) > 50_000:
                known.clear()
            known[text] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return known[text]

    return piece
