"""A model of transformers writes its most likely answer: always the same one, whatever its checkpoint would sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList, TextStreamer

from kframes_plugin.cancellation import stop_if_cancelled


@dataclass(frozen=True)
class Written:
    """What a model wrote.

    Attributes:
        text: the answer without control tokens.
        tokens: how many tokens it took, >= 0.
        finished: whether it came to its end before the longest answer allowed.
    """

    text: str
    tokens: int
    finished: bool


def write(
    model: Any, processor: Any, inputs: Mapping[str, Any], longest: int, on_text: Callable[[str], None] | None = None
) -> list[Written]:
    """The answers of at most ``longest`` tokens to the prompts in ``inputs``, which all end at their last column.

    ``on_text`` is called with each piece of the answer as it comes; it is for a single prompt.
    """
    settings = _greedy(model, processor, longest)
    length = inputs["input_ids"].shape[1]
    streamer = None if on_text is None else _Pieces(processor.tokenizer, on_text)
    with torch.inference_mode():
        made = model.generate(
            **inputs,
            generation_config=settings,
            streamer=streamer,
            stopping_criteria=StoppingCriteriaList([_AtEveryToken()]),
        )
        rows = made[:, length:].tolist()
    return [_read(processor, row, settings.eos_token_id or ()) for row in rows]


class _Pieces(TextStreamer):  # type: ignore[misc]
    """Hands whole words on as they are written."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._on_text = on_text

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._on_text(text)


class _AtEveryToken(StoppingCriteria):  # type: ignore[misc]
    """Stops where nobody waits for the answer; never by itself."""

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        stop_if_cancelled()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _read(processor: Any, tokens: list[int], stops: Collection[int]) -> Written:
    """The answer up to and with its first stop: behind it stands padding, where others went on."""
    end = next((place for place, token in enumerate(tokens) if token in stops), None)
    answer = tokens if end is None else tokens[: end + 1]
    return Written(processor.decode(answer, skip_special_tokens=True), len(answer), end is not None)


def _greedy(model: Any, processor: Any, longest: int) -> GenerationConfig:
    """Every sampling setting that a checkpoint brings along is overruled."""
    own = model.generation_config
    stops = own.eos_token_id if own.eos_token_id is not None else processor.tokenizer.eos_token_id
    stops = stops if isinstance(stops, list) or stops is None else [stops]
    pad = own.pad_token_id if own.pad_token_id is not None else (stops or [0])[0]
    return GenerationConfig(
        max_new_tokens=longest,
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,  # keys repeat in every clip
        bos_token_id=own.bos_token_id,
        eos_token_id=stops,
        pad_token_id=pad,
    )
