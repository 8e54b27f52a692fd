"""What a multimodal selector costs on this device: models with random weights in public shapes, on pictures of noise.

    python benchmarks/gpu.py --out gpu.json                  # Qwen2.5-VL-3B and Qwen3-VL-2B, one GPU, minutes
    python benchmarks/gpu.py --tiny --out gpu.json           # a shape for any CPU, seconds

For every shape, number T and size of candidates: seconds of the pictures' processor, of the vision tower and of reading
the frames; that reading's TFLOP/s beside what the device reaches on one large product of matrices; seconds of the first
and of a further query, as text and as scores, with the frames' part of the prompt kept and without; of eight queries
one by one and together; tokens a second, with a static cache too; peak memory. Text has ``--write`` tokens, always.
The tower's attention is torch's, and flash attention where it is installed. Prints a table; writes JSON with commit,
versions, device and seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from decode import about_this_run, peak_mb
from PIL import Image
from random_models import build_model

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.inputs import made_on
from kframes_plugin.mllm.load import set_tower_attention
from kframes_plugin.prompt import build_messages
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import PREDICTION_KINDS, Candidates, Frame

THINGS = ("dog", "car", "child", "tree", "boat", "horse", "hat", "bird")
QUERIES = [f"the {thing} that is seen twice" for thing in THINGS]
COLUMNS = {  # of the table: what is in a row -> its head
    "tokens": "tokens of the frames",
    "pictures_cpu": "pictures, by CPU s",
    "pictures_device": "on the device s",
    "tower": "tower s",
    "prefill": "reading s",
    "share": "of the matrix rate",
    "text_first": "text, first s",
    "text_further": "further s",
    "text_whole": "further, nothing kept s",
    "scores_further": "scores, further s",
    "scores_whole": "nothing kept s",
    "eight_alone": "8 one by one s",
    "eight_together": "8 together s",
    "tokens_per_second": "tokens/s",
    "peak_gb": "peak GB",
}


@dataclass
class Clock:
    """Seconds of work on a device, which may go on after a call returns."""

    device: torch.device
    repeats: int

    def once(self, work: Callable[[], Any]) -> float:
        """Seconds of one run."""
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - start

    def median(self, work: Callable[[], Any]) -> float:
        """The median of ``repeats`` runs, after one that does not count."""
        work()
        return median(self.once(work) for _ in range(self.repeats))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure_matrices(clock: Clock, dtype: torch.dtype, size: int) -> float:
    """TFLOP/s of the product of two square matrices."""
    one, other = (torch.randn(size, size, device=clock.device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / clock.median(lambda: one @ other) / 1e12


def count_flops(model: Any, tokens: int) -> float:
    """Operations of the language model on a prompt of so many tokens: its layers' weights, and causal attention."""
    text = model.config.get_text_config()
    weights = sum(part.numel() for part in model.get_decoder().layers.parameters())
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    attention = 2 * text.num_hidden_layers * text.num_attention_heads * head * tokens**2
    return float(2 * weights * tokens + attention)


def make_candidates(count: int, size: tuple[int, int]) -> Candidates:
    """Pictures of noise, two seconds apart."""
    noise = np.random.default_rng(0).integers(0, 256, (count, size[1], size[0], 3), dtype=np.uint8)
    return Candidates([Frame(2.0 * n, 2.0, Image.fromarray(one)) for n, one in enumerate(noise)], 2.0 * count)


Numbers = Iterator[tuple[str, float]]


