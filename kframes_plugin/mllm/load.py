"""Load a multimodal LLM: hub id, directory or PEFT adapter -> model, processor and the checkpoint's settings.

The one place where transformers' loading errors become :class:`SelectorError`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils import is_flash_attn_2_available

from kframes_plugin.errors import KFramesError, SelectorError
from kframes_plugin.mllm.adapters import add_adapter
from kframes_plugin.mllm.checkpoint import FILE_NAME, CheckpointSettings
from kframes_plugin.mllm.presets import find_preset, original_name
from kframes_plugin.mllm.weights import check_folder, read_json
from kframes_plugin.text import quoted, shortened

log = logging.getLogger("kframes")
FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.py"]  # never pickled weights
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Loaded:
    """A model on its device, its processor, and what its ``kframes.json`` or preset says; None where it has neither."""

    model: Any
    processor: Any
    settings: CheckpointSettings | None


def load(name: str, *, device: str | None, dtype: str, trust_remote_code: bool = False) -> Loaded:
    """Load a model by name; weights from safetensors only.

    Args:
        name: hub id or directory of a model or of a PEFT adapter.
        device: see :meth:`MLLMSelector.from_pretrained`; None for the GPU where there is one.
        dtype: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, float32 on a CPU.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        SelectorError: it cannot be loaded.
        ValueError: an unknown dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    try:
        return _load(name, device or _best_device(), dtype, trust_remote_code)
    except KFramesError:
        raise
    except Exception as error:
        raise SelectorError(f"cannot load the model {quoted(name)}: {_advice(name, error)}") from error


def _folder(name: str) -> Path:
    """The local folder of a checkpoint; one of the hub is downloaded into its cache, what we read of it."""
    path = Path(name).expanduser()
    if path.is_dir():
        check_folder(path)
        return path
    if path.is_absolute() or name.startswith("."):
        raise FileNotFoundError("there is no such directory")
    path = Path(snapshot_download(name, allow_patterns=FILES, ignore_patterns=["*/*", "consolidated*"]))
    check_folder(path)
    return path


def _base_of(adapter: Path) -> str:
    row = read_json(adapter)
    base = row.get("base_model_name_or_path") if isinstance(row, dict) else None
    if not isinstance(base, str) or not base:
        raise ValueError(f"{adapter.name} must name its base_model_name_or_path; got {quoted(base)}")
    return base


def _load(name: str, device: str, dtype: str, trust_remote_code: bool) -> Loaded:
    folder = _folder(name)
    adapter, base, names = folder / "adapter_config.json", folder, [name]
    if adapter.is_file():
        names.append(_base_of(adapter))
        base = _folder(names[-1])
        if (base / adapter.name).is_file():
            raise ValueError(f"its base {quoted(names[-1])} is an adapter too; merge that one into its model first")
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    model = AutoModelForImageTextToText.from_pretrained(
        base,
        dtype=getattr(torch, dtype),
        device_map=device,  # torch's own attention is what transformers takes where a model has it
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
    )
    if base != folder:
        model = add_adapter(model, folder)
    own_processor = any((folder / file).is_file() for file in ("processor_config.json", "preprocessor_config.json"))
    processor = AutoProcessor.from_pretrained(
        folder if own_processor else base,
        config=model.config,  # where the checkpoint's processor is code of its own: the one of its family
        trust_remote_code=trust_remote_code,
    )
    if is_flash_attn_2_available() and model.device.type == "cuda" and model.dtype != torch.float32:
        set_tower_attention(model, "flash_attention_2")
    return Loaded(model.eval(), processor, _settings(folder, base, names))


def set_tower_attention(model: Any, kind: str) -> bool:
    """Let the vision tower of a model use another kernel for attention, if its family can; says whether it does.

    Torch's kernel sees the windows or pictures of a tower one by one, 15,000 small calls for 256 frames; flash
    attention sees them all at once. The language model keeps torch's kernel, which takes any mask and is fast itself.
    """
    try:
        model.set_attn_implementation({"vision_config": kind})
    except (ValueError, ImportError) as error:
        log.debug("the vision tower of %s keeps torch's attention: %s", type(model).__name__, error)
    return getattr(getattr(model.config, "vision_config", None), "_attn_implementation", "") == kind


def _settings(folder: Path, base: Path, names: list[str]) -> CheckpointSettings | None:
    """The checkpoint's ``kframes.json``, else its base's, else the preset of the id that either has."""
    for file in (folder / FILE_NAME, base / FILE_NAME):
        if file.is_file():
            return CheckpointSettings.load(file)
    for name in (*names, original_name(folder), original_name(base)):
        if (preset := find_preset(name)) is not None:
            return preset
    return None


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _advice(name: str, error: Exception) -> str:
    """What went wrong, in one line, and what to do."""
    lines = str(error).strip().splitlines()
    what = shortened(lines[0], 300) if lines else type(error).__name__
    if Path(name).expanduser().is_dir():
        return f"{what} (it must be an image-text-to-text model saved with save_pretrained, weights as safetensors)"
    if Path(name).is_absolute() or name.startswith("."):
        return f"{what}; check the path"
    return (
        f"{what} (it is not a local directory; if it is a hub model, check its id, log in with `hf auth login` if "
        f"it is gated, and to use it without a network, first run `hf download {name}`)"
    )
