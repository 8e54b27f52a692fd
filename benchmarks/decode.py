"""What it costs to take the candidate frames of a long video: kframes against the usual loaders.

    python benchmarks/decode.py --out decode.json            # 60 minutes of 720p, one I-frame in 250, 256 candidates
    python benchmarks/decode.py --minutes 1 --readers kframes,kframes_exact

The long video is one clip, copied packet by packet again and again; the clip is drawn and encoded here (panned texture,
moving shapes, grain; H.264 with B-frames), or given with --clip. Every reader runs in a process of its own: CPU
seconds and peak memory are that process's own, imports not counted in the seconds but in the memory.
Prints a Markdown table; writes JSON with commit, versions, device and seed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

GOP = 250  # frames from one I-frame to the next, x264's default
RATE = 25
LONG_SIDE = 448  # pixels of the candidates; qwen-vl-utils makes them about as large (its limit on all pixels together)

# ---- the readers: each returns a function (path, count) -> number of frames, after its imports


def kframes() -> Callable[[str, int], int]:
    import kframes_plugin.video.pyav  # noqa: F401 (imported on use; here, so that it does not count as decoding)
    from kframes_plugin.video import OpenVideo

    def run(path: str, count: int) -> int:
        with OpenVideo(path) as video:
            return len(video.candidates(count, size=LONG_SIDE))

    return run


def kframes_exact() -> Callable[[str, int], int]:
    import kframes_plugin.video.pyav  # noqa: F401
    from kframes_plugin.video import OpenVideo

    def run(path: str, count: int) -> int:
        with OpenVideo(path) as video:
            middles = [(place + 0.5) * video.duration / count for place in range(count)]
            return len(video.frames_at(middles, size=LONG_SIDE))

    return run


def qwen_vl_utils() -> Callable[[str, int], int]:
    from qwen_vl_utils import fetch_video

    def run(path: str, count: int) -> int:
        return len(fetch_video({"video": path, "nframes": count}))

    return run


def transformers() -> Callable[[str, int], int]:
    from transformers.video_utils import load_video

    def run(path: str, count: int) -> int:
        frames, _ = load_video(path, num_frames=count, backend="pyav")
        return len(frames)

    return run


def torchcodec() -> Callable[[str, int], int]:
    from torchcodec.decoders import VideoDecoder

    def run(path: str, count: int) -> int:
        decoder = VideoDecoder(path)
        indices = [int((place + 0.5) * len(decoder) / count) for place in range(count)]
        return len(decoder.get_frames_at(indices=indices))

    return run


def scan_1_fps() -> Callable[[str, int], int]:
    """What selectors as AKS decode before they choose: all of the video, and a frame of every second, for any count."""
    import av

    def run(path: str, count: int) -> int:
        taken = 0
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.time is not None and frame.time >= taken:
                    scale = min(1.0, LONG_SIDE / max(frame.width, frame.height))
                    frame.reformat(round(frame.width * scale), round(frame.height * scale), "rgb24").to_ndarray()
                    taken += 1
        return taken

    return run


def kframes_keyframes() -> Callable[[str, int], int]:
    import kframes_plugin.video.pyav  # noqa: F401
    from kframes_plugin import KFrames

    kf = KFrames.from_pretrained("uniform")

    def run(path: str, count: int) -> int:
        return len(kf.select(path, "anything", count).frames)

    return run


READERS = {
    run.__name__: run
    for run in (kframes, kframes_exact, kframes_keyframes, qwen_vl_utils, transformers, torchcodec, scan_1_fps)
}
STANDARD = "kframes,kframes_exact,qwen_vl_utils,transformers"
NEEDS = {name: name for name in ("qwen_vl_utils", "transformers", "torchcodec")}


def run_reader(name: str, path: str, count: int) -> dict[str, Any]:
    """Run one reader in this process."""
    take = READERS[name]()
    imported_mb = peak_mb()
    cpu, wall = cpu_seconds(), time.perf_counter()
    frames = take(path, count)
    return {
        "name": name,
        "frames": frames,
        "cpu_s": round(cpu_seconds() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "peak_mb": round(peak_mb()),
        "imports_mb": round(imported_mb),
    }


# ---- the video


def draw_clip(path: Path, width: int, height: int, seconds: int, seed: int) -> None:
    """A clip with the texture and motion of filmed pictures; 0.9 Mbit/s at 720p."""
    import av
    import numpy as np

    rng = np.random.default_rng(seed)
    texture = _texture(rng, 2 * width, 2 * height)
    grain = rng.normal(0, 2.0, (8, height, width, 1))
    with av.open(str(path), "w") as output:
        options = {"preset": "fast", "crf": "26", "bf": "2", "g": str(GOP), "sc_threshold": "0"}
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * RATE):
            left = int((1 + np.sin(number / 60)) * width / 2)
            top = int((1 + np.cos(number / 45)) * height / 2)
            picture = texture[top : top + height, left : left + width] + grain[rng.integers(8)]
            for shape in range(5):  # five things that move on their own
                x = int((0.5 + 0.4 * np.sin(number / 20 + shape)) * width)
                y = int((0.5 + 0.4 * np.cos(number / 31 + 2 * shape)) * height)
                picture[y : y + height // 8, x : x + width // 8] = (
                    255 - picture[y : y + height // 8, x : x + width // 8]
                )
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _texture(rng: Any, width: int, height: int) -> Any:
    """(height, width, 3) float: noise on all scales, as in nature (amplitude ~ size of the detail)."""
    import numpy as np
    from PIL import Image

    total = np.full((height, width, 3), 128.0)
    for cells in (4, 8, 16, 32, 64, 128, 256):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        smooth = np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float64)
        total += (smooth - 128) * 2.2 / cells**0.5
    return total


def repeat_clip(clip: Path, path: Path, minutes: float) -> dict[str, Any]:
    """Copy the clip's packets until the video lasts that long; returns what it is made of."""
    import av

    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        target = output.add_stream_from_template(stream, opaque=True)  # AV1 is read by a codec that cannot write
        packets = [packet for packet in source.demux(stream) if packet.size]
        stamps = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        step = max(pts + (p.duration or 0) for p, (pts, _) in zip(packets, stamps, strict=True)) - min(stamps)[0]
        clock = stream.time_base or Fraction(1, 1000)
        seconds = float(step * clock)
        repeats = max(1, round(minutes * 60 / seconds))
        for repeat in range(repeats):
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.duration = pts + repeat * step, dts + repeat * step, packet.duration
                copy.time_base, copy.is_keyframe, copy.stream = clock, packet.is_keyframe, target
                output.mux(copy)
        keys = sum(packet.is_keyframe for packet in packets)
        return {
            "seconds": round(repeats * seconds, 1),
            "frames": repeats * len(packets),
            "frames_per_i_frame": round(len(packets) / keys, 1),
            "width": stream.codec_context.width,
            "height": stream.codec_context.height,
            "mbit_per_s": round(8e-6 * clip.stat().st_size / seconds, 2),
        }


