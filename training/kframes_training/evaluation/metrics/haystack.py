"""LV-Haystack (arXiv 2504.02259, CVPR 2025): chosen frames against true keyframes, in time and to the eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.float64]
TOLERANCE = 5.0  # seconds, inclusive
WINDOW, SIGMA = 11, 1.5  # of the Gaussian that SSIM looks through, pixels
LEVELS_OF_GRAY = 255


def haystack_scores(
    predicted: Sequence[float], true: Sequence[float], *, tolerance: float = TOLERANCE
) -> dict[str, float | None]:
    """Temporal scores of one item.

    Args:
        predicted: timestamps of the chosen frames, seconds.
        true: timestamps of the true keyframes, seconds.
        tolerance: seconds, inclusive.

    Returns:
        ``precision``: share of the chosen with a true one near; ``recall``: share of the true with a chosen one near;
        ``f1``: their harmonic mean. All 0 where a side is empty. ``annd``: mean seconds from a chosen frame to the
        nearest true one; None where a side is empty, for 0 would be the best distance there is. ``skipped``: 1 where
        the original leaves the item out (an empty side), so that its mean can be had too.
    """
    if not len(predicted) or not len(true):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "annd": None, "skipped": 1.0}
    gaps = np.abs(np.asarray(predicted, np.float64)[:, None] - np.asarray(true, np.float64))
    near = gaps <= tolerance
    precision, recall = float(near.any(axis=1).mean()), float(near.any(axis=0).mean())
    return {
        "precision": precision,
        "recall": recall,
        "f1": harmonic(precision, recall),
        "annd": float(gaps.min(axis=1).mean()),
        "skipped": 0.0,
    }


def visual_scores(predicted: Sequence[Gray], true: Sequence[Gray]) -> dict[str, float]:
    """Scores by likeness: precision = mean over the chosen of the best SSIM to a true one, recall the other way.

    Args:
        predicted, true: gray pictures of one size, 0 to 255.

    Returns:
        ``precision``, ``recall``, ``f1``; 0 where a side is empty.
    """
    if not len(predicted) or not len(true):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    alike = np.array([[ssim(one, other) for other in true] for one in predicted])
    precision, recall = float(alike.max(axis=1).mean()), float(alike.max(axis=0).mean())
    return {"precision": precision, "recall": recall, "f1": harmonic(max(precision, 0.0), max(recall, 0.0))}


def harmonic(precision: float, recall: float) -> float:
    """F1; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def ssim(one: Gray, other: Gray) -> float:
    """Structural similarity of two gray pictures (Wang et al., 2004), -1 to 1: Gaussian window 11, sigma 1.5.

    By scikit-image (``pip install "kframes[train]"``). The mean is over the places where the whole window fits.

    Raises:
        ValueError: different sizes, or smaller than the window.
    """
    from skimage.metrics import structural_similarity

    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < WINDOW:
        raise ValueError(
            f"SSIM needs two gray pictures of one size, at least {WINDOW} x {WINDOW}; got {a.shape}, {b.shape}"
        )
    # scikit-image takes the window's size from sigma: 11 for 1.5
    return float(
        structural_similarity(
            a, b, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False, data_range=LEVELS_OF_GRAY
        )
    )
