"""What a forked process must not touch: decoders of its parent, whose threads it does not have, and locks they hold."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakSet


class AfterFork(Protocol):
    """Something that lets go, in a new child, of what only the parent may use."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_WATCHED: WeakSet[Any] = WeakSet()


def watch(thing: AfterFork) -> None:
    """Have ``thing.after_fork()`` called in every process that is forked from now on."""
    _WATCHED.add(thing)


def abandon(things: Iterable[object]) -> None:
    """Never free these: freeing a decoder waits for its threads, and a forked process has none of them."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _tell_all() -> None:
    for thing in list(_WATCHED):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)


class ForkLock:
    """A re-entrant lock that is free in a forked process, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        watch(self)

    def after_fork(self) -> None:
        """See :class:`AfterFork`."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
