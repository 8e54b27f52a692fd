"""k frames and a multiple-choice question -> an option, by any answering model.

All selectors' frames are given in one form, the time of each frame as text before it: in a form of the model's own
family (``style="auto"``) kframes' frames may look different from a baseline's, for clips are told there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch

from kframes_plugin.mllm.load import load
from kframes_plugin.prompt.choices import LETTERS, read_choice, write_question
from kframes_plugin.prompt.styles import STYLES, style_of
from kframes_plugin.selection import Selection
from kframes_plugin.selectors.remote import RemoteSelector
from kframes_plugin.types import Clip, Cost, Frame
from kframes_training.evaluation.store import digest_weights
from kframes_training.sources.datasets import Item

SYNTHSCENES = "synthscenes:"
NEAR = 2.0  # seconds: subtitles so near to a frame are told with it


@dataclass(frozen=True)
class Answer:
    """What an answerer chose.

    Attributes:
        choice: index of the option, or None where the model named none.
        text: what it wrote, where it wrote something.
        chances: p(option) where they are known, adding up to 1.
        cost: calls, tokens, seconds.
    """

    choice: int | None
    text: str = ""
    chances: Sequence[float] = ()
    cost: Cost = field(default_factory=Cost)


class Answerer(Protocol):
    """Answers an item from frames in time order. ``settings``: all that its answers depend on."""

    settings: dict[str, Any]

    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Answer: ...


class TransformersAnswerer:
    """Any image-text-to-text model of transformers; the likeliest of the options' letters as its next token.

    Args:
        name: hub id, directory, or directory of a PEFT adapter.
        style: a style of ``prompt.styles``, or "auto": the one of the model's family.
        device: as for :meth:`KFrames.from_pretrained`.

    Raises:
        SelectorError: it cannot be loaded.
    """

    def __init__(self, name: str, *, style: Any = "interleaved", device: str | None = None) -> None:
        loaded = load(name, device=device, dtype="auto")
        self.model, self.processor = loaded.model, loaded.processor
        chosen = style_of(self.processor) if style == "auto" else style
        if chosen not in STYLES:
            raise ValueError(f'style must be "auto" or one of {", ".join(STYLES)}; got {style!r}')
        self._write = STYLES[chosen]
        self.settings = {"answerer": name, "weights": digest_weights(name), "style": chosen}

    @torch.inference_mode()
    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Answer:
        """With p(option) of every option."""
        start = perf_counter()
        blocks, metadata = self._write(frames, duration, clips)
        content = [*blocks, {"type": "text", "text": "\n" + prompt(item, frames)}]
        more = {"processor_kwargs": {"do_sample_frames": False, "video_metadata": metadata}} if metadata else {}
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            **more,
        ).to(self.model.device, dtype=self.model.dtype)
        tokenizer = self.processor.tokenizer
        firsts = [tokenizer(a, add_special_tokens=False)["input_ids"][0] for a in LETTERS[: len(item.options)]]
        logits = self.model(**inputs, logits_to_keep=1).logits[0, -1, firsts]
        chances: list[float] = logits.float().softmax(-1).tolist()
        cost = Cost(model_calls=1, tokens_in=inputs["input_ids"].shape[1], seconds={"answer": perf_counter() - start})
        return Answer(max(range(len(chances)), key=chances.__getitem__), "", [round(p, 5) for p in chances], cost)


class RemoteAnswerer:
    """Any OpenAI-compatible endpoint; the letter is read from what it writes."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.server = RemoteSelector.from_options(url, {"max_tokens": 16, **({} if options is None else options)})
        self.settings = {"answerer": url}

    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Answer:
        """SelectorError where the server refuses."""
        start = perf_counter()
        shown = Selection("", item.query, len(frames), "uniform", tuple(clips), tuple(frames), Cost(), (), duration)
        reply = self.server.chat(shown.to_messages(prompt(item, frames)), shown=len(frames))
        cost = reply.cost + Cost(seconds={"answer": perf_counter() - start})
        return Answer(read_choice(reply.text, item.options), reply.text, cost=cost)


class SynthScenesAnswerer:
    """The frozen tiny answerer of a nano recipe: it knows drawn scenes only, and questions of as it was trained on."""

    def __init__(self, folder: str) -> None:
        from transformers import Qwen2_5_VLForConditionalGeneration

        from kframes_training.nano.recipe import load_tokenizer

        if not Path(folder, "config.json").is_file():
            raise ValueError(f"{folder} holds no answerer of a nano recipe; give its folder answerer/final")
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = load_tokenizer(Path(folder))
        self.settings = {"answerer": SYNTHSCENES, "weights": digest_weights(folder)}

    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Answer:
        """With p(option) of every option."""
        from kframes_training.nano.answerer import answer_from_frames
        from kframes_training.sources.synthscenes import Question

        start = perf_counter()
        question = Question(item.question, "", item.options, item.answer or 0, ())
        chances = answer_from_frames(self.model, self.tokenizer, frames, question)
        cost = Cost(model_calls=1, seconds={"answer": perf_counter() - start})
        return Answer(max(range(len(chances)), key=chances.__getitem__), "", [round(p, 5) for p in chances], cost)


def load_answerer(
    name: str, *, style: Any = "interleaved", device: str | None = None, server: Mapping[str, Any] | None = None
) -> Answerer:
    """The answerer of a name.

    Args:
        name: a transformers id or directory; "http(s)://HOST/v1#MODEL"; or "synthscenes:FOLDER".
        style: how frames are given to a transformers model.
        device: of a transformers model.
        server: options of one behind a URL, as for :meth:`KFrames.from_pretrained`.

    Raises:
        SelectorError: it cannot be loaded.
        ValueError: a style that is none, or that goes with transformers models alone.
    """
    if name.startswith((SYNTHSCENES, "http://", "https://")):
        if style != "interleaved":
            raise ValueError(
                f"style={style!r} is for models that transformers runs; {name} takes images with their times"
            )
        if name.startswith("http"):
            return RemoteAnswerer(name, server)
        return SynthScenesAnswerer(name.removeprefix(SYNTHSCENES))
    return TransformersAnswerer(name, style=style, device=device)


def prompt(item: Item, frames: Sequence[Frame]) -> str:
    """The question with its options, after the subtitles that are heard near the frames."""
    heard = [
        text
        for start, end, text in item.subtitles
        if any(start - NEAR <= frame.timestamp <= end + NEAR for frame in frames)
    ]
    spoken = ["Subtitles near these frames: " + " ".join(heard)] if heard else []
    return "\n".join([*spoken, write_question(item.question, item.options)])
