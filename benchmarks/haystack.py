"""Assemble a long video of real clips with exact truth: all clips once in random order, pieces of the fillers between.

    python benchmarks/haystack.py FOLDER OUT [--minutes 15] [--seed 1]

FOLDER holds the clips and MANIFEST.json, as footage/fetch.py leaves it. OUT is a video; or a folder, which gets the
benchmark's three haystacks of 12, 20 and 28 minutes where it lacks them. Beside a video, its .json holds duration,
segments, cuts, and queries with all spans where the thing is seen. Frames are taken at a constant rate and letterboxed,
and all go through one encoder, so the truth's times are those of the frames. One seed gives one video.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.video import OpenVideo

FPS, SIZE, GOP = 8, (320, 180), 80  # frames a second, pixels, frames between I-frames
HAYSTACKS = ((12, 1), (20, 2), (28, 3))  # minutes and seed of the benchmark's three
FILLER = (6.0, 25.0)  # seconds of a piece
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Piece:
    """A part of a clip: seconds ``first`` to ``last`` of ``item``, and whether it only fills."""

    item: Mapping[str, Any]
    first: float
    last: float
    filler: bool


def plan(items: Sequence[Mapping[str, Any]], minutes: float, rng: Random) -> list[Piece]:
    """The pieces in order: every haystack clip once, and fillers, none beside a piece of its own clip."""
    pieces = [Piece(item, 0.0, item["duration"], False) for item in items if item["haystack"]]
    rng.shuffle(pieces)
    pool = [item for item in items if item["haystack"] and item["filler"]]
    total = sum(piece.last - piece.first for piece in pieces)
    while pool and total < minutes * 60:
        item = rng.choice(pool)
        length = min(item["duration"], rng.uniform(*FILLER))
        start = rng.uniform(0, item["duration"] - length)
        for _ in range(40):
            place = rng.randint(0, len(pieces))
            beside = [pieces[i].item["file"] for i in (place - 1, place) if 0 <= i < len(pieces)]
            if item["file"] not in beside:
                break
        pieces.insert(place, Piece(item, start, start + length, True))
        total += length
    return pieces


def pictures_of(path: Path) -> Pictures:
    """A clip at ``FPS``, letterboxed to ``SIZE``: uint8 (n, height, width, 3)."""
    with OpenVideo(path) as video:
        frames = video.frames_at(np.arange(0, video.duration, 1 / FPS).tolist(), size=max(SIZE))
    return np.stack([letterboxed(frame.image) for frame in frames])


def letterboxed(image: Image.Image) -> Pictures:
    """uint8 (height, width, 3), black around."""
    scale = min(SIZE[0] / image.width, SIZE[1] / image.height)
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    made = Image.new("RGB", SIZE)
    made.paste(small, ((SIZE[0] - small.width) // 2, (SIZE[1] - small.height) // 2))
    return np.asarray(made)


def assemble(folder: Path, out: Path, minutes: float, seed: int, cache: dict[str, Pictures]) -> dict[str, Any]:
    """Write the video and its truth; ``cache`` keeps the clips' pictures for the next one. Returns the truth."""
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    pieces = plan(manifest["items"], minutes, Random(f"haystack {seed}"))
    segments, at = [], 0
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "26", "threads": "1"})
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", GOP
        for picture, piece, index in _frames(folder, pieces, cache):
            if index == 0:
                segments.append(
                    {
                        "file": piece.item["file"],
                        "filler": piece.filler,
                        "src_start": round(piece.first * FPS) / FPS,
                        "start": at / FPS,
                        "frames": 0,
                    }
                )
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            segments[-1]["frames"] += 1
            at += 1
        container.mux(stream.encode())
    truth = {
        "video": out.name,
        "seed": seed,
        "duration": at / FPS,
        "segments": segments,
        **_cuts(segments, manifest["items"]),
        "queries": _queries(segments, manifest["items"]),
        "negative_queries": manifest["negative_queries"],
    }
    out.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return truth


def _frames(folder: Path, pieces: Sequence[Piece], cache: dict[str, Pictures]) -> Iterator[tuple[Pictures, Piece, int]]:
    for piece in pieces:
        name = piece.item["file"]
        if name not in cache:
            cache[name] = pictures_of(folder / name)
        first = round(piece.first * FPS)
        for index, picture in enumerate(cache[name][first : max(first + 1, round(piece.last * FPS))]):
            yield picture, piece, index


def assemble_all(folder: Path, out: Path) -> list[Path]:
    """The benchmark's three haystacks in a folder; those that are there already are kept."""
    out.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    cache: dict[Any, Any] = {}
    for minutes, seed in HAYSTACKS:
        path = out / f"haystack_{minutes}min_{seed}.mp4"
        if not path.with_suffix(".json").is_file():  # written last
            assemble(folder, path, minutes, seed, cache)
        made.append(path)
    return made


def _cuts(segments: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """True cuts, and spans where a cut is gradual or in doubt, in seconds of the haystack."""
    of_file = {item["file"]: item for item in items}
    found: dict[str, list[Any]] = {"cuts": [], "gradual": [], "ambiguous": []}
    for segment in segments:
        item, start, length = of_file[segment["file"]], segment["start"], segment["frames"] / FPS
        if start > 0:
            found["cuts"].append({"t": start, "kind": "join"})
        for cut in item.get("cuts_s", ()):
            if 1 / FPS <= cut - segment["src_start"] < length:
                found["cuts"].append({"t": round(start + cut - segment["src_start"], 3), "kind": "inner"})
        for name in ("gradual", "ambiguous"):
            for low, high in item.get(f"{name}_s", ()):
                low, high = max(low - segment["src_start"], 0.0), min(high - segment["src_start"], length)
                if low < high:
                    found[name].append([round(start + low, 3), round(start + high, 3)])
    return found | {"cuts": sorted(found["cuts"], key=lambda cut: cut["t"])}


def _queries(segments: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every query with all its spans in the haystack; the same words in two clips are one query."""
    of_file: dict[str, list[Mapping[str, Any]]] = {}
    for segment in segments:
        of_file.setdefault(segment["file"], []).append(segment)
    found: dict[str, list[list[float]]] = {}
    for item in items:
        for query in item["queries"]:
            for segment in of_file.get(item["file"], []):
                for start, end in query["clips"]:
                    low = max(start - segment["src_start"], 0.0)
                    high = min(end - segment["src_start"], segment["frames"] / FPS)
                    if high - low > 1 / FPS:
                        spans = found.setdefault(query["query"], [])
                        spans.append([round(segment["start"] + low, 3), round(segment["start"] + high, 3)])
    return [{"query": query, "clips": sorted(spans)} for query, spans in found.items()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.out.suffix != ".mp4":
        print(*assemble_all(options.folder, options.out), sep="\n")
        return
    made = assemble(options.folder, options.out, options.minutes, options.seed, {})
    print(f"{options.out}: {made['duration']:.1f} s, {len(made['segments'])} pieces, {len(made['queries'])} queries")


if __name__ == "__main__":
    main()
