"""OpenCLIPEmbedding: text and images in one space, for indexes of keyframes."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from numpy.typing import ArrayLike
from PIL import Image
from pydantic import Field, PrivateAttr

from kframes_plugin.kframes import KFrames


class OpenCLIPEmbedding(MultiModalEmbedding):
    """Embeddings of an open_clip model, of length 1, from safetensors; loaded on first use.

    Args:
        model_name: as after "openclip:" in :meth:`KFrames.from_pretrained`: "ViT-B-32/laion2b_s34b_b79k", a directory
            with open_clip_config.json ...
        device: "cpu", "cuda" ...; automatic when None.
    """

    model_name: str = Field(description="open_clip model: ARCH/WEIGHTS or a directory.")
    device: str | None = None

    _model: Any = PrivateAttr(default=None)

    def __init__(self, model_name: str, *, device: str | None = None, **options: Any) -> None:
        super().__init__(**options | {"model_name": model_name, "device": device})

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex keeps in serialised embeddings."""
        return "OpenCLIPEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        return _unit(self._loaded().embed_text(text))

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        with Image.open(img_file_path) as image:
            return _unit(self._loaded().embed_images([image.convert("RGB")])[0])

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)

    def _loaded(self) -> Any:
        if self._model is None:
            self._model = KFrames.from_pretrained(f"openclip:{self.model_name}", device=self.device).selector
        return self._model


def _unit(embedding: ArrayLike) -> list[float]:
    vector = np.asarray(embedding, np.float64)
    return [float(value) for value in vector / np.linalg.norm(vector)]
