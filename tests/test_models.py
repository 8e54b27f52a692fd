"""The models that a person can choose: the table, "auto", and what a machine can run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from kframes_plugin import KFrames
from kframes_plugin.selectors.lite import LiteSelector
from kframes_plugin.selectors.models import (
    MODELS,
    Machine,
    advise,
    choose,
    find_model,
    find_snapshot,
    list_models,
    tell_state,
    write_table,
)

LAPTOP = Machine(gpu_memory_gb=0, ram_gb=8, cores=2, has_torch=False)
DESKTOP = Machine(gpu_memory_gb=0, ram_gb=32, cores=8, has_torch=True)
GPU = Machine(gpu_memory_gb=24, ram_gb=64, cores=16, has_torch=True)


def keep(folder: Path, name: str, files: dict[str, str]) -> None:
    """A download as huggingface_hub leaves it."""
    model = find_model(name)
    assert model is not None
    kept = folder / f"models--{model.repository.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    (kept / "snapshots" / "abc").mkdir(parents=True)
    for file, text in files.items():
        (kept / "snapshots" / "abc" / file).write_text(text)


def test_every_model_of_the_table_has_its_facts():
    assert {"lite", "nano", "clip", "clip-small", "grounder-2b", "grounder-8b", "qwen2.5-vl-7b"} <= {
        m.name for m in MODELS
    }
    assert {"qwen3-vl-2b", "qwen3-vl-4b", "qwen3-vl-8b"} <= {m.name for m in MODELS}
    assert len({m.name for m in MODELS}) == len(MODELS)
    assert all(m.use and m.licence and m.memory > 0 and m.cpu_seconds > 0 for m in MODELS)
    assert all(bool(m.repository) == (m.download > 0) for m in MODELS)
    research = find_model("clip-small")
    assert research is not None
    assert "research" in research.licence
    assert not research.is_open


def test_auto_is_lite_where_nothing_was_downloaded(tmp_path: Path):
    for machine in (LAPTOP, DESKTOP, GPU):
        assert choose(machine, tmp_path).name == "lite"
        assert choose(machine, None).name == "lite"


def test_auto_takes_the_best_that_is_here_and_fits(tmp_path: Path):
    keep(tmp_path, "grounder-8b", {"model.safetensors": ""})
    assert choose(GPU, tmp_path).name == "grounder-8b"
    assert choose(DESKTOP, tmp_path).name == "lite", "minutes on a CPU"
    assert choose(Machine(8, 64, 16, True), tmp_path).name == "lite", "the GPU is too small"
    assert choose(Machine(24, 64, 16, False), tmp_path).name == "lite", "torch is not installed"


def test_a_download_that_is_not_whole_is_not_here(tmp_path: Path):
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    keep(tmp_path, "qwen3-vl-4b", {"one.safetensors": "", "model.safetensors.index.json": index})
    model = find_model("qwen3-vl-4b")
    assert model is not None
    assert find_snapshot(model, tmp_path) is None
    assert tell_state(model, GPU, here=False) == "download"


def test_the_advice_names_a_model_that_the_machine_can_run():
    assert "grounder-8b" in advise(GPU)
    assert "pip install" in advise(Machine(24, 64, 16, False))
    assert "pip install" not in advise(GPU)


def test_the_table_says_what_is_an_estimate(tmp_path: Path):
    table = write_table(DESKTOP, tmp_path)
    lines = {line.split()[0]: line for line in table.splitlines()[1:]}
    assert "~" in lines["grounder-8b"]
    assert "~" not in lines["lite"]
    assert "auto: lite" in table
    assert len(list_models(DESKTOP, tmp_path)) == len(MODELS)


def test_the_command_prints_the_table_and_json():
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "models"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert [row["name"] for row in json.loads(done.stdout)] == [model.name for model in MODELS]


def test_auto_and_lite_load_and_say_so(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with caplog.at_level(logging.INFO, logger="kframes"):
        assert isinstance(KFrames.from_pretrained("auto").selector, LiteSelector)
    assert "auto: lite, the best that this machine runs without a download" in caplog.text
