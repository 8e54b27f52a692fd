"""What lite knows of a video, and how well its frames fit a query. Pure, numpy only.

Method: convex combination of semantic embeddings (Norouzi et al., ICLR 2014): a picture is the mean of the embeddings
of the class names, weighted by the probabilities that a classifier gives them. Ours: windows, phrases, colours, and
scenes that share their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.clips.sharing import spread
from kframes_plugin.evidence.fusion import estimate_looks
from kframes_plugin.selectors.lite.text import find_words
from kframes_plugin.selectors.lite.vision import COLOURS, Floats

PHRASES, COLOUR, SCENE = 0.5, 0.3, 0.5  # shares of phrases, of colours and of the scene's mean in a score
TEMPERATURE = 1.5  # of the class probabilities. At 1 the AUC is .005 lower on the clips at hand
SHARPNESS = 0.8  # deviations in which a chance falls to a third
LONGEST_PART = 20.0  # seconds of a scene that have one chance
FLOOR_SLOPE, SHORT, LONG = 0.015, 10.0, 1200.0  # of the least likeness, a factor e in length; seconds
ALIKE = 0.01  # mean distance of histograms up to which a frame counts as the one before it; the least cut has .03
WHOLE = 2  # the first windows show the whole frame and its middle; the others parts of it


@dataclass(frozen=True, eq=False)
class Pictures:
    """What the frames of one video show.

    Attributes:
        windows: (n, 11, d) embeddings of length 1, one for each window of a frame.
        centred: (n, 11, d) the same around the mean of all class names: what tells pictures apart.
        classes: (n, classes) probabilities, means over the whole frame and its middle.
        colours: (n, 11) shares of a frame in the colours of ``COLOURS``, as deviations from the video's mean.
        scenes: (n,) number of the scene that a frame lies in, from 0.
    """

    windows: Floats
    centred: Floats
    classes: Floats
    colours: Floats
    scenes: NDArray[np.int64]

    @classmethod
    def build(cls, logits: Floats, names: Floats, colours: Floats, scenes: NDArray[np.int64]) -> Pictures:
        """Make them from (n, 11, classes) logits, (classes, d) embeddings of the names, (n, 11) colours and scenes."""
        logits = logits / TEMPERATURE
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        means = shares @ names
        centred = normalize(means - names.mean(axis=0))
        return cls(normalize(means), centred, shares[:, :WHOLE].mean(axis=1), compare_colours(colours), scenes)

    def take(self, places: NDArray[np.int64], scenes: NDArray[np.int64]) -> Pictures:
        """The pictures at (n,) places, as frames of (n,) scenes."""
        windows, centred, classes, colours = (
            values[places] for values in (self.windows, self.centred, self.classes, self.colours)
        )
        return Pictures(windows, centred, classes, colours, scenes)

    def features(self) -> Floats:
        """(n, d) of length 1: the mean of a frame's windows."""
        return normalize(self.centred.mean(axis=1))

    def compare(self, query: Floats, phrases: Floats) -> Floats:
        """Score the frames: (d,) query and (m, d) phrases -> (n,) standardised sums; higher is nearer."""
        whole, parts = self.centred[:, :WHOLE].mean(axis=1), self.centred[:, WHOLE:].mean(axis=1)
        return add_looks(whole @ query, parts @ query, whole @ phrases.T)

    def score(self, query: str, embedding: Floats, phrases: Floats) -> Floats:
        """Score the frames by looks and by the colours that the query names; half is the mean of the scene."""
        return add_context(self.compare(embedding, phrases), self.colours[:, find_colours(query)], self.scenes)

    def likeness(self, embedding: Floats, names: Floats) -> Floats:
        """How near the best window of each frame comes to the query, over how near any class name does: (n,)."""
        near = (self.windows @ embedding).max(axis=1)
        share: Floats = near / max(float((names @ embedding).max()), 1e-6)
        return share


def pack_rows(logits: Floats, names: Floats, colours: Floats) -> Floats:
    """All that scores need of frames, a row a frame: (n, 11, classes) logits, (classes, d), (n, 11) -> (n, 2 d + 11).

    The mean embedding of the whole frame, that of its parts, and its colours.
    """
    logits = logits / TEMPERATURE
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    centred = normalize(shares @ names - names.mean(axis=0))
    means = centred[:, :WHOLE].mean(axis=1), centred[:, WHOLE:].mean(axis=1)
    return np.concatenate([*means, colours], axis=1)


def compare_rows(rows: Floats, query: str, embedding: Floats, content: Floats, phrases: Floats) -> Floats:
    """What scores of a query need of :func:`pack_rows`, row by row.

    Args:
        rows: (n, 2 d + 11).
        query: in words.
        embedding, content: (d,) of the query and of its content words.
        phrases: (m, d).

    Returns:
        (n, 3 + c + m) cosines of the whole frame and of its parts with the query, and the larger one with its content;
        shares of the c colours that it names; cosines with its phrases.
    """
    width = len(embedding)
    whole, parts = rows[:, :width], rows[:, width : 2 * width]
    near = np.stack([whole @ embedding, parts @ embedding, np.maximum(whole @ content, parts @ content)], axis=1)
    colours = rows[:, 2 * width :][:, find_colours(query)]
    return np.concatenate([near, colours, whole @ phrases.T], axis=1)


def score_compared(compared: Floats, query: str, scenes: NDArray[np.int64]) -> Floats:
    """The same scores as :meth:`Pictures.score`, from :func:`compare_rows` of all frames; (n,)."""
    end = 3 + len(find_colours(query))
    looks = add_looks(compared[:, 0], compared[:, 1], compared[:, end:])
    return add_context(looks, compare_colours(compared[:, 3:end]), scenes)


