"""Work that stops when nobody waits for it any more: async calls of agents, servers and retrievers.

A thread cannot be ended from outside, so what takes long asks, at every frame and at every step of a model, whether
its caller is still there. Code that makes threads of its own gives them the context:
``contextvars.copy_context().run(...)``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import Any, TypeVar

T = TypeVar("T")

_LEFT: ContextVar[Event | None] = ContextVar("kframes_left", default=None)


class Cancelled(BaseException):
    """The caller no longer waits; not an Exception, so that no handler of errors takes it for an answer."""


@contextmanager
def cancellable() -> Iterator[None]:
    """Work that is started inside, in any thread with this context, stops soon after the block is left.

    >>> with cancellable():  # doctest: +SKIP
    ...     await asyncio.to_thread(kframes.select, "match.mp4", "the goal")
    """
    left = Event()
    token = _LEFT.set(left)
    try:
        yield
    finally:
        left.set()
        _LEFT.reset(token)


def stop_if_cancelled() -> None:
    """Go on where somebody waits: .1 microseconds.

    Raises:
        Cancelled: the block of :func:`cancellable` around this work was left.
    """
    left = _LEFT.get()
    if left is not None and left.is_set():
        raise Cancelled("the caller no longer waits for this")


def wait(seconds: float) -> None:
    """Sleep, but not longer than somebody waits.

    Raises:
        Cancelled: as for :func:`stop_if_cancelled`.
    """
    left = _LEFT.get()
    if left is None:
        time.sleep(seconds)
    else:
        left.wait(seconds)
        stop_if_cancelled()


async def run_in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """``asyncio.to_thread``, but work whose awaiting task is cancelled stops at its next frame or step."""
    import asyncio

    with cancellable():
        return await asyncio.to_thread(function, *args, **kwargs)
