#!/usr/bin/env python3
"""Print the numbers of the house: files, lines, functions, parameters, rooms and circles, part by part.

    python scripts/house.py              # the working tree
    python scripts/house.py --rev v0.1   # any commit, to compare before and after

A function's length counts its lines with the docstring left out; a room is a folder or a single file of the plugin.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

PARTS = ("kframes_plugin", "integrations", "training/kframes_training", "benchmarks", "examples", "tests")
MOST_ROOMS = 29
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, and its text."""

    path: str
    text: str


def read_sources(rev: str | None) -> list[Source]:
    """All tracked Python files of the working tree, or of a commit."""
    if rev is None:
        paths = _git("ls-files", "*.py").split()
        return [Source(path, Path(path).read_text(encoding="utf-8")) for path in paths if Path(path).is_file()]
    paths = [path for path in _git("ls-tree", "-r", "--name-only", rev).split() if path.endswith(".py")]
    return [Source(path, _git("show", f"{rev}:{path}")) for path in paths]


def measure(sources: list[Source]) -> list[str]:
    """The cells of one row: files / lines, then median/p90/longest of files and functions, then most parameters."""
    lines = [source.text.count("\n") for source in sources]
    functions = [function for source in sources for function in _functions(ast.parse(source.text))]
    lengths = [_length(function) for function in functions]
    most = max(functions, key=_parameters, default=None)
    return [
        f"{len(sources)} / {sum(lines)}",
        _spread(lines),
        _spread(lengths),
        "0" if most is None else f"{_parameters(most)} ({most.name})",
    ]


def find_rooms(sources: list[Source]) -> list[str]:
    """The folders and single files right inside the plugin; its face, ``__init__.py``, is no room."""
    inside = [source.path.split("/")[1] for source in sources if source.path.startswith("kframes_plugin/")]
    return sorted({name.removesuffix(".py") for name in inside} - {"__init__"})


def find_circles(sources: list[Source]) -> list[str]:
    """Rooms of the plugin that import each other in a loop; imports for types alone do not count."""
    rooms = find_rooms(sources)
    graph: dict[str, set[str]] = {room: set() for room in rooms}
    for source in sources:
        if source.path.startswith("kframes_plugin/"):
            room = source.path.split("/")[1].removesuffix(".py")
            if room in graph:
                graph[room] |= set(_imported_rooms(source.text)) & set(rooms) - {room}
    reach = {room: _reachable(room, graph) for room in rooms}
    return [f"{a} <-> {b}" for a in rooms for b in rooms if a < b and b in reach[a] and a in reach[b]]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    documented = ast.get_docstring(function) is not None
    first = function.body[0]
    doc = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - doc


def _parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def _spread(values: list[int]) -> str:
    if len(values) < 2:
        return "/".join(map(str, values))
    return f"{median(values):.0f}/{quantiles(values, n=10, method='inclusive')[-1]:.0f}/{max(values)}"


def _imported_rooms(text: str) -> Iterator[str]:
    tree = ast.parse(text)
    typed = {node for top in ast.walk(tree) if _is_type_checking(top) for node in ast.walk(top)}
    for node in ast.walk(tree):
        if node in typed:
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("kframes_plugin."):
                yield name.split(".")[1]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _reachable(room: str, graph: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [room]
    while left:
        for other in graph[left.pop()] - found:
            found.add(other)
            left.append(other)
    return found


def main() -> None:
    """Print one row a part, then the rooms; exit 1 where the plan is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rev", help="a commit instead of the working tree")
    sources = read_sources(parser.parse_args().rev)
    print("| part | files / lines | file median/p90/longest | function median/p90/longest | most parameters |")
    print("|---|---|---|---|---|")
    for part in PARTS:
        own = [source for source in sources if source.path.startswith(part + "/")]
        print(f"| {part} | {' | '.join(measure(own))} |")
    rooms, circles = find_rooms(sources), find_circles(sources)
    print(f"\n{len(rooms)} rooms in kframes_plugin (at most {MOST_ROOMS}): {', '.join(rooms)}")
    print(f"circles: {', '.join(circles) if circles else 'none'}")
    raise SystemExit(len(rooms) > MOST_ROOMS or bool(circles))


if __name__ == "__main__":
    main()
