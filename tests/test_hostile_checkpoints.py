"""Checkpoints of strangers: weights are data, nothing is read from elsewhere, and every refusal is a SelectorError."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.adapters import rename_keys
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.load import load
from kframes_plugin.mllm.weights import check_folder
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.types import Candidates, Frame


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("good")
    base = tiny_models.qwen2_5_vl(root / "base")
    return {"base": base, "adapter": tiny_models.lora_adapter(root / "adapter", base)}


class Evil:
    """Runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def write_index(folder: Path, name: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}, "metadata": {}}))


def change(folder: Path, file: str, **values: Any) -> None:
    path = folder / file
    row = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(row | values))


def replace_by_link(folder: Path, file: str) -> None:
    shutil.move(folder / file, folder.parent / file)
    (folder / file).symlink_to(folder.parent / file)


def pickle_weights(folder: Path, index: bool) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    if index:
        row = {"weight_map": {"a": "pytorch_model.bin"}, "metadata": {}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(row))


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an index of pickles": (lambda f: write_index(f, "model.bin"), "names 'model.bin'; weights must be .safetensors"),
    "an index to elsewhere": (
        lambda f: write_index(f, "../x.safetensors"),
        "names '../x.safetensors'; weights",
    ),
    "an index to a path": (lambda f: write_index(f, "/x.safetensors"), "names '/x.safetensors'; weights must be"),
    "an index of a number": (lambda f: write_index(f, 5), "has no weight_map of names"),
    "an index to nothing": (lambda f: write_index(f, "no.safetensors"), "names 'no.safetensors', which is missing"),
    "a deep index": (
        lambda f: (f / "model.safetensors.index.json").write_text("[" * 100_000),
        "model.safetensors.index.json is nested too deeply",
    ),
    "weights linked": (
        lambda f: replace_by_link(f, "model.safetensors"),
        "model.safetensors leads out of the directory",
    ),
    "config linked": (lambda f: replace_by_link(f, "config.json"), "config.json leads out of the directory"),
    "pickled": (lambda f: pickle_weights(f, index=False), "no file named model.safetensors"),
    "pickled, index": (lambda f: pickle_weights(f, index=True), "no file named model.safetensors"),
    "cut weights": (lambda f: os.truncate(f / "model.safetensors", 1000), "cannot load the model"),
    "huge header": (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 4096), "cannot load the model"),
    "empty config": (lambda f: (f / "config.json").write_text(""), "cannot load the model"),
    "deep config": (lambda f: (f / "config.json").write_text('{"a":' * 50_000), "cannot load the model"),
    "broken tokenizer": (
        lambda f: (f / "tokenizer.json").write_text('{"model": {}}'),
        "cannot load the model",
    ),
    "odd config": (lambda f: change(f, "config.json", text_config=5), "cannot load the model"),
    "code": (
        lambda f: change(f, "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config"}),
        "cannot load the model",
    ),
    "base of nothing": (
        lambda f: change(f, "adapter_config.json", base_model_name_or_path=None),
        "must name its base_model_name_or_path; got None",
    ),
    "its own base": (
        lambda f: change(f, "adapter_config.json", base_model_name_or_path=str(f)),
        "is an adapter too; merge that one into its model first",
    ),
    **{
        f"kframes.json, {key} {value!r:.20}": (
            lambda f, key=key, value=value: change(f, "kframes.json", **{key: value}),  # type: ignore[misc]
            f"kframes.json cannot be used: {words}",
        )
        for key, value, words in (
            ("candidates", 0, "candidates must be a whole number"),
            ("candidates", 10**9, "candidates must be a whole number"),
            ("candidates", 1.5, "candidates must be a whole number"),
            ("candidates", True, "candidates must be a whole number"),
            ("candidates", "9" * 9999, "candidates must be a whole number"),
            ("frame_size", 10**6, "frame_size must be a whole number"),
            ("frame_size", [64, 0], "frame_size must be a whole number"),
            ("frame_size", [64, 64, 64], "frame_size must be a whole number"),
            ("max_new_tokens", 10**12, "max_new_tokens must be a whole number"),
            ("max_new_tokens", -1, "max_new_tokens must be a whole number"),
            ("scores_layer", 10**6, "scores_layer must be a whole number"),
            ("vocabulary", 5, "vocabulary must be"),
            ("vocabulary", [["a"]], "vocabulary must hold"),
            ("prediction", ["text"], "prediction must be one of"),
            ("reasons", 1, "reasons must be one of"),
            ("time_format", {"a": 1}, "time_format must be one of"),
            ("prompt", "no place", "prompt must be a text with"),
            ("retriever", 5, "retriever must be a name"),
            ("\x1b[31m", 1, "unknown key"),
        )
    },
    "kframes.json, list": (lambda f: (f / "kframes.json").write_text("[]"), "a JSON object is needed; got list"),
    "kframes.json, deep": (lambda f: (f / "kframes.json").write_text("[" * 10**5), "kframes.json is nested too deeply"),
    "kframes.json, nan": (
        lambda f: (f / "kframes.json").write_text('{"candidates": NaN}'),
        "candidates must be a whole",
    ),
    "kframes.json, binary": (
        lambda f: (f / "kframes.json").write_bytes(b"\xff\xfe"),
        "codec can't decode byte 0xff in position 0: invalid start byte, in kframes.json",
    ),
    "kframes.json, huge": (lambda f: (f / "kframes.json").write_text(" " * (5 << 20)), "has more than 4,194,304 bytes"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_checkpoint_is_refused(
    good: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil, message = CASES[case]
    folder = Path(shutil.copytree(good["base"], tmp_path / "model"))
    spoil(folder)
    with pytest.raises(SelectorError) as caught:
        load_selector(str(folder), device="cpu")
    told = str(caught.value)
    assert message in told
    assert len(told) < 1500
    assert "\x1b" not in told
    assert not (tmp_path / "owned").exists()


def test_links_inside_the_cache_of_the_hub_are_as_they_should_be(good: dict[str, Path], tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "1f"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in good["base"].iterdir():
        shutil.copy(file, blobs / file.name)
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    check_folder(snapshot)
    assert load_selector(str(snapshot), device="cpu")
    (snapshot / "more.json").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match=r"more\.json leads out of the directory"):
        check_folder(snapshot)


def old_names(folder: Path, rename: Callable[[str], str]) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({rename(key): value for key, value in weights.items()}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("old", ["base_model.model.model.layers.", "base_model.model.language_model.model.layers."])
def test_an_adapter_with_old_names_does_what_it_did(good: dict[str, Path], tmp_path: Path, old: str) -> None:
    folder = Path(shutil.copytree(good["adapter"], tmp_path / "adapter"))
    old_names(folder, lambda key: key.replace("base_model.model.model.language_model.layers.", old))
    assert any(key.startswith(old) for key in load_file(folder / "adapter_model.safetensors"))
    now, before = (load(str(path), device="cpu", dtype="float32").model for path in (folder, good["adapter"]))
    plain = load(str(good["base"]), device="cpu", dtype="float32").model.state_dict()
    for key, weight in before.state_dict().items():
        assert torch.equal(now.state_dict()[key], weight)
    assert any(not torch.equal(weight, plain[key]) for key, weight in now.state_dict().items())


def test_an_adapter_of_which_some_weights_fit_nowhere_is_refused(good: dict[str, Path], tmp_path: Path) -> None:
    for name, part in (("all", "layers"), ("some", "layers.1")):
        folder = Path(shutil.copytree(good["adapter"], tmp_path / name))
        old_names(folder, lambda key, part=part: key.replace(part, "blocks.7"))  # type: ignore[misc]
        with pytest.raises(SelectorError, match=r"\d+ of \d+ weights of the adapter fit no part of its base model, as"):
            load(str(folder), device="cpu", dtype="float32")


def test_names_of_other_families() -> None:
    new = {"model.language_model.layers.0.q", "model.visual.blocks.0.qkv", "model.vision_tower.x", "lm_head"}
    keys = ["model.layers.0.q.lora_A.weight", "visual.blocks.0.qkv.lora_B.weight", "vision_tower.x.lora_A.weight"]
    assert rename_keys([f"base_model.model.{key}" for key in keys], new) == {
        "model.layers.0.q.lora_A.weight": "model.language_model.layers.0.q.lora_A.weight",
        "visual.blocks.0.qkv.lora_B.weight": "model.visual.blocks.0.qkv.lora_B.weight",
        "vision_tower.x.lora_A.weight": "model.vision_tower.x.lora_A.weight",
    }
    old = {"language_model.model.layers.0.q", "lm_head"}
    key = "base_model.model.model.language_model.layers.0.q.lora_A.default.weight"
    assert rename_keys([key, "base_model.model.lm_head.lora_A.weight"], old) == {
        key.removeprefix("base_model.model."): "language_model.model.layers.0.q.lora_A.default.weight"
    }


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ messages[9].content }}", "{% if %}", "{{ raise_exception('\x1b[2J') }}"]
)
def test_a_hostile_template_ends_in_a_selector_error(good: dict[str, Path], tmp_path: Path, template: str) -> None:
    folder = Path(shutil.copytree(good["base"], tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(template)
    frames = Candidates([Frame(float(n), 1.0, Image.new("RGB", (28, 28))) for n in range(4)], 4.0)
    with pytest.raises(SelectorError, match="cannot answer: ") as caught:
        load_selector(str(folder), device="cpu")(frames, "x")
    assert "\x1b" not in str(caught.value)


def test_settings_are_refused_with_their_file(tmp_path: Path) -> None:
    with pytest.raises(SelectorError, match=r"kframes\.json cannot be used: .*; correct it, or take the file away"):
        CheckpointSettings.load(tmp_path / "kframes.json")
