"""Text on screen, by rapidocr (extra ``ocr``): once for every candidate that changed, a bounded number of times."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.errors import needs_extra
from kframes_plugin.types import Frame, Line, Note

Progress = Callable[[int, int], None]

SIZE, LEAST_SIZE = 640, 320  # long side of pictures to be read, and of candidates that are good enough
MOST = (
    150  # pictures of a video that are read: 8 s of CPU for small ones with little text, 40 s for large ones with much
)
# CPU seconds of a video, decoding for it included, after which no more are read: 150 pictures with three lines of text
# each take 56. On two idle cores that is 15 to 20 s. Where the work is done elsewhere, twice as many of the clock.
SECONDS = 30.0
GRID, CHANGED = 16, 10.0  # cells a side, and grey levels (0..255) that a cell must change by
BRIDGE = 2.0  # seconds without a text between two of its readings: it was misread, or something passed before it
SURE = 0.6  # least confidence of a text
DETECTION_SIDE = (
    480  # pixels: .03 to .3 s a picture; by default rapidocr enlarges small ones and takes ten times as long
)


class Budget:
    """Time that reading the text of one video may take, from now on.

    Args:
        seconds: of CPU, of all threads of the process; of the clock, twice as many.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._cpu, self._clock = seconds, process_time(), perf_counter()

    @property
    def is_spent(self) -> bool:
        """Whether no time is left."""
        return process_time() - self._cpu >= self._seconds or perf_counter() - self._clock >= 2 * self._seconds


def read_screen(
    frames: Sequence[Frame],
    duration: float,
    recognise: Callable[[Frame], str],
    progress: Progress | None = None,
    *,
    budget: Budget | None = None,
) -> tuple[tuple[Line, ...], tuple[Note, ...]]:
    """Read the text on candidates that changed, those that changed most first.

    A candidate that did not change since one that was read has the same text.

    Args:
        frames: candidates in time order.
        duration: of the video, seconds.
        recognise: frame -> the text on it, "" where there is none.
        progress: called with (done, total) after every picture.
        budget: when no more pictures are read; None: ``SECONDS`` from now on.

    Returns:
        Lines that reach halfway to the candidates without their text; and a note where not all could be read.
    """
    changes = measure_changes(frames)
    changed = np.flatnonzero(changes >= CHANGED)
    chosen = changed[np.argsort(-changes[changed], kind="stable")][:MOST].tolist()
    budget, texts = Budget() if budget is None else budget, dict.fromkeys(changed.tolist(), "")
    done = 0
    for done, place in enumerate(chosen, 1):
        stop_if_cancelled()
        texts[place] = " ".join(recognise(frames[place]).split())
        if progress is not None:
            progress(done, len(chosen))
        if budget.is_spent:
            break
    notes = []
    if done < len(changed):
        notes.append(Note("text-cut", f"text was read on {done} of {len(changed)} pictures that changed"))
    return _lines(frames, duration, texts), tuple(notes)


def measure_changes(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """(n,) how much the cell that changed most differs from the last candidate that changed, grey levels, 0..255."""
    kept: NDArray[np.float64] | None = None
    changes = []
    for frame in frames:
        cells = np.asarray(frame.image.convert("L").resize((GRID, GRID), Image.Resampling.BOX), np.float64)
        change = 255.0 if kept is None else float(np.abs(cells - kept).max())
        if kept is None or change >= CHANGED:
            kept = cells
        changes.append(change)
    return np.array(changes)


def _lines(frames: Sequence[Frame], duration: float, texts: dict[int, str]) -> tuple[Line, ...]:
    """Runs of candidates with one text as lines, in the reading that most of them have."""
    edges = candidate_edges([frame.timestamp for frame in frames], duration)
    runs: list[tuple[float, float, list[str]]] = []  # start, end, readings
    text = ""
    for place, _ in enumerate(frames):
        text = texts.get(place, text)
        if not text:
            continue
        start, end = float(edges[place]), float(edges[place + 1])
        if runs and start - runs[-1][1] <= BRIDGE and _is_same(runs[-1][2][-1], text):
            runs[-1] = (runs[-1][0], end, [*runs[-1][2], text])
        else:
            runs.append((start, end, [text]))
    return tuple(
        Line(start, end, max(Counter(readings).items(), key=lambda one: (one[1], len(one[0])))[0])
        for start, end, readings in runs
    )


def _is_same(one: str, other: str) -> bool:
    """Whether two readings are of one text: letters that follow each other are mostly the same."""
    return SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False).ratio() >= 0.75


class RapidOCR:
    """Pictures -> their text, from top to bottom. Loaded on first use."""

    def __init__(self) -> None:
        self._engine: Any = None

    def __call__(self, image: Image.Image) -> str:
        """The text of a picture; "" where none is sure.

        Raises:
            SelectorError: rapidocr is not installed.
        """
        if self._engine is None:
            self._engine = _load()
        found = self._engine(np.asarray(image)[:, :, ::-1], use_cls=False)
        if found.txts is None:
            return ""
        return " ".join(text for text, score in zip(found.txts, found.scores, strict=True) if score >= SURE)


def _load() -> Any:
    with needs_extra("ocr", "reading text on screen"):
        import rapidocr
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Det.limit_side_len": DETECTION_SIDE,
            "Det.limit_type": "max",
            "EngineConfig.onnxruntime.intra_op_num_threads": _count_threads(),
        }
    )


def _count_threads() -> int:
    """OMP_NUM_THREADS where it is a number; -1: ONNX Runtime's own choice."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else -1
