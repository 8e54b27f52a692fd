"""Needles in videos of hours: candidates inside windows that a retriever names, against candidates spread evenly.

    python benchmarks/footage/fetch.py clips
    python benchmarks/hours.py clips --work runs/hours --out benchmarks/results/hours.json

Films of 1, 3 and 8 hours are joined from the real clips, each encoded once and then copied packet by packet. One half
of the clips comes once (the needles), the other half fills the hours. Drawn films of one hour are joined from
SynthScenes videos in the same way; there nano is its own retriever. Each film is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import av
import numpy as np
from haystack import letterboxed
from kframes_training.evaluation.drawn import video_on_disk
from kframes_training.evaluation.metrics.kfs_bench import kfs_scores
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.statistics import SEED
from kframes_training.sources.synthscenes import make_clips, sample_video
from kframes_training.sources.synthscenes.language import make_query

from kframes_plugin import Clip, Frame, KFrames, OpenVideo
from kframes_plugin.clips.geometry import iou
from kframes_plugin.retrieval import Retrieval, Retriever
from kframes_plugin.selection import Selection
from kframes_plugin.selectors.load import load_selector

FPS, GOP = 25, 125  # frames a second; frames between I-frames
SIZE = (320, 180)
FILMS = ((1, 1), (1, 2), (3, 1), (8, 2))  # hours, and which half of the clips is sought
DRAWN = 3  # drawn films of one hour
NEEDLES = 12  # queries on each of them
K, EVEN, CLOSE = 8, 256, 64  # frames; candidates; candidates where lite reads what lite has named
READ = 512  # pixels, the long side of the frames that lite reads
DRAWN_SEEDS = 2_005_000  # of the test split, apart from the videos of other tables


def encode(source: Path, out: Path) -> Path:
    """A clip at ``FPS``, letterboxed to ``SIZE``, as H.264; kept where it is there."""
    if out.is_file():
        return out
    part = out.with_suffix(".part.mp4")
    with OpenVideo(source) as video, av.open(str(part), "w") as container:
        options = {"preset": "veryfast", "crf": "26", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", GOP
        times = np.arange(0, video.duration, 1 / FPS)
        for start in range(0, len(times), 100):
            for number, shown in enumerate(video.frames_at(times[start : start + 100].tolist(), size=max(SIZE)), start):
                frame = av.VideoFrame.from_ndarray(letterboxed(shown.image), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    part.replace(out)
    return out


def join(files: Sequence[Path], out: Path) -> list[float]:
    """Copy the packets of files of one encoder one after another; returns where each begins, seconds."""
    starts, part = [], out.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        made: Any = None
        at = 0
        for file in files:
            with av.open(str(file)) as source:
                stream: Any = source.streams.video[0]
                if made is None:
                    made = container.add_stream_from_template(stream)
                    extradata = stream.codec_context.extradata
                if stream.codec_context.extradata != extradata:
                    raise ValueError(f"{file} was made by another encoder than {files[0]}")
                starts.append(float(at * stream.time_base))
                length = 0
                packets: Any = (packet for packet in source.demux(stream) if packet.dts is not None)
                for packet in packets:
                    length = max(length, packet.pts + packet.duration)
                    packet.pts, packet.dts, packet.stream = packet.pts + at, packet.dts + at, made
                    container.mux(packet)
                at += length
    part.replace(out)
    return starts


def build_film(clips: Path, work: Path, hours: int, half: int) -> dict[str, Any]:
    """A film of real clips with its queries: {"video", "queries": [{"query", "spans"}]}."""
    items = list(json.loads((clips / "MANIFEST.json").read_text(encoding="utf-8"))["items"])
    items = [item for item in items if item["haystack"]]
    sought = [item for place, item in enumerate(items) if place % 2 == half % 2]
    hay = [item for item in items if item not in sought]
    rng, order, total = Random(f"hours {SEED} {hours} {half}"), list[Mapping[str, Any]](), 0.0
    while total < hours * 3600 - sum(item["duration"] for item in sought):
        item = rng.choice(hay)
        if not order or order[-1] is not item:
            order.append(item)
            total += item["duration"]
    for item in sought:
        order.insert(rng.randint(0, len(order)), item)
    out = work / f"film_{hours}h_{half}.mp4"
    files = [encode(clips / item["file"], work / f"{Path(item['file']).stem}.h264.mp4") for item in order]
    starts = join(files, out)
    filled = {query["query"] for item in hay for query in item["queries"]}
    queries = [
        {"query": query["query"], "spans": [[start + low, start + high] for low, high in query["clips"]]}
        for item, start in zip(order, starts, strict=True)
        if item in sought
        for query in item["queries"]
        if query["query"] not in filled
    ]
    return {"video": str(out), "queries": queries}


def build_drawn(work: Path, number: int) -> dict[str, Any]:
    """A drawn film of an hour, joined from SynthScenes videos, with needles: queries about one scene."""
    files, scenes, seed, at = [], [], DRAWN_SEEDS + 100 * number, 0.0
    while at < 3600:
        video = sample_video(seed)
        files.append(video_on_disk(video, work))
        scenes += [replace(scene, start=scene.start + at, end=scene.end + at) for scene in video.scenes]
        with OpenVideo(files[-1]) as opened:
            at += opened.duration
        seed += 1
    out = work / f"drawn_{number}.mp4"
    join(files, out)
    rng, queries = Random(f"needles {SEED} {number}"), dict[str, Any]()
    while len(queries) < NEEDLES:
        query = make_query("needle", scenes, rng, "test")
        if query is not None:
            queries[query.text] = [[clip.start, clip.end] for clip in make_clips(scenes, query)]
    return {"video": str(out), "queries": [{"query": text, "spans": spans} for text, spans in queries.items()]}


def measure(film: Mapping[str, Any], flow: str, reader: str) -> dict[str, Any]:
    """One flow on one film, in this process alone."""
    kframes = load(flow, reader, film["queries"])
    before = process_time()
    with kframes.open(film["video"]) as session:
        rows = [judge(session.select(one["query"], K), one["spans"]) for one in film["queries"]]
        duration = session.duration
        pool = sum(len(one.times) for one in session.retrieval.pools.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = round(process_time() - before, 1)
    return {"duration": duration, "rows": rows, "pool": pool, "peak_mb": round(peak), "cpu_s": spent}


def load(flow: str, reader: str, queries: Sequence[Mapping[str, Any]]) -> KFrames:
    """even: candidates spread evenly. retrieved: inside windows. uniform: frames spread evenly, no reader."""
    if flow == "uniform":
        return KFrames.from_pretrained("uniform")
    if reader == "nano":
        return KFrames.from_pretrained("nano", retriever="scores" if flow == "retrieved" else None)
    retriever = Once(load_selector("lite")) if flow == "retrieved" else None
    if reader == "lite":
        return KFrames.from_pretrained("lite", candidates=EVEN if flow == "even" else CLOSE, retriever=retriever)
    return KFrames(Perfect(queries), candidates=EVEN, candidate_size=64, retriever=retriever)


class Perfect:
    """A reader that names every true span of which it is shown a candidate, and nothing else: what search leaves."""

    name = "a perfect reader"

    def __init__(self, queries: Sequence[Mapping[str, Any]]) -> None:
        self.spans = {one["query"]: one["spans"] for one in queries}

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        """The true spans that hold a candidate."""
        times = [frame.timestamp for frame in frames]
        return [Clip(low, high) for low, high in self.spans[query] if any(low <= time < high for time in times)]


class Once:
    """lite as a retriever that embeds each distinct picture once: films of few clips repeat their pictures."""

    name, embedding_key = "lite", ""

    def __init__(self, lite: Any) -> None:
        self.lite, self.frame_size = lite, lite.frame_size
        self.kept: dict[bytes, Any] = {}

    def embed(self, frames: Sequence[Frame], /) -> Any:
        """The rows that lite gives, which depend on each picture alone."""
        keys = [sha256(frame.image.tobytes()).digest() for frame in frames]
        new = {key: frame for key, frame in zip(keys, frames, strict=True) if key not in self.kept}
        if new:
            self.kept |= zip(new, self.lite.embed(list(new.values())), strict=True)
        return np.stack([self.kept[key] for key in keys])

    def score_embedded(self, rows: Any, query: str, /, *, scenes: Any) -> Any:
        """As lite does."""
        return self.lite.score_embedded(rows, query, scenes=scenes)


def judge(selection: Selection, spans: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How much of the truth candidates and keyframes show."""
    scenes = [[(float(start), float(end))] for start, end in spans]
    held = [any(start <= time < end for time in selection.candidates) for ((start, end),) in scenes]
    true = [span for scene in scenes for span in scene]
    return {
        "query": selection.query,
        "shr": kfs_scores(selection.timestamps, scenes, grace=0.0)["shr"],
        "held": float(np.mean(held)),
        "iou": iou([(clip.start, clip.end) for clip in selection.clips if clip.priority == "P1"], true),
        "decoded": selection.cost.frames_decoded,
        "notes": [note.code for note in selection.notes],
    }


