"""What is asked for in bulk, and how it is handed out: a unit is all that one worker does with one video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from kframes_plugin.types import Span, Strategy

from kframes_plugin.text import quoted

Engine = Literal["local", "ray"]

LONGEST_UNIT = 64  # queries: more on one video are handed out in several units, so that results come as they are made


class Request(NamedTuple):
    """One question about one video; a plain tuple ``(video, query)`` will do in its place.

    Attributes:
        video: as for :meth:`KFrames.select`.
        query: what is looked for, in words.
        k: frames wanted, >= 1; None: what the call says.
        strategy: another strategy; None: what the call says.
        within: spans, seconds, outside of which nothing is looked at.
    """

    video: Any
    query: str
    k: int | None = None
    strategy: Strategy | None = None
    within: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A request that could not be answered, in the place of its selection.

    Attributes:
        request: what was asked.
        kind: the name of the error's type, as "VideoError".
        message: what is wrong and what to do.
    """

    request: Request
    kind: str
    message: str

    @classmethod
    def of(cls, request: Request, error: BaseException) -> Failure:
        """The failure that an error makes of a request."""
        return cls(request, type(error).__name__, str(error) or type(error).__name__)


Unit = list[Request]  # of one video, in order


def make_units(requests: Iterable[tuple[Any, ...]]) -> Iterator[Unit]:
    """Requests on one video in a row, together: they share one look at it."""
    unit: Unit = []
    for given in requests:
        if not isinstance(given, tuple | list) or not 2 <= len(given) <= len(Request._fields):
            raise TypeError(f"a request must be (video, query), or a Request; got {quoted(given)}")
        request = Request(*given)
        if unit and (len(unit) >= LONGEST_UNIT or not _same(unit[-1].video, request.video)):
            yield unit
            unit = []
        unit.append(request)
    if unit:
        yield unit


def _same(one: Any, other: Any) -> bool:
    """Frames of the user's own are compared by identity: pictures have no cheap equality."""
    paths = isinstance(one, str | os.PathLike) and isinstance(other, str | os.PathLike)
    return one is other or (paths and os.fspath(one) == os.fspath(other))