def add_looks(whole: Floats, parts: Floats, phrases: Floats) -> Floats:
    """Standardised sums (n,) of cosines with the query, (n,) and (n,), and with its phrases, (n, m)."""
    near = standardize(whole) + standardize(parts)
    return standardize(near + PHRASES * standardize(standardize(phrases.T).mean(axis=0)))


def compare_colours(colours: Floats) -> Floats:
    """(n, c) shares of colours -> deviations from the mean of all n frames."""
    tint: Floats = np.clip((colours - colours.mean(axis=0)) / (colours.std(axis=0) + 1e-3), -2, 3)
    return tint


def find_colours(query: str) -> list[int]:
    """The columns of the colours that a query names."""
    return [COLOURS[word] for word in find_words(query) if word in COLOURS]


def add_context(looks: Floats, tint: Floats, scenes: NDArray[np.int64]) -> Floats:
    """Add to (n,) scores the (n, c) colours that the query names; then half is the mean of the scene."""
    scores = looks + COLOUR * tint.mean(axis=1) if tint.shape[1] else looks
    means = np.bincount(scenes, scores) / np.maximum(np.bincount(scenes), 1)
    mixed: Floats = ((1 - SCENE) * scores + SCENE * means[scenes]).astype(np.float32)
    return mixed


def describe(classes: ArrayLike, names: Sequence[str], likeness: Floats, count: int = 3) -> str:
    """The names that speak most for a clip: (classes,) probabilities times (classes,) cosines with the query."""
    weight = np.asarray(classes) * np.maximum(likeness, 0.0)
    return ", ".join(names[place] for place in np.argsort(-weight, kind="stable")[:count])


def estimate_confidence(relevance: float) -> float:
    """The chance that a clip of this relevance (0..1 within its video) is true, 0..1: a logistic fit (see LOG.md)."""
    return float(estimate_looks(relevance))


def cut_scenes(scenes: NDArray[np.int64], times: NDArray[np.float64], duration: float) -> NDArray[np.int64]:
    """Number the parts of scenes, so that a long take is no single scene.

    Args:
        scenes: (n,) ascending numbers of scenes.
        times: (n,) of the frames, seconds.
        duration: of the video, seconds. A part is at most an eighth of it long, and at most ``LONGEST_PART``.

    Returns:
        (n,) ascending numbers of parts, from 0 and without a gap; parts of one scene are equally long.
    """
    first = np.unique(scenes, return_index=True)[1]
    starts, place = times[first], np.searchsorted(first, np.arange(len(scenes)), side="right") - 1
    lengths = np.append(starts[1:], duration) - starts
    parts = np.maximum(np.ceil(lengths / min(LONGEST_PART, duration / 8)), 1)
    within = np.floor((times - starts[place]) / lengths[place] * parts[place])
    new = (np.diff(place) > 0) | (np.diff(within) > 0)
    numbers: NDArray[np.int64] = np.concatenate([[0], np.cumsum(new)]).astype(np.int64)
    return numbers


def estimate_chances(scores: Floats, parts: NDArray[np.int64]) -> Floats:
    """(parts,) the chance of each part of the video, by its best frame; (n,) scores and (n,) numbers of parts."""
    peaks = np.full(int(parts.max()) + 1, -np.inf)
    np.maximum.at(peaks, parts, standardize(scores))
    chances: Floats = estimate_confidence(1.0) * np.exp((peaks - peaks.max()) / SHARPNESS)
    return chances


def choose_read(scenes: NDArray[np.int64], looks: Floats, most: int) -> NDArray[np.int64]:
    """Which frames to look at: the first of every scene, and each that differs from the last one chosen.

    Args:
        scenes: (n,) ascending numbers of scenes.
        looks: (n, ...) histograms; frames differ where the mean distance exceeds ``ALIKE``.
        most: frames at most. Where more differ, they must differ more; of more scenes, some that lie apart are seen.

    Returns:
        (1 to most,) ascending indices, the first of some scene's frames first.
    """
    first = np.unique(scenes, return_index=True)[1]
    if len(first) >= most:
        return first[spread(np.arange(len(first), dtype=np.float64), most)]
    least = ALIKE
    while len(read := _find_differing(set(first.tolist()), looks, least)) > most:
        least *= 1.2
    return np.array(read)


def _find_differing(first: set[int], looks: Floats, least: float) -> list[int]:
    read: list[int] = []
    for place, look in enumerate(looks):
        if place in first or np.abs(look - looks[read[-1]]).mean() > least:
            read.append(place)
    return read


def find_stand_ins(count: int, read: NDArray[np.int64]) -> NDArray[np.int64]:
    """(count,) for each frame the place in ``read`` of the last one up to it; of those before all, the first."""
    return np.maximum(np.searchsorted(read, np.arange(count), side="right") - 1, 0)


def fit_floor(floor: float, seconds: float, slope: float = FLOOR_SLOPE) -> float:
    """The least likeness for a video of a length, from that of twenty minutes: the best of few scenes is lower.

    Parts of real films, 14 % of the queries refused whatever the length: .53 for 10 s, .59 for a minute, .63 for ten.
    Longer videos need no more.
    """
    return floor - slope * float(np.log(LONG / np.clip(seconds, SHORT, LONG))) if floor > 0 else floor


def standardize(values: Floats) -> Floats:
    """Mean 0 and deviation 1 along the last axis; all 0 where nothing differs."""
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = values.std(axis=-1, keepdims=True)
    scaled: Floats = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-6)
    return scaled


def normalize(rows: Floats) -> Floats:
    """Rows of length 1 along the last axis."""
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
    return unit
