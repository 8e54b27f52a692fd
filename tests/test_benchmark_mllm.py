"""The benchmarks of multimodal selectors: on a GPU's shapes in small, and of further queries beside the first."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from colour_films import make_film

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs a benchmark with arguments; returns its JSON."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(name: str, *arguments: object, out: Path) -> dict[str, Any]:
        importlib.import_module(name).main([*map(str, arguments), "--out", str(out)])
        report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        assert {"commit", "versions", "device", "seed", "rows"} <= report.keys()
        return report

    return run


def test_the_gpu_benchmark_runs_small_on_a_cpu(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    report = run("gpu", "--tiny", out=tmp_path / "gpu.json")
    (row,) = report["rows"]
    assert report["gpu"] is None
    assert (row["shape"], row["T"], row["size"], row["tower_attention"]) == ("tiny", 8, [56, 56], "sdpa")
    assert row["tokens"] > 8 * 4, "a frame of 56 x 56 is four tokens, and has its time"
    numbers = {name: value for name, value in row.items() if isinstance(value, float)}
    assert {"prefill", "tflops", "text_whole", "scores_further", "eight_together", "static_first"} <= numbers.keys()
    assert all(math.isfinite(value) and value > 0 for name, value in numbers.items() if name != "tower")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_benchmark_says_what_to_do(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("gpu", out=tmp_path / "gpu.json")
    assert "torch sees no GPU here; --tiny runs a small shape on the CPU" in capsys.readouterr().err


def test_further_queries_find_what_fresh_ones_find(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", ("red", 10), ("green", 15), ("blue", 5), gop=8)
    tiny = ("--selectors", "tiny-text,tiny-scores", "--candidates", 16, "--queries", 4)
    report = run("further_queries", film, *tiny, out=tmp_path / "further.json")
    assert [(row["same"], row["checked"], row["candidates"]) for row in report["rows"]] == [(4, 4, 16)] * 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("selector", ["tiny-text", "tiny-scores", "nano", "lite"])
def test_fifty_further_queries_on_ten_minutes_cost_a_tenth_of_the_first(
    run: Callable[..., dict[str, Any]], tmp_path: Path, ten_minutes: Path, selector: str
) -> None:
    report = run("further_queries", ten_minutes, "--selectors", selector, out=tmp_path / "further.json")
    (row,) = report["rows"]
    assert (row["same"], row["checked"]) == (50, 50)
    assert row["further_median"] <= 0.1 * row["first"], row  # one whose clips are new also pays for their ends on cuts


@pytest.fixture(scope="module")
def ten_minutes(shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of the real clips, 720p, an I-frame every ten seconds."""
    out = tmp_path_factory.mktemp("videos")
    command = [
        sys.executable,
        str(BENCHMARKS / "long_videos.py"),
        str(shared_videos / "dev"),
        str(out),
        "--minutes",
        "10",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return out / "g10_10min.mp4"
