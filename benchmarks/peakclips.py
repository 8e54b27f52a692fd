"""PeakClips on SynthScenes: labels against the truth, what refinement gains, statistics, chapters, engines.

    python benchmarks/peakclips.py --work FOLDER [--videos 200] [--judged 50] [--engines 12] [--only PART]

Writes benchmarks/results/peakclips.json. Videos of the test split are written as H.264 files into FOLDER and go through
the whole pipeline; what is in FOLDER from an earlier run is used again, except for the engines' times. The statistics
of --videos videos are of such a build, and of one that takes the true cuts instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from kframes_training.evaluation.provenance import about_this_run
from kframes_training.rows import caption_row
from kframes_training.sources.peakclips import prompts, steps, store
from kframes_training.sources.peakclips.building import Plan, build
from kframes_training.sources.peakclips.chapters import THRESHOLDS, group, inner_ends_f1
from kframes_training.sources.peakclips.checking import check
from kframes_training.sources.peakclips.media import Source, sources
from kframes_training.sources.peakclips.oracle import SynthOracle, known_video
from kframes_training.sources.peakclips.pipeline import TABLES, Tables, make_tables
from kframes_training.sources.peakclips.refinement import Refinement
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.synthscenes import SPLITS, Video, sample_video, write_video
from peakclips_chapters import scenes_of

HERE = Path(__file__).parent
SIZE, NOISE = (128, 96), 0.2
NANO = Refinement(low=0.0, high=0.3)  # its scores are probabilities; chosen on 20 videos of the dev split


def videos_in(folder: Path, count: int) -> list[Source]:
    """The first videos of the test split as files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for seed in SPLITS["test"][:count]:
        file = folder / f"synthscenes-{seed}.mp4"
        if not file.exists():
            part = folder / "part.mp4"
            write_video(sample_video(seed), part, size=SIZE)
            part.rename(file)
        files.append(file)
    return sources(files)


def truth_of(work: Path, name: str, found: Sequence[Source], plan: Plan) -> dict[str, Any]:
    """Build a data set and compare it with the truth."""
    build(found, work / name, plan)
    truth: dict[str, Any] = check(work / name)["truth"]
    return truth


def labels(work: Path, found: Sequence[Source]) -> dict[str, Any]:
    """Agreement with the truth, without errors, with errors, and with errors refined; and of two seeds."""
    keep, refined = work / "keep", Settings(refinement=NANO)
    noisy = f"oracle:{NOISE}"
    rows = {
        "oracle": truth_of(work, "oracle", found, Plan("oracle", keep)),
        "errors": truth_of(work, "errors", found, Plan(noisy, keep)),
        "errors, refined": truth_of(work, "refined", found, Plan(noisy, keep, "frames:nano", settings=refined)),
    }
    for name, plan in (
        ("errors", Plan(noisy, keep, seed=1)),
        ("refined", Plan(noisy, keep, "frames:nano", settings=refined, seed=1)),
    ):
        build(found, work / f"{name} 1", plan)
    agreement = {name: check(work / name, against=work / f"{name} 1")["agreement"] for name in ("errors", "refined")}
    return {"noise": NOISE, "truth": rows, "two_seeds": agreement}


def chapters(work: Path, found: Sequence[Source]) -> dict[str, Any]:
    """Mean boundary F1 of every grouping on detected scenes with the oracle's captions."""
    scores: dict[str, list[float]] = {method: [] for method in THRESHOLDS}
    counts: dict[str, list[int]] = {method: [] for method in THRESHOLDS}
    for source in found:
        kept = work / "keep" / "steps" / source.video_id
        scenes = json.loads((kept / "scenes.json").read_text(encoding="utf-8"))["rows"]
        told = json.loads((kept / "captions.json").read_text(encoding="utf-8"))["rows"]
        video = known_video(source.video_id)
        assert video is not None
        true = [(part[0].start, part[-1].end) for part in video.chapters]
        for method in THRESHOLDS:
            groups = group([row["caption"] for row in told], [row["colours"] for row in scenes], method)
            ours = [(told[part[0]]["start"], told[part[-1]]["end"]) for part in groups]
            scores[method].append(inner_ends_f1(ours, true))
            counts[method].append(len(ours))
    return {
        method: {"f1": round(statistics.mean(scores[method]), 4), "chapters": round(statistics.mean(counts[method]), 2)}
        for method in THRESHOLDS
    }


