"""``kframes.json``: how a checkpoint wants to be used. Written by training, read by ``load.py``.

A preset (``mllm/presets``) is such a file for a public checkpoint that brings none: it has the same fields.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.vocabulary import words
from kframes_plugin.mllm.weights import read_json
from kframes_plugin.prompt import PromptFormat
from kframes_plugin.text import quoted
from kframes_plugin.types import PREDICTION_KINDS, PredictionKind

FILE_NAME = "kframes.json"
MOST_BYTES = 4 << 20  # of the file; a vocabulary of 100,000 words has 1 MB
MOST_CANDIDATES, MOST_SIDE, MOST_TOKENS, MOST_LAYERS = 65_536, 8192, 1_000_000, 1000
NO_SCORES = 'reads one score per frame, which native video (input="video") does not have; use prediction="text"'


@dataclass(frozen=True)
class CheckpointSettings:
    """What a checkpoint was trained with. The defaults are for models that were not trained for kframes.

    Saved with the fields of ``format`` beside the others, so a file may hold, for example::

        {"candidates": 224, "frame_size": 352, "input": "video", "answer": "spans", "prompt": "When is {query} shown?"}

    Attributes:
        candidates: T, the candidate frames of a video, >= 1. The paper's 256.
        frame_size: their long side, pixels, >= 1; or (width, height), whatever the shape of the video. 224 makes 40
            tokens of a 16:9 frame in Qwen2.5-VL, so that 256 frames with their times take some 13,000 tokens.
        max_new_tokens: the longest answer, tokens, >= 1. A clip with its reason takes about 50.
        vocabulary: the only words it was trained on, lower case, as :func:`~kframes_plugin.mllm.vocabulary.words` gives
            them; a query with another word gets no clips. None: any word will do.
        prediction: how its clips are read: "text" that it writes, one score of all "scores", or "both"; see
            :class:`~kframes_plugin.selectors.mllm.MLLMSelector`.
        scores_layer: the scores of frames are read after this many layers of its language model, >= 1, through the
            final norm and the LM head. None: it was not trained for that prediction; it is asked in words after the
            frames where its family allows it (``asked_scores.py``), else read after all of its layers.
        source: where these facts were read, for people.
        format: how prompts and answers are written.
        retriever: what names windows for it in videos of hours: a selector's name, "scores" (its own), or None: it sees
            frames that are spread evenly over any video.

    Raises:
        ValueError: a value is out of its range, or scores are to be read from native video.
    """

    candidates: int = 256
    frame_size: int | tuple[int, int] = 224
    max_new_tokens: int = 512
    format: PromptFormat = field(default_factory=PromptFormat)
    vocabulary: tuple[str, ...] | None = None
    prediction: PredictionKind = "text"
    scores_layer: int | None = None
    source: str = ""
    retriever: str | None = "lite"

    def __post_init__(self) -> None:
        size = self.frame_size if isinstance(self.frame_size, tuple) else (self.frame_size, self.frame_size)
        _check_count("candidates", self.candidates, MOST_CANDIDATES)
        _check_count("max_new_tokens", self.max_new_tokens, MOST_TOKENS)
        for side in size if len(size) == 2 else (0,):
            _check_count("frame_size", side, MOST_SIDE, " or two of them", given=self.frame_size)
        if self.scores_layer is not None:
            _check_count("scores_layer", self.scores_layer, MOST_LAYERS, " or None")
        check_prediction(self.prediction, self.format)
        if not isinstance(self.source, str):
            raise ValueError(f"source must be a text; got {quoted(self.source)}")
        if not (self.retriever is None or (isinstance(self.retriever, str) and self.retriever)):
            raise ValueError(f"retriever must be a name or None; got {quoted(self.retriever)}")
        if self.vocabulary is not None:
            _check_vocabulary(self.vocabulary)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write ``kframes.json`` into a checkpoint directory; returns its path."""
        path = Path(directory) / FILE_NAME
        row = asdict(self)
        row |= row.pop("format")
        path.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a ``kframes.json``. Keys that are missing keep their defaults.

        Raises:
            SelectorError: not JSON, an unknown key or a wrong value; the message names the file.
        """
        try:
            return cls._from_row(read_json(Path(path), MOST_BYTES))
        except (OSError, ValueError, TypeError) as error:
            raise SelectorError(f"{path} cannot be used: {error}; correct it, or take the file away") from error

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        if not isinstance(row, dict):
            raise ValueError(f"a JSON object is needed; got {type(row).__name__}")
        own = {item.name for item in fields(cls)} - {"format"}
        formats = {item.name for item in fields(PromptFormat)}
        if unknown := sorted(row.keys() - own - formats):
            raise ValueError(f"unknown key {quoted(unknown[0])}; known are {', '.join(sorted(own | formats))}")
        fmt = PromptFormat(**{key: value for key, value in row.items() if key in formats})
        settings: dict[str, Any] = {key: value for key, value in row.items() if key in own}
        for key, value in settings.items():  # JSON knows only lists
            settings[key] = tuple(value) if isinstance(value, list) else value
        return cls(**settings, format=fmt)


def check_prediction(prediction: str, fmt: PromptFormat) -> PredictionKind:
    """The prediction, or ValueError with the ones there are for this format."""
    for known in PREDICTION_KINDS:
        if prediction == known:
            if known != "text" and fmt.input == "video":
                raise ValueError(f"prediction={known!r} {NO_SCORES}")
            return known
    raise ValueError(f"prediction must be one of {', '.join(PREDICTION_KINDS)}; got {quoted(prediction)}")


def _check_count(name: str, value: object, most: int, also: str = "", given: object = None) -> None:
    shown = quoted(value if given is None else given)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1{also}; got {shown}")
    if value > most:
        raise ValueError(f"{name} must be a whole number of at most {most:,}; got {shown}")


def _check_vocabulary(vocabulary: object) -> None:
    if not isinstance(vocabulary, tuple) or not vocabulary:
        raise ValueError(f"vocabulary must be a tuple of words, at least one, or None; got {quoted(vocabulary)}")
    for word in vocabulary:
        if not isinstance(word, str) or words(word) != [word]:
            raise ValueError(f"vocabulary must hold single lower-case words; got {quoted(word)}")
