"""What selections are worth, one family a file; plain functions of numbers.

clips.py        clips of one query against the true ones (temporal IoU, R@1)
kfs_bench.py    frames against scenes: KFR, SHR, BSR, BDS, UKSS
haystack.py     frames against true keyframes: temporal P/R/F1, SSIM, nearest distance
qa.py           right answers: intervals over videos, paired comparison
conformance.py  exactly k, no duplicates, in order, in range, stable over seeds
"""

from kframes_training.evaluation.metrics.clips import LEVELS, METRICS, clip_scores, spans_of
from kframes_training.evaluation.metrics.conformance import conformance, jaccard_over_seeds
from kframes_training.evaluation.metrics.haystack import haystack_scores, ssim, visual_scores
from kframes_training.evaluation.metrics.kfs_bench import kfs_mean, kfs_scores, ukss_mean, ukss_ratio
from kframes_training.evaluation.metrics.qa import accuracy, compare

__all__ = [
    "LEVELS",
    "METRICS",
    "accuracy",
    "clip_scores",
    "compare",
    "conformance",
    "haystack_scores",
    "jaccard_over_seeds",
    "kfs_mean",
    "kfs_scores",
    "spans_of",
    "ssim",
    "ukss_mean",
    "ukss_ratio",
    "visual_scores",
]
