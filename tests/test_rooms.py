"""The rooms stay apart: a light import, and every selector file can be deleted alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kframes_plugin"
HEAVY = ("torch", "transformers", "open_clip", "av", "decord", "numpy", "matplotlib", "PIL.Image", "httpx")
SELECTORS = sorted(path.stem for path in (PACKAGE / "selectors").glob("*.py") if path.stem != "__init__")


def python(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_import_loads_nothing_heavy():
    done = python(f"import kframes_plugin, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    done = python(
        "import sys; sys.argv = ['kframes', '--help']\n"
        "from kframes_plugin.cli import main\n"
        "try: main()\n"
        f"except SystemExit: print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


@pytest.mark.parametrize("code", ["import kframes_plugin", "import kframes_plugin.cli as c; c.app(['--help'])"])
def test_import_and_help_take_less_than_half_a_second(code):
    python(code)  # compiled and in the file cache
    took = []
    for _ in range(5):
        start = time.perf_counter()
        python(code)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.5, took


@pytest.mark.parametrize("name", SELECTORS)
def test_any_selector_file_can_be_deleted(name, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "kframes_plugin", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (tmp_path / "kframes_plugin" / "selectors" / f"{name}.py").unlink()
    others = [f"kframes_plugin.selectors.{other}" for other in SELECTORS if other != name]
    sample = PACKAGE.parent / "examples" / "sample.mp4"
    code = f"""
import importlib
for module in {others}: importlib.import_module(module)
import kframes_plugin
assert kframes_plugin.__file__.startswith({str(tmp_path)!r}), kframes_plugin.__file__
from kframes_plugin import KFrames, Clip
import kframes_plugin.cli, kframes_plugin.report
kf = KFrames(lambda frames, query: [Clip(1, 2)], candidates=4)
print(len(kf.select({str(sample)!r}, "q", 3).frames))
"""
    done = python(code, tmp_path)
    assert done.stdout.strip() == "3", done.stderr
