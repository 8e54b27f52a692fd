"""A nano checkpoint on all queries of a video at once: what ``MLLMSelector`` does for one, several times faster.

The pixels come from the checkpoint's own processor, the vision tower sees every frame once, and the prompts of all
queries go through the language model together. A test holds it against ``MLLMSelector``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig

from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.mllm.frame_scores import WORTH, merged_clips
from kframes_plugin.mllm.load import load
from kframes_plugin.mllm.vocabulary import in_known_case, refusal
from kframes_plugin.prompt import RELEVANCE, parse_clips
from kframes_plugin.types import Candidates, Clip, Frame, Prediction, PredictionKind
from kframes_training.nano.data import FORMAT, UNSEEN, Row, padded_left, prompt_ids
from kframes_training.nano.measure import write
from kframes_training.nano.model import FRAME, PATCH, frame_tokens
from kframes_training.stages.dense import embed, only_layers


@dataclass(frozen=True)
class Read:
    """What a checkpoint made of some queries.

    Attributes:
        clips: for every query.
        seconds: CPU seconds of the language model, for all queries together.
        tokens: written, for all queries together; 0 where nothing is written.
    """

    clips: list[Prediction]
    seconds: float
    tokens: int


class NanoReader:
    """A checkpoint of nano's shape, on the CPU in float32, as ``KFrames.from_pretrained(folder)`` uses it.

    Args:
        folder: of the checkpoint, with its ``kframes.json``.

    Attributes:
        settings: from ``kframes.json``.
        sight: names what decides the frames' tokens (weights of the tower, the processor's settings): checkpoints that
            agree in it see the same.

    Raises:
        ValueError: it is none of nano's shape or format.
        SelectorError: it cannot be loaded.
    """

    def __init__(self, folder: str | Path) -> None:
        loaded = load(str(folder), device="cpu", dtype="float32")
        if loaded.settings is None or loaded.settings.format != FORMAT:
            raise ValueError(f"{folder} is no checkpoint of nano: its kframes.json must say {FORMAT}")
        self.settings = loaded.settings
        self.model, self.processor = loaded.model, loaded.processor
        self.tokenizer = loaded.processor.tokenizer
        digest = hashlib.sha256(repr(loaded.processor.image_processor.to_dict()).encode())
        for name, value in sorted(self.model.model.visual.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        self.sight = digest.hexdigest()[:16]

    @torch.no_grad()
    def see(self, frames: Sequence[Frame]) -> Tensor:
        """The token of every frame: float32 (T, width)."""
        images = [frame.image for frame in frames]
        patches = self.processor.image_processor(images, return_tensors="pt")["pixel_values"]
        if len(patches) != len(images) * (FRAME // PATCH) ** 2:
            raise ValueError(f"nano's processor makes {(FRAME // PATCH) ** 2} patches of a frame; got {len(patches)} "
                             f"of {len(images)} frames")  # fmt: skip
        return frame_tokens(self.model, patches.view(len(images), -1, patches.shape[-1]))

    def read(
        self,
        frames: Candidates,
        tokens: Tensor,
        queries: Sequence[str],
        *,
        times: bool = True,
        prediction: PredictionKind = "text",
    ) -> Read:
        """The clips of every query; a query with a word that the checkpoint was never trained on gets none.

        Args:
            frames: the candidates.
            tokens: what :meth:`see` made of them.
            queries: any, none empty.
            times: False leaves the time marks out of the prompt.
            prediction: "text": the model writes its clips; "scores": they come from its scores of the frames; "both": merged.
        """
        vocabulary = self.settings.vocabulary
        known = [query for query in queries if vocabulary is None or not refusal(query, vocabulary)]
        asked = known if vocabulary is None else [in_known_case(query, self._length) for query in known]
        read = self._read(frames, tokens, asked, times, prediction) if known else Read([], 0.0, 0)
        found = dict(zip(known, read.clips, strict=True))
        return replace(read, clips=[found.get(query, Prediction()) for query in queries])

    def scores(self, tokens: Tensor, queries: Sequence[str]) -> NDArray[np.float64]:
        """P("P1") + .6 P("P2") of every frame for every query, (queries, T) in 0..1; 0 for one with unknown words."""
        vocabulary, found = self.settings.vocabulary, np.zeros((len(queries), len(tokens)))
        known = [i for i, query in enumerate(queries) if vocabulary is None or not refusal(query, vocabulary)]
        asked = [queries[i] if vocabulary is None else in_known_case(queries[i], self._length) for i in known]
        rows = [Row(query, "", (0,) * len(tokens), (UNSEEN,) * len(tokens), tokens, "") for query in asked]
        if rows:
            prompts = [prompt_ids(row, self.tokenizer) for row in rows]
            found[known] = self._scored(prompts, tokens.repeat(len(rows), 1))
        return found

    def _read(
        self, frames: Candidates, tokens: Tensor, queries: Sequence[str], times: bool, prediction: PredictionKind
    ) -> Read:
        rows = [Row(query, "", (0,) * len(frames), (UNSEEN,) * len(frames), tokens, "") for query in queries]
        start, stamps = process_time(), [frame.timestamp for frame in frames]
        all_tokens, limit = tokens.repeat(len(rows), 1), self.settings.max_new_tokens
        prompts = [prompt_ids(row, self.tokenizer) for row in rows]
        prompts = prompts if times else [self.untimed(prompt, len(frames)) for prompt in prompts]
        scored: list[list[Clip]] = [[] for _ in rows]
        if prediction != "text":
            scores = self._scored(prompts, all_tokens)
            scored = [
                clips_from_scores(row, stamps, frames.duration, rule=PROBABILITY, word="relevance") for row in scores
            ]
        if prediction == "scores":
            return Read([Prediction(found) for found in scored], process_time() - start, 0)
        if times:
            answers = write(self.model, self.tokenizer, rows, limit)
        else:
            answers = self._generate(prompts, all_tokens, limit)
        fmt = self.settings.format
        found = [parse_clips(answer, frames.duration, fmt=fmt, times=stamps) for answer in answers]
        if prediction == "both":
            found = [Prediction(merged_clips(*both), notes=both[0].notes) for both in zip(found, scored, strict=True)]
        seconds = process_time() - start
        written = sum(map(self._length, answers))
        return Read(found, seconds, written)

    def untimed(self, prompt: Sequence[int], count: int) -> list[int]:
        """The ids of a prompt with ``count`` frames, without the frames' times."""
        marks = [self.tokenizer(str(i), add_special_tokens=False)["input_ids"] for i in range(count + 1)]
        return without_times(prompt, self._image, marks)

    def _length(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def _image(self) -> int:
        return int(self.model.config.image_token_id)

    @torch.no_grad()
    def _scored(self, prompts: Sequence[Sequence[int]], tokens: Tensor) -> NDArray[np.float64]:
        """The score of every frame for every prompt, (prompts, T), as ``prediction.frame_scores`` has it for one."""
        length = max(map(len, prompts))  # causal: padding on the right changes nothing
        ids = torch.tensor([[*prompt, *[self.tokenizer.pad_token_id] * (length - len(prompt))] for prompt in prompts])
        language = self.model.model.language_model
        with only_layers(language, self.settings.scores_layer or len(language.layers)):
            seen = language(inputs_embeds=embed(self.model, ids, tokens), use_cache=False).last_hidden_state
        words = [self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in RELEVANCE]
        shares = self.model.lm_head(seen[ids == self._image])[:, words].softmax(-1).double()
        worth = torch.tensor([WORTH.get(word, 0.0) for word in RELEVANCE], dtype=torch.float64)
        scores: NDArray[np.float64] = (shares @ worth).clamp(0, 1).view(len(prompts), -1).numpy()
        return scores

    @torch.no_grad()
    def _generate(self, prompts: Sequence[Sequence[int]], tokens: Tensor, limit: int) -> list[str]:
        """The likeliest answer to every prompt by transformers' own ``generate``: for prompts that no row can hold."""
        pad = self.tokenizer.pad_token_id
        ids, mask = padded_left(prompts, pad)
        stop = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        greedy = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=stop, pad_token_id=pad)
        embeds = embed(self.model, ids, tokens)
        written = self.model.generate(inputs_embeds=embeds, attention_mask=mask, generation_config=greedy)
        answers: list[str] = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return answers


def without_times(prompt: Sequence[int], image: int, marks: Sequence[Sequence[int]]) -> list[int]:
    """A prompt's ids without its time marks.

    Args:
        prompt: ids with T image tokens.
        image: the image token.
        marks: T + 1 lists of ids: what stands before every image, and right after the last.

    Raises:
        ValueError: they do not stand there.
    """
    kept: list[int] = []
    left = list(prompt)
    for mark in marks[:-1]:
        end = left.index(image)
        before, left = left[:end], left[end + 1 :]
        if not mark or before[-len(mark) :] != list(mark):
            raise ValueError(
                f"the time mark {list(mark)} does not stand before its image; before it stand {before[-3:]}"
            )
        kept += [*before[: -len(mark)], image]
    if left[: len(marks[-1])] != list(marks[-1]):
        raise ValueError(f"the closing time mark {list(marks[-1])} does not follow the last image")
    return kept + left[len(marks[-1]) :]
