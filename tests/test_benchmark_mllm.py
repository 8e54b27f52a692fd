"""The benchmarks of multimodal selectors: on a GPU's shapes in small, and of further queries beside the first."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from colour_films import make_film

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: object, out: Path) -> dict[str, Any]:
    """The JSON of a benchmark; its table is printed too."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("|\n") >= 2
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert {"commit", "versions", "device", "seed", "rows"} <= report.keys()
    return report


def test_the_gpu_benchmark_runs_small_on_a_cpu(tmp_path: Path) -> None:
    report = run("gpu.py", "--tiny", out=tmp_path / "gpu.json")
    (row,) = report["rows"]
    assert report["gpu"] is None
    assert (row["shape"], row["T"], row["size"], row["tower_attention"]) == ("tiny", 8, [56, 56], "sdpa")
    assert row["tokens"] > 8 * 4, "a frame of 56 x 56 is four tokens, and has its time"
    numbers = {name: value for name, value in row.items() if isinstance(value, float)}
    assert {"prefill", "tflops", "text_whole", "scores_further", "eight_together", "static_first"} <= numbers.keys()
    assert all(math.isfinite(value) and value > 0 for name, value in numbers.items() if name != "tower")


def test_without_a_gpu_the_benchmark_says_what_to_do() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = subprocess.run([sys.executable, str(BENCHMARKS / "gpu.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "torch sees no GPU here; --tiny runs a small shape on the CPU" in done.stderr


def test_further_queries_find_what_fresh_ones_find(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", ("red", 10), ("green", 15), ("blue", 5), gop=8)
    tiny = ("--selectors", "tiny-text,tiny-scores", "--candidates", 16, "--queries", 4)
    report = run("further_queries.py", film, *tiny, out=tmp_path / "further.json")
    assert [(row["same"], row["checked"], row["candidates"]) for row in report["rows"]] == [(4, 4, 16)] * 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("selector", ["tiny-text", "tiny-scores", "nano", "lite"])
def test_fifty_further_queries_on_ten_minutes_cost_a_tenth_of_the_first(
    tmp_path: Path, ten_minutes: Path, selector: str
) -> None:
    few = ("--candidates", 64) if selector.startswith("tiny") else ()
    report = run("further_queries.py", ten_minutes, "--selectors", selector, *few, out=tmp_path / "further.json")
    (row,) = report["rows"]
    assert (row["same"], row["checked"]) == (50, 50)
    assert row["further_median"] <= 0.1 * row["first"], row


@pytest.fixture(scope="module")
def ten_minutes(shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of the real clips, 720p, an I-frame every ten seconds."""
    out = tmp_path_factory.mktemp("videos")
    command = [sys.executable, str(BENCHMARKS / "long_videos.py"), str(shared_videos / "dev"), str(out), "--minutes", "10"]
    subprocess.run(command, check=True, capture_output=True)
    return out / "g10_10min.mp4"
