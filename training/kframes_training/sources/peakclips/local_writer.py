"""A language model of transformers in this process: a hub id, a directory, or a PEFT adapter."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any

from PIL import Image

from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.generate import write
from kframes_plugin.mllm.inputs import without_control_tokens
from kframes_plugin.mllm.load import load
from kframes_training.sources.peakclips.annotator import AnnotatorError, Completion, Messages


class LocalWriter:
    """Writes greedily, one answer at a time: the form of an answer is only said in the prompt.

    Args:
        name: hub id or directory of an image-text-to-text model.
        device: "cpu", "cuda" ...; None: the GPU where there is one.
        max_tokens: longest answer, tokens.
        seed: part of every answer's address; the answers are the likeliest whatever it is.

    Raises:
        AnnotatorError: the model cannot be loaded.
    """

    def __init__(self, name: str, *, device: str | None = None, max_tokens: int = 2048, seed: int = 0) -> None:
        try:
            loaded = load(name, device=device, dtype="auto")
        except SelectorError as error:
            raise AnnotatorError(str(error)) from error
        self.model, self.processor, self.max_tokens = loaded.model.eval(), loaded.processor, max_tokens
        self.id = f"local:{name} max_tokens={max_tokens} seed={seed}"
        self._lock = threading.Lock()

    async def write(self, messages: Messages, form: dict[str, Any], name: str) -> Completion:
        """The likeliest answer."""
        return await asyncio.to_thread(self._write, messages)

    def _write(self, messages: Messages) -> Completion:
        chat = [{**message, "content": [self._part(part) for part in message["content"]]} for message in messages]
        with self._lock:
            inputs = self.processor.apply_chat_template(
                chat, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
            ).to(self.model.device, dtype=self.model.dtype)
            (written,) = write(self.model, self.processor, dict(inputs), self.max_tokens)
        return Completion(written.text, inputs["input_ids"].shape[1], written.tokens, cut_off=not written.finished)

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] == "image":
            return {"type": "image", "image": Image.open(io.BytesIO(part["jpeg"])).convert("RGB")}
        return {"type": "text", "text": without_control_tokens(self.processor, part["text"])}
