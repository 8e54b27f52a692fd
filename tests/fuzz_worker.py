"""Selects frames of damaged clips in a process of its own: ``python fuzz_worker.py FOLDER SELECTOR SEED ...``.

Writes one JSON line a seed: the clip, the kind of damage, and what came of it. A process that ends or hangs in between
names the seed by the line that is missing.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

from kframes_plugin import KFrames, KFramesError, OpenVideo

K, SIZE = 6, (96, 72)
SECONDS = 60  # for one selection; .1 s is usual
KINDS = ("noise", "bytes", "cut out", "cut off", "packet", "head", "twice", "swapped")


def mutate(clip: Path, seed: int, folder: Path) -> tuple[str, Path]:
    """A damaged copy of a clip: the kind of damage, and its path."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    path = folder / f"{seed}{clip.suffix}"
    if kind == "packet":
        _mutate_packets(clip, path, rng)
        return kind, path
    data = bytearray(clip.read_bytes())
    size = len(data)
    start = int(rng.integers(size))
    length = int(rng.integers(1, max(2, size // 8)))
    if kind == "noise":
        data[start : start + length] = rng.bytes(min(length, size - start))
    elif kind == "bytes":
        for place in rng.integers(0, size, int(rng.integers(1, 40))):
            data[place] = int(rng.integers(256))
    elif kind == "cut out":
        del data[start : start + length]
    elif kind == "cut off":
        del data[max(1, start) :]
    elif kind == "head":
        for place in rng.integers(0, min(4096, size), int(rng.integers(1, 12))):
            data[place] = int(rng.integers(256))
    elif kind == "twice":
        data[start:start] = data[start : start + length]
    else:
        other = int(rng.integers(size))
        data[start : start + length], data[other : other + length] = (
            data[other : other + length],
            data[start : start + length],
        )
    path.write_bytes(data)
    return kind, path


def _mutate_packets(clip: Path, path: Path, rng: np.random.Generator) -> None:
    """The clip muxed anew with one packet in ten changed, or one alone."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        stream: Any = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        share = 0.1 if rng.random() < 0.5 else 1.5 / len(packets)
        for packet in packets:
            data = bytearray(bytes(packet))
            if rng.random() < share:
                at = int(rng.integers(len(data)))
                many = int(rng.integers(1, 200))
                data[at : at + many] = rng.bytes(min(many, len(data) - at))
            changed: Any = av.Packet(bytes(data))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.duration, changed.stream = packet.is_keyframe, packet.duration, copy
            output.mux(changed)


def look(clip: Path) -> tuple[dict[float, Any], str]:
    """Every frame of a sound clip by its time in milliseconds, and the codec."""
    with OpenVideo(clip) as video:
        frames = video.frames_at(video.timestamps, SIZE)
        return {round(1000 * frame.timestamp): np.asarray(frame.image, np.int16) for frame in frames}, video.codec


def differs(one: Any, other: Any) -> bool:
    """Whether a person would see it: 2 % of the picture changed by a tenth of the range."""
    return bool(np.percentile(np.abs(one - other).mean(axis=2), 98) > 25)


def select(kframes: KFrames, path: Path, clean: dict[float, Any]) -> dict[str, Any]:
    """What came of one damaged file."""
    try:
        selection = kframes.select(path, "a blue square", K)
    except KFramesError as error:
        return {"error": str(error)[:200]}
    with OpenVideo(path) as video:
        most = len(video.timestamps)  # before damage is met; never fewer than after
    count, times = len(selection.frames), [frame.timestamp for frame in selection.frames]
    seen = [(round(1000 * frame.timestamp), np.asarray(frame.image, np.int16)) for frame in selection.frames]
    few = any(note.code == "few-frames" for note in selection.notes)
    whole = count == K if not few else count < K
    return {
        "count": count,
        "right": whole and count <= most and times == sorted(set(times)),
        "differs": any(time not in clean or differs(picture, clean[time]) for time, picture in seen),
        "notes": sorted({note.code for note in selection.notes} - {"no-clip", "few-frames", "clips-full"}),
    }


def main() -> None:
    """See above."""
    folder, name, *seeds = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    clips = sorted(path for path in Path(folder).iterdir() if path.is_file())
    kframes = KFrames.from_pretrained(name, frame_size=SIZE)
    clean: dict[Path, Any] = {}
    codecs: dict[Path, str] = {}
    scratch = Path(folder) / f"mutants-{name}-{seeds[0]}"
    scratch.mkdir(exist_ok=True)
    for seed in map(int, seeds):
        clip = clips[seed // len(KINDS) % len(clips)]
        if clip not in clean:
            clean[clip], codecs[clip] = look(clip)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        told: dict[str, Any] = {"seed": seed, "clip": clip.name, "codec": codecs[clip]}
        try:
            told["kind"], path = mutate(clip, seed, scratch)
            told |= select(kframes, path, clean[clip])
            path.unlink()
        except Exception as error:  # noqa: BLE001 - what must never come out of a public call
            told["foreign"] = f"{type(error).__name__}: {error}"[:300]
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
