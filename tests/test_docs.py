"""README and docs/: every block runs or is a true command, the site is built strictly, sentences are short."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from colour_films import make_film
from kframes_training.evaluation.cli import build_parser, build_score_parser
from kframes_training.sources.peakclips.cli import app as peakclips
from typer.main import get_command

from kframes_plugin.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/skill/SKILL.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
HOSTS = ROOT / "docs" / "hosts.md"  # run in test_docs_hosts.py, on real hosts
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, kind: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == kind]


def commands(page: Path) -> list[str]:
    """The single commands of a page's shell blocks."""
    lines = [line for block in blocks(page, "") for line in block.replace("\\\n", " ").splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the pages speak of."""
    make_film(tmp_path / "match.mp4", ("red", 8), ("green", 8), ("blue", 8))
    make_film(tmp_path / "talk.mkv", ("gray", 20))
    (tmp_path / "talk.de.srt").write_text("1\n00:00:04,000 --> 00:00:08,000\nThe budget is cut by half.\n")
    (tmp_path / "videos").mkdir()
    make_film(tmp_path / "videos" / "a.mp4", ("red", 6), ("blue", 6))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python") and page != HOSTS], ids=str)
def test_python_blocks_run_in_their_order(page: Path, home: Path) -> None:
    names: dict[str, Any] = {"answerer": lambda messages: f"{len(messages[0]['content']) // 2} frames"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    assert "kf" in names or "tool" in names or "KFrames" in names, "a block uses the library"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_true(page: Path) -> None:
    for command in commands(page):
        program, *arguments = shlex.split(command)
        if program == "kframes":
            parse(arguments)
        elif program == "python":
            kind, *_ = arguments
            known = find_spec(arguments[1]) if kind == "-m" else (ROOT / kind).is_file()
            assert known, command
        else:
            known = (ROOT / program).is_file() or program in ("pip", "pytest", "lmms-eval", "mkdocs")
            assert known, command


def parse(arguments: list[str]) -> None:
    """Read a command as the program does, without running it: names of commands and options, kinds of values."""
    name, *rest = arguments
    if name == "eval":
        (build_score_parser("-") if rest[0] == "score" else build_parser("-")).parse_args(rest[rest[0] == "score" :])
        return
    program: Any = get_command(app)
    if name == "peakclips":
        program, (name, *rest) = get_command(peakclips), rest
    program.commands[name].make_context(name, rest)


def test_the_first_command_of_the_start_page_is_that_of_the_readme() -> None:
    first = blocks(ROOT / "README.md", "")[0]
    assert first in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_blocks_are_json(page: Path) -> None:
    for block in blocks(page, "json"):
        for line in block.splitlines():
            assert isinstance(json.loads(line), dict)


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 160
    assert max(map(len, sentences(text))) < 30, [s for s in sentences(text) if len(s) >= 30]


def test_no_sentence_of_the_docs_is_long() -> None:
    long = [
        " ".join(words) for page in PAGES for words in sentences(page.read_text(encoding="utf-8")) if len(words) >= 35
    ]
    assert long == []


def sentences(text: str) -> list[list[str]]:
    """The words of the sentences of a page: no blocks, tables, headings."""
    prose = FENCE.sub("\n\n", text)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "#", ":::", "--8<--"))]
    joined = re.sub(r"^[*\d.:] +", "\n\n", "\n".join(lines), flags=re.MULTILINE)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", joined)]
    parts = [
        part for paragraph in paragraphs for part in re.split(r"(?<=[.!?:;])\s+(?=[A-Z`*\[(]|kframes )", paragraph)
    ]
    return [part.split() for part in parts if part.strip()]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    """Links between pages, anchors, and every name of the reference."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert "kframes_plugin.KFrames.select" in page
