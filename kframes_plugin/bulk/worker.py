"""What one worker does with a unit: open the video, look once, answer every query."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kframes_plugin.bulk.requests import Failure, Request, Unit

if TYPE_CHECKING:
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.selection import Selection
    from kframes_plugin.session import VideoSession
    from kframes_plugin.types import Strategy

Finish = Callable[[Request, "Selection | Failure"], Any]  # what becomes of a result where it is made
Result = Any  # what ``finish`` made of a request and its selection or failure


def keep(request: Request, found: Selection | Failure) -> Selection | Failure:
    """The result as it is: the ``finish`` of those who want selections."""
    return found


class Worker:
    """Answers units, one after another. Can be pickled for another process, if ``make`` and ``finish`` can.

    Args:
        make: gives the KFrames; called once, on first use.
        k, strategy: for requests that do not say.
        finish: see :data:`Finish`; its value is the result.
    """

    def __init__(
        self, make: Callable[[], KFrames], k: int = 8, strategy: Strategy | None = None, finish: Finish = keep
    ) -> None:
        self.make, self.k, self.strategy, self.finish = make, k, strategy, finish

    @cached_property
    def kframes(self) -> KFrames:
        """What answers."""
        return self.make()

    def fail(self, unit: Unit, kind: str, message: str) -> list[Result]:
        """The results of a unit of which nothing could be answered."""
        return [self.finish(request, Failure(request, kind, message)) for request in unit]

    def __call__(self, unit: Unit) -> list[Result]:
        """The results of a unit; an error costs its own request, one of the video all of the unit's."""
        return self.answer(unit, self.look(unit))

    def look(self, unit: Unit) -> VideoSession | Failure:
        """Open a unit's video and decode its candidates, where all of it is asked for; may run ahead in a thread."""
        kframes, session = self.kframes, None  # a selector that cannot be loaded ends the run
        try:
            session = kframes.open(unit[0].video)
            if not any(request.within for request in unit):
                session.candidates()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this video, the others are answered
            if session is not None:
                session.close()
            return Failure.of(unit[0], error)
        return session

    def answer(self, unit: Unit, seen: VideoSession | Failure) -> list[Result]:
        """The results of a unit whose video was opened, or could not be. Closes it."""
        if isinstance(seen, Failure):
            return self.fail(unit, seen.kind, seen.message)
        with seen:
            return [self.finish(request, self._select(request, seen)) for request in unit]

    def _select(self, request: Request, session: VideoSession) -> Selection | Failure:
        k = self.k if request.k is None else request.k
        strategy = self.strategy if request.strategy is None else request.strategy
        try:
            return session.select(request.query, k, strategy=strategy, within=request.within)
        except Exception as error:  # noqa: BLE001 - as above
            return Failure.of(request, error)
