"""How many threads a model gets on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

SMALL = 50_000_000  # parameters


def is_small(model: Any) -> bool:
    """Whether a model runs on a CPU and gains nothing from a second thread.

    Its operations take microseconds, and threads wait for each other after each of them. A query to a model of 6 M
    parameters on two cores: .19 s with one thread and with two; beside other busy processes .2 to 2 s with one
    thread, .8 to 56 s with two.
    """
    return bool(model.device.type == "cpu" and sum(weights.numel() for weights in model.parameters()) < SMALL)


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Let torch use one thread while the block runs, where that is wanted."""
    before = torch.get_num_threads()
    if wanted and before > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if wanted and before > 1:
            torch.set_num_threads(before)
