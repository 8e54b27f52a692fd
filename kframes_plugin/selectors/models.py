"""The models that a person can choose by a short name: what each needs, and which of them this machine can run.

One table and pure functions over it. Nothing here downloads or loads: what is on the machine already is read from the
folder where ``huggingface_hub`` keeps its downloads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

PATIENCE = 120.0  # seconds for ten minutes of video: a model that takes longer is called slow and never suggested
MOST_CORES = 8  # more cores gain a model little
State = Literal["bundled", "here", "download", "needs torch", "slow", "too large"]


@dataclass(frozen=True)
class Model:
    """What a person must know to choose a model.

    Attributes:
        name: its short name, what ``KFrames.from_pretrained`` takes.
        selector: the long name that it stands for, as ``load_selector`` takes it.
        use: what it is for, in a few words.
        parameters: in millions, >= 0.
        download: megabytes, >= 0; 0: it comes with kframes.
        memory: gigabytes of RAM while it runs on a CPU, in 32 bits, > 0.
        cpu_seconds: what a query on ten minutes of video takes on one core, > 0.
        measured: whether ``memory`` and ``cpu_seconds`` were measured; otherwise they are estimates.
        gpu_memory: gigabytes while it runs on a GPU, in 16 bits, an estimate; None: it uses no GPU.
        gpu_seconds: as ``cpu_seconds``, on a GPU, an estimate; None: it uses no GPU.
        licence: of the weights.
        is_open: whether that licence allows any use.
        repository: where the weights are on the hub; empty: they come with kframes.
    """

    name: str
    selector: str
    use: str
    parameters: float
    download: float
    memory: float
    cpu_seconds: float
    measured: bool
    gpu_memory: float | None
    gpu_seconds: float | None
    licence: str
    is_open: bool
    repository: str


@dataclass(frozen=True)
class Machine:
    """What decides which models run.

    Attributes:
        gpu_memory_gb: of the first NVIDIA GPU, gigabytes; 0: there is none that torch can use.
        ram_gb: gigabytes; None: the system does not say, and every model is taken to fit.
        cores: that this process may use, >= 1.
        has_torch: whether torch is installed.
    """

    gpu_memory_gb: float
    ram_gb: float | None
    cores: int
    has_torch: bool


def _bundled(name: str, use: str, parameters: float, memory: float, seconds: float) -> Model:
    return Model(name, name, use, parameters, 0, memory, seconds, True, None, None, "Apache-2.0", True, "")


def _clip(
    name: str, selector: str, repository: str, parameters: float, memory: float, seconds: float, *, licence: str
) -> Model:
    use, is_open = "looks like the query: things, places, short descriptions", licence == "Apache-2.0"
    costs = parameters, parameters * 4, memory, seconds, True, 1.5, 5
    return Model(name, f"openclip:{selector}", use, *costs, licence, is_open, repository)


def _mllm(name: str, repository: str, use: str, parameters: float, gpu_memory: float, gpu_seconds: float) -> Model:
    """A multimodal LLM: weights of 16 bits; 13,000 tokens for 256 frames, 2 operations a parameter and token.

    A core does some 50 billion operations a second. ``gpu_seconds`` stands for a card of 60 trillion, and 30 ms a
    written token.
    """
    ram, seconds = parameters * 4e-3 + 3, 2 * parameters * 1e6 * 13_000 / 50e9
    costs = parameters, parameters * 2, ram, seconds, False, gpu_memory, gpu_seconds
    return Model(name, repository, use, *costs, "Apache-2.0", True, repository)


_READS = "reads the frames and their times, writes reasons: actions, order, questions"
_GROUNDS = "trained to name all spans of a query; asked with its own prompt, as native video"

# From the plainest to the best for a query on real footage; "auto" takes the last that runs. The order from "clip" on
# follows published results (TimeLens2, arXiv 2607.17423; TimeLens, arXiv 2512.14698): kframes has not measured it.
# Marlin-2B is left out: see mllm/presets.
MODELS = (
    _bundled("uniform", "spreads the frames evenly; does not read the query", 0, 0.1, 0.3),
    _bundled("scenes", "one clip per scene; does not read the query", 0, 0.1, 4.4),
    _bundled("words", "what is said: subtitles, transcripts; looks at no picture", 22.7, 0.3, 1.5),
    _bundled("nano", "drawn scenes only (SynthScenes); 4.4 s to load", 6.0, 0.9, 0.6),
    _bundled("lite", "real footage on any CPU: things and places", 28.8, 0.8, 15.3),
    _clip(
        "clip-small",
        "MobileCLIP2-S0/dfndr2b",
        "timm/MobileCLIP2-S0-OpenCLIP",
        74.8,
        2.0,
        61,
        licence="Apple, research only",
    ),
    _clip("clip", "ViT-B-16-SigLIP2-256/webli", "timm/ViT-B-16-SigLIP2-256", 375.2, 2.8, 164, licence="Apache-2.0"),
    _mllm("qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct", _READS, 2_128, 7, 10),
    _mllm("qwen3-vl-4b", "Qwen/Qwen3-VL-4B-Instruct", _READS, 4_438, 12, 12),
    _mllm("qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct", _READS, 8_292, 19, 15),
    _mllm("qwen3-vl-8b", "Qwen/Qwen3-VL-8B-Instruct", _READS, 8_767, 22, 15),
    _mllm("grounder-2b", "MCG-NJU/TimeLens2-2B", _GROUNDS, 2_128, 7, 7),
    _mllm("grounder-8b", "MCG-NJU/TimeLens2-8B", _GROUNDS, 8_767, 22, 11),
)
BLIND = ("uniform", "scenes", "nano")  # they do not read a query on real footage: "auto" never takes them


def find_model(name: str) -> Model | None:
    """The model of a short name; None for any other name."""
    return next((model for model in MODELS if model.name == name), None)


def tell_state(model: Model, machine: Machine, here: bool) -> State:
    """Say whether a machine can run a model.

    Args:
        model: one of :data:`MODELS`.
        machine: what it would run on.
        here: whether its weights are on the machine.

    Returns:
        "bundled", "here" and "download": it runs, and in the last case its weights must be fetched first.
        "needs torch": it would run with the extra kframes[torch]. "slow": ten minutes of video take more than
        ``PATIENCE`` seconds on the CPU. "too large": neither the GPU nor the RAM can hold it.
    """
    if model.name == "nano":
        return "bundled" if machine.has_torch else "needs torch"
    if not model.repository:
        return "bundled"
    on_gpu = model.gpu_memory is not None and model.gpu_memory <= machine.gpu_memory_gb
    if not on_gpu and machine.ram_gb is not None and model.memory > machine.ram_gb:
        return "too large"
    if not on_gpu and model.cpu_seconds / min(machine.cores, MOST_CORES) > PATIENCE:
        return "slow"
    if not machine.has_torch:
        return "needs torch"
    return "here" if here else "download"


def choose(machine: Machine, folder: Path | None) -> Model:
    """The best model that a machine can run without a download; what "auto" stands for.

    Args:
        machine: what it runs on.
        folder: where the downloads of the hub are kept; None: nowhere.
    """
    states = [(model, tell_state(model, machine, find_snapshot(model, folder) is not None)) for model in MODELS]
    return [model for model, state in states if state in ("bundled", "here") and model.name not in BLIND][-1]


def suggest(machine: Machine) -> Model | None:
    """The best openly licensed model above lite that a machine could run after a download; None: there is none."""
    able = [model for model in MODELS if tell_state(model, machine, here=False) in ("download", "needs torch")]
    able = [model for model in able if model.is_open and model.name not in BLIND]
    return able[-1] if able else None


def advise(machine: Machine) -> str:
    """One sentence for people who use lite: the next better choice for their machine."""
    better = suggest(machine)
    if better is None:
        return "lite is the best choice for this machine; all choices: kframes models"
    install = "" if machine.has_torch else 'pip install "kframes[torch]", then '
    return (
        f"lite is small; the next better choice for this machine (by published results) is {better.name} "
        f"({_size(better.download)} to download, {better.licence}): {install}"
        f'KFrames.from_pretrained("{better.name}"); all choices: kframes models'
    )


def find_snapshot(model: Model, folder: Path | None) -> Path | None:
    """The folder with all weights of a model among the downloads of the hub; None: they are not there, or not all.

    Args:
        model: one of :data:`MODELS`.
        folder: as for :func:`choose`.
    """
    if folder is None or not model.repository:
        return None
    kept = folder / f"models--{model.repository.replace('/', '--')}"
    try:
        snapshot = kept / "snapshots" / (kept / "refs" / "main").read_text(encoding="utf-8").strip()
        files = {path.name for path in snapshot.glob("*.safetensors") if path.is_file()}
        for index in snapshot.glob("*.safetensors.index.json"):
            if not set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) <= files:
                return None
    except (OSError, ValueError, KeyError):
        return None  # never downloaded, or not to its end
    return snapshot if files else None


def local_name(model: Model, folder: Path | None) -> str:
    """The name by which ``load_selector`` loads a model without asking the hub: its folder, where it is whole.

    Args:
        model: one of :data:`MODELS`.
        folder: as for :func:`choose`.
    """
    snapshot = find_snapshot(model, folder)
    if snapshot is None:
        return model.selector
    if not model.selector.startswith("openclip:"):
        return str(snapshot)
    return f"openclip:local-dir:{snapshot}" if is_open_clip(snapshot) else model.selector


def is_open_clip(folder: Path) -> bool:
    """Whether a folder has all that open_clip reads beside weights: settings, and the tokenizer where they name one."""
    file = folder / "open_clip_config.json"
    if not file.is_file():
        return False
    return "hf_tokenizer_name" not in file.read_text(encoding="utf-8") or (folder / "tokenizer_config.json").is_file()


def find_downloads() -> Path | None:
    """The folder where ``huggingface_hub`` keeps its downloads; None where it is not installed."""
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ModuleNotFoundError:
        return None
    return Path(HF_HUB_CACHE)


@cache
def read_machine() -> Machine:
    """The machine that this process runs on. It imports no torch: the GPU is what ``nvidia-smi`` says."""
    version = _torch_version()
    usable = version is not None and not version.endswith("+cpu")
    return Machine(_gpu_memory() if usable else 0.0, _ram(), _cores(), version is not None)


def describe(machine: Machine, folder: Path | None) -> dict[str, Any]:
    """The table as plain values: "machine", "auto" (the name it stands for) and "models", see :func:`list_models`."""
    chosen = choose(machine, folder).name
    return {"machine": asdict(machine), "auto": chosen, "models": list_models(machine, folder)}


def list_models(machine: Machine, folder: Path | None) -> list[dict[str, Any]]:
    """The fields of every :class:`Model`, and its ``state``, see :func:`tell_state`."""
    rows = []
    for model in MODELS:
        here = find_snapshot(model, folder) is not None
        rows.append({**asdict(model), "state": tell_state(model, machine, here)})
    return rows


def write_table(machine: Machine, folder: Path | None) -> str:
    """The table as text, one model a line."""
    heads = ("name", "parameters", "download", "RAM", "1 core", "GPU RAM", "GPU", "licence", "this machine", "what for")
    lines = [heads]
    for row in list_models(machine, folder):
        about = "" if row["measured"] else "~"
        lines.append(
            (
                row["name"],
                _count(row["parameters"]),
                _size(row["download"]) if row["download"] else "none",
                f"{about}{row['memory']:.1f} GB",
                f"{about}{_seconds(row['cpu_seconds'])}",
                "-" if row["gpu_memory"] is None else f"~{row['gpu_memory']:.0f} GB",
                "-" if row["gpu_seconds"] is None else f"~{_seconds(row['gpu_seconds'])}",
                row["licence"],
                row["state"],
                row["use"],
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gpu = f"GPU of {machine.gpu_memory_gb:.0f} GB" if machine.gpu_memory_gb else "no GPU"
    ram = "RAM unknown" if machine.ram_gb is None else f"{machine.ram_gb:.0f} GB of RAM"
    below = (
        f"This machine: {gpu}, {ram}, {machine.cores} cores, {'torch' if machine.has_torch else 'no torch'}. "
        f"auto: {choose(machine, folder).name}.\n"
        "Seconds: one query on ten minutes of video, with decoding. ~: an estimate; the rest was measured.\n"
        "From plainest to best for real footage; from clip-small on, as in published results, not measured by kframes."
    )
    return "\n".join([*(_line(cells, widths) for cells in lines), below])


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _count(millions: float) -> str:
    return "none" if millions == 0 else f"{millions / 1000:.1f} B" if millions >= 1000 else f"{millions:.0f} M"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _seconds(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= PATIENCE else f"{seconds:.2g} s"


def _torch_version() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def _gpu_memory() -> float:
    """Gigabytes of the GPU that torch takes first; 0 where none can be seen. AMD's and Apple's are not asked."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first in ("", "-1") or shutil.which(command[0]) is None:
        return 0.0
    try:
        done = subprocess.run([*command, "-i", first], capture_output=True, text=True, check=True, timeout=10)
        return float(done.stdout.split()[0]) / 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0.0  # a driver that does not answer


def _ram() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count
