"""The rooms stay apart: a light import, and every selector file can be deleted alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_film import SAMPLE

PACKAGE = Path(__file__).parents[1] / "kframes_plugin"
HEAVY = ("torch", "transformers", "open_clip", "av", "decord", "numpy", "matplotlib", "PIL.Image", "httpx")
MAPS = ("__init__", "load", "models")  # of names to selectors: no algorithm
SELECTORS = sorted(path.stem for path in (PACKAGE / "selectors").glob("*.py") if path.stem not in MAPS)


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
        before = os.times()
        python(code)
        after = os.times()  # of the processor: other tests run beside this one
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert 0 < min(took) < 0.5, took


WITHOUT_ONE = """
import importlib, sys
from pathlib import Path

others, sample = {others!r}, {sample!r}
for missing, folder in {folders!r}.items():
    for name in [name for name in sys.modules if name.startswith("kframes_plugin")]:
        del sys.modules[name]
    sys.path[0] = folder
    import kframes_plugin
    assert Path(kframes_plugin.__file__).is_relative_to(folder), kframes_plugin.__file__
    for name in others[missing]:
        importlib.import_module("kframes_plugin.selectors." + name)
    importlib.import_module("kframes_plugin.cli")
    importlib.import_module("kframes_plugin.output.report")
    kframes = kframes_plugin.KFrames(lambda frames, query: [kframes_plugin.Clip(1, 2)], candidates=4)
    print(missing, len(kframes.select(sample, "q", 3).frames))
"""


def test_any_selector_file_can_be_deleted(tmp_path):
    """One process, so that torch is imported once; kframes itself is imported anew for every file that is gone."""
    folders = {}
    for name in SELECTORS:
        folders[name] = str(tmp_path / name)
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(PACKAGE, tmp_path / name / "kframes_plugin", ignore=ignored)
        (tmp_path / name / "kframes_plugin" / "selectors" / f"{name}.py").unlink()
    others = {name: [other for other in SELECTORS if other != name] for name in SELECTORS}
    sample = str(SAMPLE)
    done = python(WITHOUT_ONE.format(others=others, folders=folders, sample=sample), tmp_path)
    assert done.stdout.split("\n")[:-1] == [f"{name} 3" for name in SELECTORS], done.stderr
    assert len(SELECTORS) >= 5
