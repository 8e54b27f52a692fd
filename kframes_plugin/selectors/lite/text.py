"""Text -> embeddings: all-MiniLM-L6-v2 by ONNX Runtime. Splits queries into phrases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.errors import SelectorError
from kframes_plugin.selectors.lite.session import LazySession

MAX_TOKENS = 256  # what the model was trained to read
# Words that name nothing to be seen. Questions are made of them, and a phrase of these alone would be noise.
_FUNCTION_WORDS = """
a an the of in on with and or to at is are was were be been am do does did has have had can could will would by from for
over under behind front into up down out off his her its their my your our it he she they him them this that these those
there who what when where which why how next one two three some any someone something
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


class TextEncoder:
    """Texts -> (n, 384) embeddings of length 1.

    Args:
        folder: holds ``text.onnx`` and ``tokenizer.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run = LazySession(folder / "text.onnx")
        self._tokenizer: Any = None

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed n >= 1 texts of any length; what lies beyond ``MAX_TOKENS`` is not read."""
        tokenizer = self._load_tokenizer()
        batches = []
        for start in range(0, len(texts), 64):
            codes = tokenizer.encode_batch(list(texts[start : start + 64]))
            tokens = np.array([code.ids for code in codes], np.int64)
            mask = np.array([code.attention_mask for code in codes], np.int64)
            batches.append(self._run(tokens=tokens, mask=mask))
        return np.concatenate(batches)

    def is_cut(self, text: str) -> bool:
        """Whether only the beginning of the text is read."""
        return bool(self._load_tokenizer().encode(text).overflowing)

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            file = self.folder / "tokenizer.json"
            if not file.is_file():
                raise SelectorError(f"there is no {file}; reinstall kframes, or run training/recipes/lite.sh")
            self._tokenizer = Tokenizer.from_file(str(file))
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer.enable_padding(pad_id=self._tokenizer.token_to_id("[PAD]"))
        return self._tokenizer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokenizer": None}


def find_words(query: str) -> list[str]:
    """The words of a query in small letters, in any script."""
    return re.findall(r"[^\W\d_]+", query.lower())


def find_content(query: str) -> list[str]:
    """The words of a query that name something; none where it has function words only."""
    return [word for word in find_words(query) if word not in FUNCTION_WORDS]


def find_phrases(query: str) -> list[str]:
    """The words that name something, and each two of them that follow each other; the query itself where none does."""
    words = find_content(query)
    return [*words, *(f"{one} {other}" for one, other in pairwise(words))] if words else [query]
