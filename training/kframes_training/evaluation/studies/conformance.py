"""Every baseline, faithful and mended, and kframes' own allocation on hard scores: is it exactly k, distinct, in order?

    python -m kframes_training.evaluation.studies.conformance --out benchmarks/results/conformance.json

Cases: constant scores, fewer candidates than k, one spike, a NaN among ordinary scores, and ordinary scores; each with
k = 1, 2, 3, 7, 8, 31, 33, 64, 100 and five seeds. kframes is asked for the same k frames of the same candidates, with the
clips that its own rule reads from the scores. What is not exactly min(k, n) distinct candidates, is an error, or raises
one is counted; so are different answers to one seed.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.types import Strategy
from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.baselines.common import Floats, finite
from kframes_training.evaluation.metrics.conformance import conformance, jaccard_over_seeds
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.tables import Table, render

KS = (1, 2, 3, 7, 8, 31, 33, 64, 100)
SEEDS = range(5)
COUNT, FEW, STRIDE, WIDTH = 600, 5, 2.0, 16  # candidates, of the small case, seconds between them, of the features
CASES = ("constant", "n < k", "spike", "NaN", "ordinary")
CHECKS = ("exact", "distinct", "ordered", "in_range")
Select = Callable[..., list[int]]


def make_scores(case: str, k: int) -> Floats:
    """The scores of a case: (600,), or (min(5, k - 1),) of the case with fewer candidates than k."""
    ordinary = np.random.default_rng(0).random(COUNT)
    if case == "constant":
        return np.full(COUNT, 0.3)
    if case == "spike":
        return np.where(np.arange(COUNT) == COUNT // 3, 1.0, 0.0)
    if case == "NaN":
        return np.where(np.arange(COUNT) == COUNT // 3, np.nan, ordinary)
    return ordinary[: max(1, min(FEW, k - 1))] if case == "n < k" else ordinary


def make_features(count: int) -> Floats:
    """Unit-norm features that change slowly: (count, 16)."""
    walk = np.cumsum(np.random.default_rng(1).normal(size=(count, WIDTH)), axis=0)
    made: Floats = walk / np.linalg.norm(walk, axis=1, keepdims=True)
    return made


def kframes(strategy: Strategy, scores: Floats, times: Floats, k: int, *, duration: float, **unused: Any) -> list[int]:
    """kframes' own way from scores to k candidates: clips where the scores are high, then allocation."""
    clips = clips_from_scores(finite(scores), times.tolist(), duration, rule=PROBABILITY)
    place = {float(time): index for index, time in enumerate(times)}
    return [place[time] for time in allocate(clips, k, times, duration, strategy=strategy)]


def list_selectors() -> dict[str, Select]:
    """Name -> selector: kframes, then every baseline in both modes."""
    ours: dict[str, Select] = {
        f"kframes {strategy}": partial(kframes, strategy) for strategy in ("auto", "focused", "hybrid", "uniform")
    }
    for mode, faithful in (("mended", False), ("faithful", True)):
        ours |= {f"{name}, {mode}": partial(select, faithful=faithful) for name, select in BASELINES.items()}
    return ours


def try_out(select: Select, case: str, k: int) -> dict[str, Any]:
    """One cell: the promises kept by the answers to all seeds, how alike they are, or the error."""
    scores = make_scores(case, k)
    times = (np.arange(len(scores)) + 0.5) * STRIDE
    given: dict[str, Any] = {
        "duration": len(scores) * STRIDE,
        "features": make_features(len(scores)),
        "truth": ((3, 9),),
    }
    begin = process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy on NaN, in the faithful modes
            answers = [select(scores.copy(), times, k, seed=seed, **given) for seed in SEEDS]
            again = select(scores.copy(), times, k, seed=SEEDS[0], **given)
    except (ValueError, IndexError, ZeroDivisionError, FloatingPointError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    kept = [conformance(answer, len(scores), k) for answer in answers]
    return {
        **{check: all(one[check] for one in kept) for check in CHECKS},
        "stable": again == answers[0],
        "given": len(answers[0]),
        "took_nan": bool(len(scores) == COUNT and np.isnan(scores).any() and COUNT // 3 in answers[0]),
        "jaccard": round(jaccard_over_seeds(answers), 4),
        "seconds": round((process_time() - begin) / (len(SEEDS) + 1), 6),
    }


def measure_all(selectors: Mapping[str, Select]) -> dict[str, dict[str, dict[str, Any]]]:
    """selector -> case -> k -> cell; with "n < k" from k = 2 on."""
    return {
        name: {
            case: {str(k): try_out(select, case, k) for k in KS if case != "n < k" or k > 1} for case in CASES
        }
        for name, select in selectors.items()
    }  # fmt: skip


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """Failures by case, and over all cases the rates of every promise."""
    head = ["selector", *(f"{case}: not exactly k" for case in CASES), "duplicates", "out of order", "out of range",
            "NaN frame taken", "errors", "same seed, other answer", "Jaccard over seeds", "ms, n = 600, k = 64"]  # fmt: skip
    rows = []
    for name, cases in report["selectors"].items():
        cells = [cell for ks in cases.values() for cell in ks.values()]
        told = [_failures(list(cases[case].values())) for case in CASES]
        fine = [cell for cell in cells if "error" not in cell]
        wrong = [str(sum(not cell[check] for cell in fine)) for check in ("distinct", "ordered", "in_range")]
        wrong.append(f"{sum(cell.get('took_nan', False) for cell in cases['NaN'].values())} of {len(KS)}")
        speed = cases["ordinary"]["64"].get("seconds")
        alike = [cell["jaccard"] for cell in cases["ordinary"].values() if "jaccard" in cell]
        rows.append(
            [name, *told, *wrong, str(len(cells) - len(fine)), str(sum(not cell["stable"] for cell in fine)),
             f"{sum(alike) / len(alike):.2f}" if alike else "", f"{1000 * speed:.1f}" if speed is not None else ""]
        )  # fmt: skip
    title = (
        f"k in {{{', '.join(map(str, report['ks']))}}}; {COUNT} candidates ({FEW} or fewer where n < k); five seeds; an error "
        "counts as not exactly k; Jaccard over seeds on ordinary scores, mean over k"
    )
    return [Table(title, head, rows)]


def _failures(cells: Sequence[Mapping[str, Any]]) -> str:
    failed = sum("error" in cell or not cell["exact"] for cell in cells)
    return f"{failed} of {len(cells)}" if failed else "0"


def list_failures(report: Mapping[str, Any], start: str) -> list[str]:
    """ "selector, case, k" of every broken promise of the selectors whose name starts so."""
    return [
        f"{name}, {case}, k={k}"
        for name, cases in report["selectors"].items()
        if name.startswith(start)
        for case, ks in cases.items()
        for k, cell in ks.items()
        if "error" in cell or not all(cell[check] for check in (*CHECKS, "stable"))
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args(arguments)
    report = {
        "benchmark": "conformance",
        **about_this_run(),
        "ks": list(KS),
        "selectors": measure_all(list_selectors()),
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report) + "\n", encoding="utf-8")
    print(*map(render, list_tables(report)), sep="\n\n")


if __name__ == "__main__":
    main()
