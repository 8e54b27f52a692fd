"""The decoding benchmarks run end to end at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from video_maker import every, make_video

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


def test_loaders_are_compared_in_one_run(tmp_path: Path) -> None:
    make_video(tmp_path / "h264_0.2min.mp4", every(40, 300), gop=50)
    out = tmp_path / "loaders.json"
    command = [sys.executable, str(SCRIPT.with_name("loaders.py")), "no-clips", str(tmp_path), "--codecs", "h264"]
    command += ["--minutes", "0.2", "--peers", "scan_1_fps", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {"commit", "versions", "device", "seed"} <= report.keys()
    candidates, keyframes = report["rows"]
    assert candidates["kframes"]["frames"] == 256
    assert keyframes["kframes"]["frames"] == 8
    assert candidates["scan_1_fps"] == keyframes["scan_1_fps"]
    assert candidates["scan_1_fps"]["frames"] == 12
    ratio = candidates["scan_1_fps"]["cpu_s"] / candidates["kframes"]["cpu_s"]
    ours = candidates["kframes"]["cpu_s"]
    row = f"| h264_0.2min.mp4 | 256 candidates | {ours} | not installed | not installed | not installed | {ratio:.1f} |"
    assert row.replace("not installed", "not measured") in done.stdout
    assert "Worst: " in done.stdout
