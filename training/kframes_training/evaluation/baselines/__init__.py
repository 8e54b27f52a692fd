"""Published selectors over frame scores, one algorithm a file; plain functions of arrays.

    name(scores, times, k, *, duration, features=None, query=None, seed=0, faithful=False, **parameters) -> indices

``scores`` (n,) one a candidate, higher is better; ``times`` (n,) seconds, rising; ``features`` (n, d) and ``query``
(d,) of unit norm where a scorer has them. Mended (the default): exactly min(k, n) distinct candidates in time order,
whatever the scores; where scores alone decide, equal ones are spread over time. Faithful: as the original does it,
faults included: duplicates, fewer than k, an error. ``oracle`` also takes ``truth``, the true spans in seconds.
Parameters that an algorithm does not have are ignored.
"""

from collections.abc import Callable, Mapping

from kframes_training.evaluation.baselines.aks import aks
from kframes_training.evaluation.baselines.bolt import bolt
from kframes_training.evaluation.baselines.focus import focus
from kframes_training.evaluation.baselines.mdp3 import mdp3
from kframes_training.evaluation.baselines.oracle import oracle
from kframes_training.evaluation.baselines.qframe import qframe
from kframes_training.evaluation.baselines.topk import stratified, top_k, top_k_gap
from kframes_training.evaluation.baselines.uniform import uniform_linspace, uniform_midpoint, uniform_stride
from kframes_training.evaluation.baselines.watershed import watershed
from kframes_training.evaluation.baselines.wfs_sb import wfs_sb

BASELINES: Mapping[str, Callable[..., list[int]]] = {
    "uniform_midpoint": uniform_midpoint,
    "uniform_linspace": uniform_linspace,
    "uniform_stride": uniform_stride,
    "top_k": top_k,
    "top_k_gap": top_k_gap,
    "stratified": stratified,
    "aks": aks,
    "bolt": bolt,
    "mdp3": mdp3,
    "focus": focus,
    "wfs_sb": wfs_sb,
    "watershed": watershed,
    "qframe": qframe,
    "oracle": oracle,
}
BLIND = ("uniform_midpoint", "uniform_linspace", "uniform_stride")  # they read no scores
WITH_FEATURES = ("mdp3",)  # they cannot do without features

__all__ = ["BASELINES", "BLIND", "WITH_FEATURES", *BASELINES]
