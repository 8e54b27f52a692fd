"""The models that a person can choose: the table, "auto", and what a machine can run."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket

from kframes_plugin import KFrames, SelectorError
from kframes_plugin.selectors.lite import LiteSelector
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.selectors.models import (
    MODELS,
    Machine,
    advise,
    choose,
    find_model,
    find_snapshot,
    list_models,
    local_name,
    tell_state,
    write_table,
)
from kframes_plugin.selectors.similarity import OpenCLIP, SimilaritySelector

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
    assert "~2.0 GB" not in lines["clip-small"], "RAM and seconds were measured"
    assert "published results" in table
    assert "auto: lite" in table
    assert len(list_models(DESKTOP, tmp_path)) == len(MODELS)


def test_the_command_prints_the_table_and_json():
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "models"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [row["name"] for row in found["models"]] == [model.name for model in MODELS]
    assert found["machine"]["cores"] >= 1
    assert found["auto"] in {model.name for model in MODELS}


def test_auto_and_lite_load_and_say_so(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with caplog.at_level(logging.INFO, logger="kframes"):
        assert isinstance(KFrames.from_pretrained("auto").selector, LiteSelector)
    assert "auto: lite, the best that this machine runs without a download" in caplog.text


# --------------------------------------------------------------------------------- what is here, without a request

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of downloads of the hub, and no socket of this process that can be opened."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    disable_socket()
    yield tmp_path
    enable_socket()


def keep_open_clip(folder: Path, name: str) -> Path:
    """A download of a tiny open_clip model; its snapshot."""
    import open_clip
    from safetensors.torch import save_file

    settings = {"model_cfg": CLIP, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    keep(folder, name, {"open_clip_config.json": json.dumps(settings)})
    snapshot = next(folder.glob("models--*/snapshots/abc"))
    weights = {key: value.contiguous() for key, value in open_clip.CLIP(**CLIP).state_dict().items()}
    save_file(weights, snapshot / "open_clip_model.safetensors")
    return snapshot


def test_auto_loads_what_is_here_without_a_request(cache: Path, caplog: pytest.LogCaptureFixture):
    keep_open_clip(cache, "clip-small")
    with caplog.at_level(logging.INFO, logger="kframes"):
        selector = KFrames.from_pretrained("auto", device="cpu").selector
    assert isinstance(selector, SimilaritySelector)
    assert "auto: clip-small" in caplog.text


def test_a_model_that_is_here_is_loaded_from_its_folder(tmp_path: Path):
    keep(tmp_path, "qwen3-vl-2b", {"model.safetensors": ""})
    model = find_model("qwen3-vl-2b")
    assert model is not None
    assert local_name(model, tmp_path) == str(tmp_path / "models--Qwen--Qwen3-VL-2B-Instruct/snapshots/abc")
    assert local_name(model, None) == "Qwen/Qwen3-VL-2B-Instruct"
    small = find_model("clip-small")
    assert small is not None
    keep(tmp_path, "clip-small", {"open_clip_model.safetensors": ""})
    assert local_name(small, tmp_path) == small.selector, "without settings open_clip must be told the architecture"


def test_a_model_of_the_hub_that_is_here_needs_no_request(cache: Path):
    snapshot = keep_open_clip(cache, "clip")
    assert OpenCLIP("hf-hub:timm/ViT-B-16-SigLIP2-256", "cpu", "float32").embed_text("a dog").shape == (16,)
    (snapshot / "open_clip_config.json").unlink()
    (snapshot / "open_clip_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(SelectorError, match="header"):  # the file here was read, and nothing was asked for
        load_selector("clip", device="cpu")


def test_a_tokenizer_that_is_here_needs_no_request(tmp_path: Path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    keep(tmp_path, "clip", {"config.json": json.dumps({"model_type": "siglip"})})
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "dog": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    tokenizer.save_pretrained(next(tmp_path.glob("models--*/snapshots/abc")))
    code = """
from pytest_socket import disable_socket
disable_socket()
from kframes_plugin.selectors.similarity import _tokenizer
print(_tokenizer("ViT-B-16-SigLIP2-256")(["dog"]).tolist()[0][:3])
"""
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path)}  # read when transformers is imported
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "[2, 1, 1]\n", done.stderr


def test_the_short_name_clip_reaches_its_repository(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    told = r"timm/ViT-B-16-SigLIP2-256 is not in the local cache .* run `hf download timm/ViT-B-16-SigLIP2-256`"
    with pytest.raises(SelectorError, match=told):
        KFrames.from_pretrained("clip")


def test_the_advice_is_given_once_a_process():
    code = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from kframes_plugin import KFrames
for _ in range(3):
    KFrames.from_pretrained("lite")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("all choices: kframes models") == 1