# ---- the report


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.run:
        print(json.dumps(run_reader(options.run, options.video, options.candidates)))
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or Path(folder) / "clip.mp4"
        if options.clip is None:
            width, height = (int(part) for part in options.size.split("x"))
            draw_clip(clip, width, height, 2 * GOP // RATE, options.seed)
        video = Path(folder) / "long.mp4"
        made_of = repeat_clip(clip, video, options.minutes)
        results = [_in_own_process(name, video, options) for name in options.readers.split(",")]
    report = {
        "benchmark": "decode",
        **about_this_run(options.seed),
        "candidates": options.candidates,
        "long_side": LONG_SIDE,
        "video": made_of,
        "readers": results,
    }
    print(_table(report))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--size", default="1280x720", help="of the drawn clip")
    parser.add_argument("--clip", type=Path, help="a clip to copy instead of the drawn one")
    parser.add_argument("--readers", default=STANDARD)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--run", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--video", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _in_own_process(name: str, video: Path, options: argparse.Namespace) -> dict[str, Any]:
    needed = NEEDS.get(name)
    if needed and importlib.util.find_spec(needed) is None:
        return {"name": name, "skipped": f"{needed} is not installed"}
    command = [sys.executable, __file__, "--run", name, "--video", str(video), "--candidates", str(options.candidates)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"name": name, "failed": done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def about_this_run(seed: int) -> dict[str, Any]:
    """Commit, versions, device and seed, for every benchmark's JSON."""
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    names = ("av", "decord", "numpy", "pillow", "qwen-vl-utils", "transformers", "torch", "torchcodec")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    device = {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "cpu": _cpu_name()}
    return {"commit": git.stdout.strip() or None, "versions": versions, "device": device, "seed": seed}


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _table(report: dict[str, Any]) -> str:
    video = report["video"]
    ours = next((row["cpu_s"] for row in report["readers"] if row["name"] == "kframes" and "cpu_s" in row), None)
    lines = [
        f"{report['candidates']} frames of {video['seconds'] / 60:.0f} minutes, {video['width']} x {video['height']}, "
        f"one I-frame in {video['frames_per_i_frame']:.0f}, {video['mbit_per_s']} Mbit/s:",
        "",
        "| loader | frames | CPU s | wall s | CPU / ours | peak MB | of it imports |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["readers"]:
        if "cpu_s" in row:
            times = f"{row['cpu_s'] / ours:.1f}" if ours else ""
            cells = [row["frames"], row["cpu_s"], row["wall_s"], times, row["peak_mb"], row["imports_mb"]]
        else:
            cells = [row.get("skipped") or row["failed"], "", "", "", "", ""]
        lines.append(f"| {row['name']} | " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb() -> float:
    """Peak resident memory of this process, MB; of this program only, where Linux tells (ru_maxrss keeps what the
    process was before it became this program)."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts in bytes


if __name__ == "__main__":
    main()
