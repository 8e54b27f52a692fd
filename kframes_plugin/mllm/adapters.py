"""Adapters of peft on a model: every weight must find its place, under its own name or the one it had before.

transformers moved the language model of most families under ``model.language_model`` (4.52). An adapter that was
trained before has the old names, and peft then loads nothing of it, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from kframes_plugin.errors import SelectorError, needs_extra
from kframes_plugin.text import quoted

WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
# Where the parts of a model have been and are, the most telling first
_PLACES = (
    *("model.language_model.model.", "language_model.model.", "model.language_model.", "model.text_model."),
    *("language_model.", "text_model.", "model.", ""),
)
_PART = re.compile(r"\.(lora_|modules_to_save\.|base_layer\.)")


def add_adapter(model: Any, folder: Path) -> Any:
    """The model with the adapter's weights added to its own: as fast as without, and as plain to use.

    Raises:
        FileNotFoundError: it has no weights as safetensors.
        SelectorError: some weights fit no part of the model.
    """
    with needs_extra("torch", f"the adapter {folder}"):
        from peft import PeftModel
        from safetensors import safe_open
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"the adapter has no {WEIGHTS}; save it with peft's save_pretrained")
    with safe_open(folder / WEIGHTS, "pt") as file:
        keys = list(file.keys())
    renamed = rename_keys(keys, {name for name, _ in model.named_modules()})
    mapping = {f"^{re.escape(old)}$": new for old, new in renamed.items()}
    adapted = PeftModel.from_pretrained(model, folder, use_safetensors=True, key_mapping=mapping or None)
    return adapted.merge_and_unload()


def rename_keys(keys: Iterable[str], modules: Collection[str]) -> dict[str, str]:
    """The weights of a LoRA whose place has another name now: old name -> new one, without peft's prefix.

    Args:
        keys: names of weights, as in an adapter's file.
        modules: names of the parts of the model.

    Raises:
        SelectorError: one fits nowhere.
    """
    renamed: dict[str, str] = {}
    lost: list[str] = []
    named = [key.removeprefix(_PREFIX) for key in keys]
    for key in named:
        found = _PART.search(key)
        if found is None:
            continue  # no LoRA: peft itself says what does not fit
        place, rest = key[: found.start()], key[found.start() :]
        now = place if place in modules else next((name for name in _names(place) if name in modules), None)
        if now is None:
            lost.append(key)
        elif now != place:
            renamed[key] = now + rest
    if lost:
        raise SelectorError(
            f"{len(lost)} of {len(named)} weights of the adapter fit no part of its base model, as {quoted(lost[0])}; "
            "give the model that it was trained on as base_model_name_or_path"
        )
    return renamed


def _names(place: str) -> Iterator[str]:
    for old in _PLACES:
        if place.startswith(old):
            for new in _PLACES:
                yield new + place.removeprefix(old)