def time_decoding(film: Mapping[str, Any], flow: str) -> float:
    """CPU seconds of opening a film and of the frames that one query needs, at the size that lite reads; no model."""
    start = process_time()
    with OpenVideo(film["video"]) as video:
        if flow == "even":
            video.candidates(EVEN, READ)
        else:
            Retrieval(Retriever(_Chance(), None, load_selector), video, EVEN, READ).look("anything")
    return process_time() - start


class _Chance:
    """A retriever that costs nothing: its scores are noise."""

    name, frame_size, embedding_key = "chance", READ, ""

    def embed(self, frames: Sequence[Any], /) -> Any:
        return np.zeros((len(frames), 1), np.float32)

    def score_embedded(self, rows: Any, query: str, /, *, scenes: Any) -> Any:
        return np.random.default_rng(SEED).random(len(rows))


def run_alone(film: Path, *words: str) -> Any:
    """Measure in a process of its own, so that its peak memory is of this film; the result is kept beside the film."""
    kept = film.with_suffix("." + "-".join(words) + ".json")
    if not kept.is_file():
        command = [sys.executable, __file__, "--alone", str(film), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        kept.write_text(done.stdout.splitlines()[-1] + "\n", encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def measure_all(clips: Path, work: Path, films: Sequence[tuple[int, int]], drawn: int) -> Iterator[dict[str, Any]]:
    """Every film, reader and flow: rows of the report."""
    work.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[str, tuple[str, ...], Any]] = []
    for hours, half in films:
        readers: tuple[str, ...] = ("perfect", "lite") if (hours, half) == FILMS[0] else ("perfect",)
        jobs.append((f"film_{hours}h_{half}", readers, partial(build_film, clips, work, hours, half)))
    jobs += [(f"drawn_{number}", ("nano",), partial(build_drawn, work, number)) for number in range(drawn)]
    for name, readers, build in jobs:
        truth = work / f"{name}.json"
        if not truth.is_file():
            truth.write_text(json.dumps(build()), encoding="utf-8")
        for reader, flow in [("none", "uniform"), *product(readers, ("even", "retrieved"))]:
            print(name, flow, reader, file=sys.stderr)
            row = {"film": name, "flow": flow, "reader": reader, **run_alone(truth, flow, reader)}
            if reader == "perfect":
                row["decoding_cpu_s"] = run_alone(truth, flow, "decoding")
            yield row


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The report's tables as Markdown."""
    lines = [
        f"k = {K}. Even: {EVEN} candidates spread evenly. Retrieved: as many, seven of eight inside windows that lite "
        f"names (lite as reader: {CLOSE}). nano sees 64, and its own scores name the windows. A perfect reader names "
        "each true span of which it sees a candidate. Held: share of the true spans with a candidate. Shown: with a "
        "keyframe. Decoding: CPU seconds of opening the film and of all frames for one query, without models.",
        "",
        "| film | reader | candidates | queries | held | shown | mean IoU | decoding, CPU s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        film = f"{row['duration'] / 3600:.0f} h, {'drawn' if row['film'].startswith('drawn') else 'real clips'}"
        groups.setdefault((film, row["reader"], row["flow"]), []).append(row)
    for names, some in groups.items():
        queries = [one for row in some for one in row["rows"]]
        means = [f"{np.mean([one[name] for one in queries]):.3f}" for name in ("held", "shr", "iou")]
        decoding = [row["decoding_cpu_s"] for row in some if "decoding_cpu_s" in row]
        cost = f"{np.mean(decoding):.1f}" if decoding else ""
        peak = str(max(row["peak_mb"] for row in some))
        lines.append(f"| {' | '.join([*names, str(len(queries)), *means, cost, peak])} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--alone"]:
        film = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        flow, what = sys.argv[3:]
        print(json.dumps(round(time_decoding(film, flow), 2) if what == "decoding" else measure(film, flow, what)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of the clips and MANIFEST.json")
    parser.add_argument("--work", type=Path, default=Path("runs/hours"), help="films and finished parts are kept here")
    parser.add_argument("--out", type=Path, help="JSON of the results")
    parser.add_argument("--hours", type=int, nargs="*", default=[1, 3, 8])
    parser.add_argument("--drawn", type=int, default=DRAWN, help="drawn films")
    options = parser.parse_args()
    films = [film for film in FILMS if film[0] in options.hours]
    rows = list(measure_all(options.clips, options.work, films, options.drawn))
    if options.out is not None:
        report = {"benchmark": "hours", **about_this_run(), "k": K, "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
