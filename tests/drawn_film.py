"""The drawn film of the tests: a SynthScenes test video of two minutes, painted when this module is first imported.

``SAMPLE`` is the film, ``QUERIES`` the queries with their true spans in seconds: {"query": str, "clips": [[start, end],
...]}, the best clips first, none where nothing matches. No model was trained on this video. Painting takes .4 s.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kframes_training.sources.synthscenes import SPLITS, Query, Scene, make_clips, sample_video, write_video
from kframes_training.sources.synthscenes.attributes import TOP, Attributes

SEED = 2_000_051
SIZE, RATE = (320, 240), 8
LEAST, MOST = 1.0, TOP  # scores of a scene that does not matter, and of one that does

# One of every kind and some more; what is asked for is scored as in training.
TARGETS = {
    "find the pink circle": Attributes(colour="pink", shape="circle"),
    "the scene with the text 9": Attributes(label="9"),
    "show me a green cross": Attributes(colour="green", shape="cross"),
    "what colour is the ring?": Attributes(shape="ring"),
    "a spinning triangle": Attributes(shape="triangle", motion="spin"),
    "every time a pink object is shown": Attributes(colour="pink"),
    "all scenes with a triangle": Attributes(shape="triangle"),
    "find the blue star": Attributes(colour="blue", shape="star"),  # nothing is blue
}
AFTER = {"what comes right after the white square?": Attributes(colour="white", shape="square")}
WHOLE = ("what is the video about?",)
UNKNOWN = ("where do we see the elephant?",)  # a word that training leaves out


def scored(scenes: Sequence[Scene]) -> dict[str, list[float]]:
    """Every query with the relevance of each scene, 1 to 5."""
    found = {text: [target.score(scene) for scene in scenes] for text, target in TARGETS.items()}
    for text, target in AFTER.items():
        (place,) = target.matches(scenes)
        found[text] = [MOST if index == place + 1 else LEAST for index in range(len(scenes))]
    found |= {text: [MOST] * len(scenes) for text in WHOLE}
    return found | {text: [LEAST] * len(scenes) for text in UNKNOWN}


def truth(scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """Every query with its true spans."""
    rows: list[dict[str, Any]] = []
    for text, scores in scored(scenes).items():
        clips = make_clips(scenes, Query(text, "", tuple(scores), ("",) * len(scenes)))
        rows.append({"query": text, "clips": [[clip.start, clip.end] for clip in clips]})
    return rows


def paint() -> tuple[Path, list[dict[str, Any]]]:
    """The film, in a folder that goes when the process ends, and the truth about it."""
    if SEED not in SPLITS["test"]:
        raise ValueError(f"the film must be a test video, which no model was trained on; got seed {SEED}")
    video, folder = sample_video(SEED), Path(tempfile.mkdtemp(prefix="drawn_film_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_video(video, folder / "sample.mp4", size=SIZE, fps=RATE)
    return folder / "sample.mp4", truth(video.scenes)


SAMPLE, QUERIES = paint()
