"""Seconds of one video, step by step: loading, opening, candidates, first and further queries, another k; and memory.

    python benchmarks/long_videos.py clips videos --gop 10 --minutes 60
    python benchmarks/latency.py videos/g10_60min.mp4 --selector uniform -k 64 --out latency.json
    python benchmarks/latency.py videos/g4_10min.mp4 --selector lite -k 8 --query "a dog walking" --first-call
    python benchmarks/latency.py videos/g10_60min.mp4 --selector 600-720,1500-1620,2700-2820 -k 64 --against OTHER_TREE

--selector is a name of ``kframes models``, or spans in seconds: a selector that names them as its clips and sees 8
candidates. --against also runs the same in another checkout, so that both are measured in one go. Every run is a
process of its own. --first-call also times the command ``kframes select`` with imports, model and report. Prints a
Markdown table of CPU seconds (wall seconds in brackets); writes JSON with commit, versions, device and seed. Nothing
is random.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from decode import about_this_run, cpu_seconds, peak_mb

STEPS = ("load", "open", "candidates", "first query", "same query", "other query", "other k")


def build_selector(name: str, candidates: int | None) -> Any:
    """The KFrames of a name, or of spans."""
    from kframes_plugin import Clip, KFrames

    if not name[0].isdigit():
        return KFrames.from_pretrained(name, candidates=candidates)
    spans = [[float(edge) for edge in span.split("-")] for span in name.split(",")]
    clips = [Clip(start, end) for start, end in spans]
    return KFrames(lambda frames, query: list(clips), candidates=candidates or 8, strategy="focused")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds and decoded frames of every step, in this process."""
    row: dict[str, Any] = {"wall": {}}

    def timed(step: str, do: Callable[[], Any]) -> Any:
        start, began = cpu_seconds(), perf_counter()
        answer = do()
        row[step], row["wall"][step] = round(cpu_seconds() - start, 3), round(perf_counter() - began, 3)
        return answer

    def load() -> Any:
        import kframes_plugin.video.pyav  # noqa: F401 (imported on use; here, so that it does not count as opening)

        return build_selector(options.selector, options.candidates)

    kframes = timed("load", load)
    imports = peak_mb()
    session = timed("open", lambda: kframes.open(options.video))
    with session:
        timed("candidates", session.candidates)
        peak = peak_mb()
        first = timed("first query", lambda: session.select(options.query, options.k))
        timed("same query", lambda: session.select(options.query, options.k))
        timed("other query", lambda: session.select(options.query + " again", options.k))
        timed("other k", lambda: first.resample(2 * options.k))
        row |= {
            "frames": len(first.frames),
            "size": list(first.frames[0].image.size),
            "frames_decoded": session.video.frames_decoded,
            "notes": [str(note) for note in first.notes],
        }
    return row | {"peak_mb_candidates": round(peak), "peak_mb": round(peak_mb()), "imports_mb": round(imports)}


def time_first_call(tree: Path, options: argparse.Namespace) -> dict[str, float]:
    """CPU and wall seconds of ``kframes select`` with a report, from the start of its process."""
    code = "from kframes_plugin.cli import main; main()"
    with TemporaryDirectory() as out:
        asked = ["select", options.video, options.query, "-k", "8", "--model", options.selector, "--out", out]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), os.environ.get("PYTHONPATH", "")])}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
        subprocess.run([sys.executable, "-c", code, *asked], check=True, capture_output=True, env=environment)
        wall, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": round(cpu, 2), "wall": round(wall, 2)}


def in_own_process(tree: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one checkout; it runs this very script with its own kframes."""
    command = [sys.executable, __file__, options.video, "--selector", options.selector, "-k", str(options.k)]
    command += ["--query", options.query, "--run"]
    command += ["--candidates", str(options.candidates)] if options.candidates else []
    paths = [tree, tree / "training", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tree, check=False)
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr.strip()}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    columns = ("frames_decoded", "peak_mb", "imports_mb")
    heads = ("tree", *STEPS, *columns)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        seconds = [f"{row[step]} ({row['wall'][step]})" for step in STEPS]
        lines.append("| " + " | ".join([row["tree"], *seconds, *(str(row[column]) for column in columns)]) + " |")
        if "first call" in row:
            lines.append(
                f"\n{row['tree']}: first call of the command {row['first call']['cpu']} CPU s, "
                f"{row['first call']['wall']} s of wall time\n"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--selector", default="uniform")
    parser.add_argument("--query", default="a person")
    parser.add_argument("--candidates", type=int)
    parser.add_argument("-k", type=int, default=64)
    parser.add_argument("--against", type=Path, help="another checkout of kframes")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--first-call", action="store_true", help="also time the command, for a selector by name")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.video = str(Path(options.video).resolve())
    if options.run:
        print(json.dumps(measure(options)))
        return
    trees = {"this": Path(__file__).parents[1]} | ({"other": options.against.resolve()} if options.against else {})
    rows = [{"tree": name, **in_own_process(tree, options)} for name, tree in trees.items()]
    if options.first_call:
        rows = [row | {"first call": time_first_call(trees[row["tree"]], options)} for row in rows]
    print(table(rows))
    if options.out:
        asked = {"selector": options.selector, "k": options.k, "candidates": options.candidates}
        report = {"benchmark": "latency", **about_this_run(0), "video": Path(options.video).name, **asked, "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
