"""Every baseline, faithful and mended, and kframes' own allocation on hard scores: is it exactly k, distinct, in order?

    python -m kframes_training.evaluation.studies.conformance --out benchmarks/results/conformance.json

Cases: constant scores, fewer candidates than k, one spike, a NaN among ordinary scores, and ordinary scores; each with
k = 1, 2, 3, 7, 8, 31, 33, 64, 100 and five seeds. kframes is asked for the same k frames of the same candidates, with
the clips that its own rule reads from the scores. What is not exactly min(k, n) distinct candidates, is an error, or
raises one is counted; so are different answers to one seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.studies.hard_scores import (
    CASES,
    CHECKS,
    COUNT,
    FEW,
    KS,
    Select,
    list_selectors,
    try_out,
)
from kframes_training.evaluation.tables import Table, render


def measure_all(selectors: Mapping[str, Select]) -> dict[str, dict[str, dict[str, Any]]]:
    """selector -> case -> k -> cell; with "n < k" from k = 2 on."""
    return {
        name: {case: {str(k): try_out(select, case, k) for k in KS if case != "n < k" or k > 1} for case in CASES}
        for name, select in selectors.items()
    }


def list_tables(report: Mapping[str, Any]) -> list[Table]:
    """Failures by case, and over all cases the rates of every promise."""
    head = [
        "selector",
        *(f"{case}: not exactly k" for case in CASES),
        "duplicates",
        "out of order",
        "out of range",
        "NaN frame taken",
        "errors",
        "same seed, other answer",
        "Jaccard over seeds",
        "ms, n = 600, k = 64",
    ]
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
            [
                name,
                *told,
                *wrong,
                str(len(cells) - len(fine)),
                str(sum(not cell["stable"] for cell in fine)),
                f"{sum(alike) / len(alike):.2f}" if alike else "",
                f"{1000 * speed:.1f}" if speed is not None else "",
            ]
        )
    title = (
        f"k in {{{', '.join(map(str, report['ks']))}}}; {COUNT} candidates ({FEW} or fewer where n < k); five seeds; "
        "an error counts as not exactly k; Jaccard over seeds on ordinary scores, mean over k"
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