def engines(work: Path, found: Sequence[Source]) -> list[dict[str, Any]]:
    """Seconds of a build from nothing by engine and workers, and whether the rows are the same."""
    rows: list[dict[str, Any]] = []
    first: dict[str, Any] | None = None
    for engine, workers in (("local", 1), ("local", 2), ("ray", 1), ("ray", 2)):
        place = work / "engines"
        shutil.rmtree(place, ignore_errors=True)
        start = perf_counter()
        build(found, place / "out", Plan("oracle", place / "keep"), engine=engine, workers=workers)
        seconds = perf_counter() - start
        tables = {table: store.read(place / "out", table) for table in TABLES}
        first = first or tables
        rows.append({"engine": engine, "workers": workers, "seconds": round(seconds, 1), "same": tables == first})
    return rows


def whole(work: Path, count: int) -> dict[str, Any]:
    """Statistics and labels of ``count`` videos: built from their files, and with scenes straight from the truth."""
    build(videos_in(work / "videos", count), work / "whole", Plan("oracle", work / "keep"))
    settings, oracle = Settings(), SynthOracle()
    parts = [asyncio.run(from_true_cuts(sample_video(seed), settings, oracle)) for seed in SPLITS["test"][:count]]
    tables = {table: [row for part in parts for row in part[table]] for table in TABLES}
    store.write(work / "all", tables, {"annotator": oracle.id})
    report = check(work / "all")
    built = check(work / "whole")["statistics"]
    return {"videos": count, "built": built, "statistics": report["statistics"], "checked": report["labels"]}


async def from_true_cuts(video: Video, settings: Settings, oracle: SynthOracle) -> Tables:
    """The pipeline's own steps from the chapters on."""
    source = Source(video.id, f"{video.id}.mp4")
    found, told = [], []
    for scene, shares in zip(video.scenes, scenes_of(video)[1], strict=True):
        span = (scene.start, scene.end)
        found.append({"start": span[0], "end": span[1], "duration": video.duration, "colours": shares})
        answer = await oracle.describe((), prompts.scene(video.id, span, 0))
        told.append(caption_row(*span, str(answer.model_dump()["caption"])))
    chapters = (await steps.chapters(source, found, told, oracle, settings)).rows
    caption = (await steps.video_caption(source, chapters, oracle)).rows[0]["caption"]
    asked = (await steps.queries(source, caption, told, oracle, settings)).rows
    judged = (await steps.relevance(source, told, asked, oracle, settings)).rows
    posed = (await steps.questions(source, caption, told, oracle, settings)).rows
    return make_tables(source, found, told, chapters, caption, judged, {}, posed, [], settings)


def timed(work: Path, found: Sequence[Source]) -> dict[str, Any]:
    """Engines and workers, and how busy the machine was with other work."""
    hours = sum(sample_video(int(source.video_id.rpartition("-")[2])).duration for source in found) / 3600
    load = os.getloadavg()[1]
    return {"videos": len(found), "hours": round(hours, 2), "load_before": round(load, 1), "rows": engines(work, found)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--judged", type=int, default=50)
    parser.add_argument("--engines", type=int, default=12)
    parser.add_argument(
        "--only", choices=("labels", "whole", "engines"), help="measure this part anew, keep the others"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peakclips.json")
    options = parser.parse_args()
    report = json.loads(options.out.read_text(encoding="utf-8")) if options.only and options.out.is_file() else {}
    report |= {"benchmark": "peakclips", **about_this_run()}
    videos = options.work / "videos"
    if options.only in (None, "labels"):
        judged = videos_in(videos, options.judged)
        report |= {"judged": len(judged), "labels": labels(options.work, judged)}
        report["chapters"] = chapters(options.work, judged)
    if options.only in (None, "whole"):
        report |= whole(options.work, options.videos)
    if options.only in (None, "engines"):
        report["engines"] = timed(options.work, videos_in(videos, options.engines))
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
