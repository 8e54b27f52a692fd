"""The answerer of stage 3 for SynthScenes: a tiny MLLM that reads k frames and a multiple-choice question, then is frozen.

It is built like nano (same tower, same tokenizer) and trained on train videos with frames that hold the evidence or
miss it, so that what it answers depends on the frames it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from PIL.Image import Resampling
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.types import Frame
from kframes_training.dense import embed
from kframes_training.nano_data import Batches, Row, compose, prompt_ids
from kframes_training.nano_model import FRAME, frame_tokens, patches_of
from kframes_training.rewards import Answerer
from kframes_training.synthetic.draw import draw
from kframes_training.synthetic.language import Question, questions
from kframes_training.synthetic.world import Scene, Thing, Video

LETTERS = "ABCD"
BICUBIC = Resampling.BICUBIC
SPREAD = 48  # candidates of a composed video, from which the k frames are taken


def prompt_of(question: Question) -> str:
    """ "what colour is the star? A red B blue C pink D white" """
    options = " ".join(f"{letter} {option}" for letter, option in zip(LETTERS, question.options, strict=True))
    return f"{question.text} {options}"


def question_row(
    question: Question, scenes: Sequence[Scene], where: Sequence[int], tokens: torch.Tensor, chosen: Sequence[int]
) -> Row:
    """A training row: the chosen candidates as frames, the letter as answer, evidence frames as dense labels."""
    return Row(
        prompt_of(question),
        LETTERS[question.answer],
        tuple(3 if where[index] in question.evidence else 0 for index in chosen),
        tuple(scenes[where[index]] for index in chosen),
        tokens[list(chosen)],
        f"qa {question.kind}",
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
                wanted = min(len(inside), round(k * rng.random()))
                held = rng.sample(inside, wanted)
                others = rng.sample([i for i in range(len(where)) if i not in held], k - wanted)
                rows.append(question_row(question, scenes, where, tokens, sorted(held + others)))
        return rows[: self.videos * self.queries]


@torch.no_grad()
def option_probabilities(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], batch: int = 64
) -> list[list[float]]:
    """p(letter) of every option for each row, normalised over the four letters; ``batch`` rows are read together."""
    letters = [tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in LETTERS]
    found: list[list[float]] = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        prompts = [prompt_ids(row, tokenizer) for row in some]
        longest = max(map(len, prompts))
        ids = torch.tensor([prompt + [tokenizer.pad_token_id] * (longest - len(prompt)) for prompt in prompts])
        frames = torch.cat([row.tokens for row in some])
        hidden = model.model.language_model(inputs_embeds=embed(model, ids, frames), use_cache=False).last_hidden_state
        last = hidden[range(len(some)), [len(prompt) - 1 for prompt in prompts]]  # causal: padding behind is not seen
        found += model.lm_head(last)[:, letters].softmax(-1).tolist()
    return found


def answerer_of(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[tuple[Video, Question]],
) -> Answerer:
    """A frozen answerer over a list of questions: (timestamps, index of the question) -> p(option)."""

    def answer(timestamps: Sequence[float], index: int) -> list[float]:
        video, question = asked[index]
        pictures = np.stack([draw(video, time, (FRAME, FRAME)) for time in timestamps])
        with torch.no_grad():
            tokens = frame_tokens(model, patches_of(pictures))
        where = [video.scene_at(time) for time in timestamps]
        row = question_row(question, video.scenes, where, tokens, range(len(where)))
        return option_probabilities(model, tokenizer, [row])[0]

    return answer


def answer_from_frames(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    frames: Sequence[Frame],
    question: Question,
) -> list[float]:
    """p(option) from decoded frames of any size."""
    pictures = np.stack([np.asarray(frame.image.convert("RGB").resize((FRAME, FRAME), BICUBIC)) for frame in frames])
    with torch.no_grad():
        tokens = frame_tokens(model, patches_of(pictures))
    blank = Scene(
        0.0, 1.0, "black", "plain", (Thing("circle", "red", "big", "still", 0.5, 0.5),)
    )  # labels are not read
    row = Row(prompt_of(question), "", (0,) * len(frames), (blank,) * len(frames), tokens, "qa")
    return option_probabilities(model, tokenizer, [row])[0]
