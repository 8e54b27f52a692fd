"""The frozen answerer of stage 3 for SynthScenes: a tiny MLLM that reads k frames and a multiple-choice question.

It is built like nano (same tower, same tokenizer) and trained on train videos with frames that hold the evidence or
miss it, so that what it answers depends on the frames it is given. It writes the answer ("red"); an option's
probability is how likely that text is. (Asked for the letter of an option it stayed at chance for 1,500 steps.)
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from PIL.Image import Resampling
from transformers import DynamicCache, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.types import Frame
from kframes_training.nano.data import Batches, compose
from kframes_training.nano.dense import embed
from kframes_training.nano.encoding import Row, prompt_ids
from kframes_training.nano.model import FRAME, cut_patches, frame_tokens
from kframes_training.sources.synthscenes.language import Question, questions
from kframes_training.sources.synthscenes.paint import paint
from kframes_training.sources.synthscenes.world import Scene, Video
from kframes_training.stages.rewards import Answerer
from kframes_training.stages.shared_prompt import pad_left

BICUBIC = Resampling.BICUBIC
SPREAD = 48  # candidates of a composed video, from which the k frames are taken


def question_row(
    question: Question, scenes: Sequence[Scene], where: Sequence[int], tokens: torch.Tensor, chosen: Sequence[int]
) -> Row:
    """A training row: the chosen candidates as frames, the right option as answer, evidence frames as dense labels."""
    return Row(
        question.text,
        f" {question.options[question.answer]}",  # the blank: the words of captions
        tuple(3 if where[index] in question.evidence else 0 for index in chosen),
        tuple(scenes[where[index]] for index in chosen),
        f"qa {question.kind}",
        tokens[list(chosen)],
    )


class QuestionBatches(Batches):
    """Questions on composed videos; ``lengths`` are the numbers of frames given to the answerer."""

    def rows(self, index: int) -> list[Row]:
        """The rows of batch ``index``: half the frames, on average, come from the evidence."""
        rng = Random(f"questions {self.seed} {index}")
        k = self.lengths[index % len(self.lengths)]
        rows: list[Row] = []
        while len(rows) < self.videos * self.queries:
            scenes, where, tokens = compose(self.bank, self.pools, rng, SPREAD)
            for question in questions(scenes, rng):
                inside = [i for i, scene in enumerate(where) if scene in question.evidence]
                if not inside:
                    continue
                share = min(len(inside), round(k * rng.random()))
                held = rng.sample(inside, share)
                others = rng.sample([i for i in range(len(where)) if i not in held], k - share)
                rows.append(question_row(question, scenes, where, tokens, sorted(held + others)))
        return rows[: self.videos * self.queries]


@torch.no_grad()
def option_probabilities(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    options: Sequence[Sequence[str]],
    batch: int = 64,
) -> list[list[float]]:
    """p(option) for each row, normalised over its options: how likely the model is to write that option as the answer.

    Args:
        model, tokenizer: of the answerer.
        rows: questions with their frames; answers and labels are not read.
        options: for each row its options, as many for all.
        batch: rows that are read together; a prompt is read once for all its options.
    """
    found: list[list[float]] = []
    for start in range(0, len(rows), batch):
        found += _probabilities(model, tokenizer, rows[start : start + batch], options[start : start + batch])
    return found


def _probabilities(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    options: Sequence[Sequence[str]],
) -> list[list[float]]:
    pad, language, many = tokenizer.pad_token_id, model.model.language_model, len(options[0])
    prompts = [prompt_ids(row, tokenizer) for row in rows]
    ids, mask = pad_left(prompts, pad), pad_left([[1] * len(prompt) for prompt in prompts], 0)
    cache = DynamicCache(config=language.config)
    frames = torch.cat([row.tokens for row in rows])
    seen = language(
        inputs_embeds=embed(model, ids, frames),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1:]
    texts = [tokenizer(f" {text}", add_special_tokens=False)["input_ids"] for some in options for text in some]
    width = max(map(len, texts))
    answers = torch.tensor([text + [pad] * (width - len(text)) for text in texts])
    hidden = seen.repeat_interleave(many, 0)
    if width > 1:
        cache.batch_repeat_interleave(many)
        told = torch.ones(len(answers), width - 1, dtype=mask.dtype)
        rest = language(
            inputs_embeds=model.get_input_embeddings()(answers[:, :-1]),
            attention_mask=torch.cat([mask.repeat_interleave(many, 0), told], 1),
            position_ids=mask.sum(1).repeat_interleave(many)[:, None] + torch.arange(width - 1),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        hidden = torch.cat([hidden, rest], 1)
    logs = model.lm_head(hidden).log_softmax(-1).gather(2, answers[..., None])[..., 0]
    there = torch.tensor([[1.0] * len(text) + [0.0] * (width - len(text)) for text in texts])
    result: list[list[float]] = (logs * there).sum(1).view(-1, many).softmax(-1).tolist()
    return result


def make_answerer(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[tuple[Video, Question]],
) -> Answerer:
    """A frozen answerer over a list of questions: (timestamps, index of the question) -> p(option)."""

    def answer(timestamps: Sequence[float], index: int) -> list[float]:
        video, question = asked[index]
        pictures = np.stack([paint(video, time, (FRAME, FRAME)) for time in timestamps])
        with torch.no_grad():
            tokens = frame_tokens(model, cut_patches(pictures))
        where = [video.scene_at(time) for time in timestamps]
        row = question_row(question, video.scenes, where, tokens, range(len(where)))
        return option_probabilities(model, tokenizer, [row], [question.options])[0]

    return answer


@torch.no_grad()
def see_frames(model: Qwen2_5_VLForConditionalGeneration, frames: Sequence[Frame]) -> torch.Tensor:
    """The token of every decoded frame, of any size: (n, width)."""
    pictures = [np.asarray(frame.image.convert("RGB").resize((FRAME, FRAME), BICUBIC)) for frame in frames]
    return frame_tokens(model, cut_patches(np.stack(pictures)))


def answer_from_frames(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    frames: Sequence[Frame],
    question: Question,
) -> list[float]:
    """p(option) from decoded frames of any size."""
    row = Row(question.text, "", (0,) * len(frames), (), "qa", see_frames(model, frames))
    return option_probabilities(model, tokenizer, [row], [question.options])[0]