def measure_row(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """The numbers of one T and size."""
    for measure in (measure_pictures, measure_reading, measure_queries, measure_batches, measure_writing):
        yield from measure(selector, clock, renew(frames))


def renew(frames: Candidates) -> Candidates:
    """The same candidates, of which nothing is kept."""
    return Candidates(frames, frames.duration)


@contextmanager
def nothing_kept(selector: MLLMSelector) -> Iterator[None]:
    """Let every prompt be read from its start while the block runs."""
    prefix = selector._prompted._inputs.prefix
    before, prefix.obstacle = prefix.obstacle, "switched off"
    try:
        yield
    finally:
        prefix.obstacle = before


def measure_pictures(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """From pictures to the tower's input: made on the CPU and moved, and made on the device."""
    images, pictures = [frame.image for frame in frames], selector.processor.image_processor
    places: tuple[tuple[str, dict[str, Any]], ...] = (("cpu", {}), ("device", made_on(clock.device, pictures)))
    for place, more in places:
        options = {**selector._prompted._inputs.options, **more, "return_tensors": "pt"}
        pixels = partial(pictures, images, **options)

        def make(pixels: Callable[[], Any] = pixels) -> None:
            pixels().to(clock.device, selector.model.dtype)

        yield f"pictures_{place}", clock.median(make)


def measure_reading(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """The tower and the language model on the frames' part of the prompt."""
    inputs, messages = selector._prompted._inputs, build_messages(frames, QUERIES[0], selector.settings.format)

    def read(shown: Candidates, parts: Sequence[Any]) -> float:
        inputs.prefix.forget()
        return clock.once(lambda: inputs.place(shown, parts, query_last=True))

    shown = renew(frames)
    read(shown, inputs.read(shown, [messages]))  # kernels are chosen on a first run
    parts = inputs.read(frames, [messages])
    both = read(frames, parts)
    prefill = median(read(frames, parts) for _ in range(clock.repeats))  # the tower's features are kept
    tokens = inputs.prefix.split(parts[0])
    yield "tokens", tokens
    yield "tower", max(0.0, both - prefill)
    yield "prefill", prefill
    yield "tflops", count_flops(selector.model, tokens) / prefill / 1e12


def measure_queries(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """The first query on a video and a further one, as text and as scores, and a further one with nothing kept."""
    for kind in PREDICTION_KINDS[:2]:
        selector.prediction = kind
        shown = renew(frames)
        selector(renew(frames), QUERIES[0])  # kernels are chosen on a first run
        yield f"{kind}_first", clock.once(partial(selector, shown, QUERIES[0]))
        yield f"{kind}_further", clock.median(partial(selector, shown, QUERIES[1]))
        with nothing_kept(selector):
            yield f"{kind}_whole", clock.median(partial(selector, shown, QUERIES[1]))
    selector.prediction = "text"


def measure_batches(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """Eight queries, one by one and together."""
    for name, size in (("eight_alone", 1), ("eight_together", 8)):
        selector._prompted.batch_size = size
        selector.predict_all(frames, QUERIES[:1])
        yield name, clock.once(lambda: selector.predict_all(frames, QUERIES))
    selector._prompted.batch_size = 1


def measure_writing(selector: MLLMSelector, clock: Clock, frames: Candidates) -> Numbers:
    """Tokens a second, with the cache that grows and with a static one (which transformers compiles for on a GPU)."""
    prompted, settings = selector._prompted, selector.settings
    long, short = settings.max_new_tokens, 2

    def write(room: int) -> Callable[[], Any]:
        return lambda: prompted.write(frames, QUERIES[:1], settings.format, room)

    yield "tokens_per_second", (long - short) / max(1e-9, clock.median(write(long)) - clock.median(write(short)))
    inputs = prompted._inputs
    parts = inputs.read(frames, [build_messages(frames, QUERIES[0], settings.format)])
    placed = inputs.place(frames, parts, query_last=False)

    def static(room: int) -> Callable[[], Any]:
        options = {"do_sample": False, "cache_implementation": "static", "max_new_tokens": room}
        return lambda: selector.model.generate(**placed, **options)

    with torch.inference_mode():
        yield "static_first", clock.once(static(long))  # compiles
        seconds = clock.median(static(long)) - clock.median(static(short))
    yield "static_tokens_per_second", (long - short) / max(1e-9, seconds)


def measure_shape(shape: str, options: argparse.Namespace, rate: float, clock: Clock) -> Iterator[dict[str, Any]]:
    """The rows of one model."""
    model, processor = build_model(shape, str(clock.device), options.dtype)
    settings = CheckpointSettings(max_new_tokens=options.write)
    selector = MLLMSelector(model, processor, settings=settings, batch_size=1)
    for kernel in ("sdpa", "flash_attention_2"):
        if not set_tower_attention(model, kernel):
            continue
        for count, size in product(options.counts, options.sizes):
            if clock.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(clock.device)
            row: dict[str, Any] = {"shape": shape, "tower_attention": kernel, "T": count, "size": list(size)}
            row |= dict(measure_row(selector, clock, make_candidates(count, size)))
            on_gpu = clock.device.type == "cuda"
            peak = torch.cuda.max_memory_allocated(clock.device) / 1e9 if on_gpu else peak_mb() / 1e3
            yield {**row, "share": row["tflops"] / rate, "peak_gb": peak}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| shape, tower's attention | T, size | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 2))
    for row in rows:
        cells = [f"{row[name]:.0%}" if name == "share" else f"{row[name]:.3g}" for name in COLUMNS]
        about = f"{row['shape']}, {row['tower_attention']} | {row['T']}, {row['size'][0]}x{row['size'][1]}"
        lines.append(f"| {about} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a small shape on the CPU, in float32")
    parser.add_argument("--shapes", default="qwen2.5-vl-3b,qwen3-vl-2b")
    parser.add_argument("--write", type=int, help="tokens of a text (default 128; 8 with --tiny)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    if not options.tiny and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --tiny runs a small shape on the CPU")
    device = torch.device("cpu" if options.tiny else "cuda")
    options.dtype = torch.float32 if options.tiny else torch.bfloat16
    options.write = options.write or (8 if options.tiny else 128)
    options.counts = (8,) if options.tiny else (64, 128, 256)
    options.sizes = ((56, 56),) if options.tiny else ((112, 112), (224, 168))
    clock = Clock(device, 1 if options.tiny else options.repeats)
    rate = measure_matrices(clock, options.dtype, 256 if options.tiny else 8192)
    shapes = ["tiny"] if options.tiny else options.shapes.split(",")
    rows = [row for shape in shapes for row in measure_shape(shape, options, rate, clock)]
    print(f"matrices: {rate:.3g} TFLOP/s, {options.dtype}\n\n{table(rows)}")
    if options.out:
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        about = {"benchmark": "gpu", **about_this_run(0), "gpu": gpu, "dtype": str(options.dtype), "tflops": rate}
        options.out.write_text(json.dumps({**about, "write": options.write, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
