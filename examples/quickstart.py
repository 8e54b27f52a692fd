"""kframes in a minute: clips, frames, another budget, many queries, your own selector.

python examples/quickstart.py [VIDEO QUERY [MODEL]]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kframes_plugin import Clip, Frame, KFrames

SAMPLE = Path(__file__).with_name("sample.mp4")
QUERIES = json.loads(SAMPLE.with_suffix(".json").read_text(encoding="utf-8"))["queries"]


def brightest(frames: Sequence[Frame], query: str) -> list[Clip]:
    """A selector of one's own: any function of the candidate frames and the query. This one looks for light."""
    frame = max(frames, key=lambda frame: np.asarray(frame.image.convert("L")).mean())
    return [Clip(frame.timestamp, frame.end, reason="the brightest moment")]


def main(video: str, query: str, model: str = "lite") -> None:
    kframes = KFrames.from_pretrained(model)
    with kframes.open(video) as opened:  # many queries, one look at the video
        selection = opened.select(query, k=8)
        print(f"{query!r} in {opened.duration:.1f} s")
        for clip in selection.clips:
            print(f"  {clip.priority}  {clip.start:6.1f} - {clip.end:6.1f} s  {clip.reason}")
        for row in QUERIES if Path(video) == SAMPLE else ():
            if row["query"] == query:
                print("  true", ", ".join(f"{start:.1f} - {end:.1f} s" for start, end in row["clips"]))
        print("  8 frames at", [round(time, 1) for time in selection.timestamps])
        print("  3 frames at", [round(time, 1) for time in selection.resample(k=3).timestamps], "(no model call)")
        print(f"  another query: {len(opened.select('a cup of coffee', k=16).frames)} frames")

    print("brightest:", KFrames(brightest, candidates=64).select(video, query, k=1).timestamps)


if __name__ == "__main__":
    main(*(sys.argv[1:] if len(sys.argv) > 2 else (str(SAMPLE), QUERIES[0]["query"])))
