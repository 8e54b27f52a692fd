"""Progress of a call for hosts that know one number: the steps of a call as one count that only rises."""

from __future__ import annotations


class Count:
    """A :data:`~kframes_plugin.keyframes.Progress` that adds up its steps. One thread tells, others may read.

    Attributes:
        now: (done, total, step): frames done in all steps so far, >= 0, those known to be needed, and what is being
            done. ``done`` never falls; ``total`` grows when a step begins.
    """

    def __init__(self) -> None:
        self.now = (0, 0, "")
        self._steps: dict[str, tuple[int, int]] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Take what a step tells; one that begins anew counts from where it was."""
        self._steps[step] = max(done, self._steps.get(step, (0, 0))[0]), total
        done, total = (sum(counts) for counts in zip(*self._steps.values(), strict=True))
        self.now = max(done, self.now[0]), max(total, done), step
