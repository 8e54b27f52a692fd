"""kframes in a minute: clips, frames, another budget, many queries, your own selector.

python examples/quickstart.py [VIDEO] [QUERY]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kframes_plugin import Clip, Frame, KFrames

SAMPLE = Path(__file__).with_name("sample.mp4")


def brightest(frames: Sequence[Frame], query: str) -> list[Clip]:
    """A selector of one's own: any function of the candidate frames and the query. This one looks for light."""
    frame = max(frames, key=lambda frame: frame.image.convert("L").resize((1, 1)).getpixel((0, 0)))
    return [Clip(frame.timestamp, frame.end, reason="the brightest moment")]


def main(video: str, query: str) -> None:
    kframes = KFrames.from_pretrained("scenes", candidates=64)
    selection = kframes.select(video, query, k=8)
    for clip in selection.clips:
        print(f"{clip.priority}  {clip.start:6.1f} - {clip.end:6.1f} s  {clip.reason}")
    print("8 frames at", [round(time, 1) for time in selection.timestamps])
    print("3 frames at", [round(time, 1) for time in selection.resample(k=3).timestamps], "(no model call)")

    with kframes.open(video) as opened:  # many queries, one look at the video
        for words in (query, "something else"):
            print(f"{words!r}: {len(opened.select(words, k=16).frames)} frames of {opened.duration:.1f} s")

    print("brightest:", KFrames(brightest, candidates=64).select(video, query, k=1).timestamps)


if __name__ == "__main__":
    main(*(sys.argv[1:] if len(sys.argv) == 3 else (str(SAMPLE), "a green square")))
