"""The table of tokens: every family, the style that is taken, and counts that are known by hand."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import tiny_families

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "tokens.py"


def test_the_table_of_the_families() -> None:
    script = runpy.run_path(str(SCRIPT))
    rows = list(script["table"](2, (64, 48), []))
    assert {row.family for row in rows} == set(script["FAMILIES"])
    chosen = {row.family: row for row in rows if row.chosen}
    assert len(chosen) == len([row for row in rows if row.chosen]) == len(script["FAMILIES"])
    assert all(row.times for row in chosen.values()), "the style that is taken tells the true times"
    assert {name: chosen[name].vision for name in ("SmolVLM2 2.2B", "LLaVA-OneVision", "InternVL3", "Gemma 3")} == {
        "SmolVLM2 2.2B": 2 * 81,
        "LLaVA-OneVision": 2 * 14 * 14 + 1,
        "InternVL3": 2 * 256,
        "Gemma 3": 2 * 256,
    }


def test_the_table_of_a_named_processor(tmp_path: Path) -> None:
    checkpoint, out = tiny_families.glm46v(tmp_path / "glm"), tmp_path / "tokens.json"
    command = [sys.executable, str(SCRIPT), "-k", "2", "--size", "160x120", "--processor", str(checkpoint)]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=True)
    assert f"| {checkpoint} | **pairs** | yes |" in done.stdout
    assert f"| {checkpoint} | native | no |" in done.stdout
    by_style = {row["style"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    # the tiny processor spends a fixed area on a video, two frames or four; images have one each
    assert by_style["pairs"]["vision"] == by_style["native"]["vision"] == 24
    assert by_style["interleaved"]["vision"] == 48
    assert by_style["interleaved"]["total"] > by_style["interleaved"]["vision"]
