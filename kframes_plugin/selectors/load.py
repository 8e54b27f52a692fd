"""The selector of a name. The only map from names to code; behind :meth:`KFrames.from_pretrained`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kframes_plugin.errors import SelectorError, needs_extra
from kframes_plugin.text import quoted
from kframes_plugin.types import PredictionKind, Selector

log = logging.getLogger("kframes")

DTYPES = ("auto", "float32", "bfloat16", "float16")
_DEVICE = re.compile(r"auto|cpu|(cuda|xpu|npu|mps|hpu|xla|mlu|musa)(:\d{1,3})?")
NANO = Path(__file__).parent / "nano"  # the bundled model: its weights, how to use them, and their card
NANO_NOTE = (
    "nano was trained on synthetic scenes (drawn shapes) and on nothing else; for real footage use "
    '"Qwen/Qwen2.5-VL-3B-Instruct" or "openclip:ViT-B-32/laion2b_s34b_b79k"'
)


def load_selector(
    model: str,
    *,
    device: str | None = None,
    dtype: str = "auto",
    prediction: PredictionKind | None = None,
    server: Mapping[str, Any] | None = None,
) -> Selector:
    """The selector of a name, with the arguments of :meth:`KFrames.from_pretrained`.

    Raises:
        SelectorError: it cannot be loaded; the message says what to do.
        ValueError: an unknown prediction or option of a server, or one for a selector that has none.
    """
    if not model.strip():
        raise SelectorError("the name of the model is empty; give one of `kframes models`, an id or a directory")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {quoted(dtype)}")
    if device is not None and not (isinstance(device, str) and _DEVICE.fullmatch(device)):
        raise ValueError(
            f'device must be None, or a name such as "cpu", "cuda", "cuda:1" or "auto"; got {quoted(device)}'
        )
    if server is not None and not isinstance(server, Mapping):
        raise TypeError(f"server must be a mapping of names to values; got {quoted(server)}")
    model = _long_name(model)
    if server and not model.startswith(("http://", "https://")):
        raise ValueError(f"server= is for models behind an http(s) URL; {model!r} is not one: leave it out")
    if model == "nano":
        return load_selector(_nano(), device=device, dtype=dtype, prediction=prediction)
    if prediction is not None and (
        model in ("uniform", "scenes", "lite", "words") or model.startswith(("openclip:", "st:", "http:", "https:"))
    ):
        raise ValueError(
            f"prediction={prediction!r} is for models that kframes runs itself (nano, or one of transformers); "
            f"{model!r} has one way to answer: leave prediction out"
        )
    if model == "uniform":
        from kframes_plugin.selectors.uniform import UniformSelector

        return UniformSelector()
    if model == "scenes":
        from kframes_plugin.selectors.scenes import SceneSelector

        return SceneSelector()
    if model == "words":
        from kframes_plugin.selectors.words import WordsSelector

        return WordsSelector()
    if model == "lite":
        from kframes_plugin.selectors.lite import LiteSelector

        _advise()
        return LiteSelector()
    if model.startswith("openclip:"):
        from kframes_plugin.selectors.similarity import SimilaritySelector

        return SimilaritySelector.from_pretrained(model.removeprefix("openclip:"), device=device, dtype=dtype)
    if model.startswith("st:"):
        from kframes_plugin.selectors.sentence_embedder import load_sentence_embedder

        return load_sentence_embedder(model.removeprefix("st:"), device=device, dtype=dtype)
    if model.startswith(("http://", "https://")):
        from kframes_plugin.selectors.remote import RemoteSelector

        return RemoteSelector.from_options(model, {} if server is None else server)
    with needs_extra("torch", f"the model {model!r}"):
        from kframes_plugin.selectors.mllm import MLLMSelector
    return MLLMSelector.from_pretrained(model, device=device, dtype=dtype, prediction=prediction)


def _long_name(model: str) -> str:
    """What a short name of ``kframes models`` stands for; any other name as it is."""
    from kframes_plugin.selectors.models import choose, find_downloads, find_model, local_name, read_machine

    if model == "auto":
        downloads = find_downloads()
        chosen = choose(read_machine(), downloads)
        log.info("auto: %s, the best that this machine runs without a download", chosen.name)
        return local_name(chosen, downloads)
    short = find_model(model)
    return model if short is None else short.selector


@cache
def _advise() -> None:
    """Log the next better choice for this machine, once a process."""
    from kframes_plugin.selectors.models import advise, read_machine

    log.info(advise(read_machine()))


def _nano() -> str:
    """The folder of the bundled model, with a word on what it can do."""
    if not (NANO / "model.safetensors").is_file():
        raise SelectorError(
            f"the bundled model nano has no weights: there is no {NANO / 'model.safetensors'}; reinstall kframes, "
            'train it with training/recipes/nano.sh, or name another selector, as KFrames.from_pretrained("scenes")'
        )
    log.warning(NANO_NOTE)
    return str(NANO)
