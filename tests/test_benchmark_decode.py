"""The decoding benchmark runs end to end at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "decode.py"


def test_the_decoding_benchmark_measures_every_reader_in_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "decode.json"
    command = [sys.executable, str(SCRIPT), "--minutes", "0.5", "--size", "192x108", "--candidates", "12"]
    command += ["--readers", "kframes,kframes_exact", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| kframes | 12 |" in done.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {"commit", "versions", "device", "seed"} <= report.keys()
    assert report["video"]["frames_per_i_frame"] == 250
    assert report["video"]["seconds"] == 40
    ours, exact = report["readers"]
    assert ours["frames"] == exact["frames"] == 12
    assert 0 < ours["cpu_s"] < exact["cpu_s"] + 0.5
    assert ours["imports_mb"] <= ours["peak_mb"] < 400
