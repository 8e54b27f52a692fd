"""Write SynthScenes as real H.264 files through PyAV, so that evaluation goes through the real decoder."""

from __future__ import annotations

from pathlib import Path

import av

from kframes_training.sources.synthscenes.paint import paint
from kframes_training.sources.synthscenes.world import Video


def write_video(video: Video, path: str | Path, *, size: tuple[int, int] = (192, 144), fps: int = 4) -> Path:
    """Paint and encode a whole video.

    Args:
        video: what to paint.
        path: the file; its ending names the container (".mp4").
        size: (width, height) in pixels, both even.
        fps: frames per second, >= 1; frame i shows time i / fps.

    Returns:
        The path. 4 frames a second of 192 x 144 cost about 1.5 ms each, so five minutes take 2 s.
    """
    path = Path(path)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20", "threads": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(round(video.duration * fps)):
            picture = paint(video, index / fps, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
