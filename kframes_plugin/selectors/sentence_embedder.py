"""Image-text similarity with a multimodal encoder of sentence-transformers (CLIP, Qwen3-VL-Embedding and others).

Pictures and query are embedded by one model behind one ``encode``; ``similarity.py`` makes clips of the cosines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.errors import SelectorError, needs_extra, only_selector_errors
from kframes_plugin.mllm.weights import check_folder
from kframes_plugin.text import quoted

if TYPE_CHECKING:
    from kframes_plugin.selectors.similarity import SimilaritySelector

FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]  # never pickled weights, never code
PICKLED = {".bin", ".pt", ".pth", ".ckpt"}
DTYPES = ("auto", "float32", "bfloat16", "float16")
FRAME_SIZE = 448  # pixels, long side: twice what CLIP crops to, and some hundred tokens of a model that reads patches


def load_sentence_embedder(name: str, *, device: str | None = None, dtype: str = "auto") -> SimilaritySelector:
    """A selector that embeds with a model of sentence-transformers; weights from safetensors only.

    Args:
        name: hub id, or local directory, of a model that embeds text and images.
        device: "cpu", "cuda", "cuda:1" ...; None: the GPU where there is one.
        dtype: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, float32 on a CPU.

    Raises:
        SelectorError: it cannot be loaded or embeds no images; the message says what to do.
        ValueError: an unknown dtype.
    """
    model = SentenceEmbedder(name, device, dtype)
    from kframes_plugin.selectors.similarity import SimilaritySelector

    return SimilaritySelector(
        model.embed_images, model.embed_text, frame_size=FRAME_SIZE, is_cut=model.is_cut, embedding_key=f"st-{name}"
    )


class SentenceEmbedder:
    """A loaded model. Arguments and errors as in :func:`load_sentence_embedder`."""

    def __init__(self, name: str, device: str | None, dtype: str) -> None:
        with needs_extra("st", f"the sentence-transformers model {name!r}"):
            import torch
            from sentence_transformers import SentenceTransformer

        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
        device = device if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        with only_selector_errors(f"cannot load the sentence-transformers model {quoted(name)}"):
            self.model: Any = SentenceTransformer(
                str(_folder(name)),
                device=device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
            )
        if not self.model.supports("image"):
            raise SelectorError(f"{name!r} embeds no images; choose a multimodal model of sentence-transformers")

    def embed_images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """Pictures -> (n, d).

        Raises:
            SelectorError: the GPU's memory is too small for so many.
        """
        import torch

        try:
            features: NDArray[np.float32] = self.model.encode_document(
                images, batch_size=len(images), show_progress_bar=False, convert_to_numpy=True
            )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise SelectorError(
                f"the GPU has not enough memory for {len(images)} pictures at once; lower candidate_size, or choose a "
                "smaller model"
            ) from error
        return features

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Text -> (d,)."""
        features: NDArray[np.float32] = self.model.encode_query(text, show_progress_bar=False, convert_to_numpy=True)
        return features

    def is_cut(self, text: str) -> bool:
        """Whether the last word is not read: the tokens are the same without it."""
        shorter = text.rsplit(None, 1)[0]
        whole, part = (self.model.preprocess([one])["input_ids"] for one in (text, shorter))
        return shorter != text and whole.shape == part.shape and bool((whole == part).all())


def _folder(name: str) -> Path:
    """The local folder of a model; one of the hub is downloaded into its cache, what we read of it."""
    from huggingface_hub import snapshot_download

    path = Path(name).expanduser()
    if not path.is_dir():
        if path.is_absolute() or name.startswith("."):
            raise FileNotFoundError("there is no such directory; check the path")
        path = Path(snapshot_download(name, allow_patterns=FILES))
    check_folder(path)
    for file in path.rglob("*"):
        if file.suffix in PICKLED and not any(file.parent.glob("*.safetensors")):
            raise ValueError(
                f"{file.name} may hold code; save the model with save_pretrained, which writes safetensors"
            )
    return path
