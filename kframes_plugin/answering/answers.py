"""A selection and a question -> an answer, with the frames that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

from kframes_plugin.answering.answerers import Answerer
from kframes_plugin.chat.client import Reply
from kframes_plugin.chat.streaming import OnText
from kframes_plugin.errors import AnswererError
from kframes_plugin.output.messages import clock
from kframes_plugin.prompt.choices import read_choice, write_question
from kframes_plugin.selection import Selection
from kframes_plugin.text import printable
from kframes_plugin.types import Cost


@dataclass(frozen=True)
class Answer:
    """What a model answers from the frames of a selection.

    Attributes:
        text: what it wrote.
        question: what it was asked.
        selection: the clips and frames that it is based on.
        options: of a multiple-choice question; may be empty.
        choice: index of the option that it names; None without options, or if it names none.
        cost: of selecting and of answering; seconds by step.
        cut_off: whether it was cut off at the maximum length.
        uniform: the answer from the same number of evenly spaced frames, if one was asked for.
    """

    text: str
    question: str
    selection: Selection
    options: Sequence[str] = ()
    choice: int | None = None
    cost: Cost = field(default_factory=Cost)
    cut_off: bool = False
    uniform: Answer | None = None

    def __str__(self) -> str:
        return self.text

    def rests_on(self) -> str:
        """The times of the frames and the clips that it is based on, in words; a line each."""
        count, times = len(self.selection.frames), ", ".join(map(clock, self.selection.timestamps))
        lines = [f"{count} frame{'s' * (count != 1)}, {self.selection.strategy}: {times}"]
        for clip in self.selection.clips:
            reason = f": {printable(clip.reason)}" if clip.reason else ""
            lines.append(f"clip {clock(clip.start)}-{clock(clip.end)} ({clip.priority}){reason}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain JSON values."""
        return {
            "question": self.question,
            "answer": self.text,
            "options": list(self.options),
            "choice": self.choice,
            "cut_off": self.cut_off,
            "cost": asdict(self.cost),
            "selection": self.selection.to_dict(),
            "uniform": None if self.uniform is None else self.uniform.to_dict(),
        }


def answer_question(
    selection: Selection,
    question: str,
    answerer: Answerer | Callable[..., Any],
    *,
    options: Sequence[str] = (),
    reasons: bool = False,
    transcript: bool = False,
    compare: bool = False,
    on_text: OnText | None = None,
) -> Answer:
    """Answer a question from the frames of a selection, each with its time before it. Behind :meth:`KFrames.ask`.

    Args:
        selection: the frames to look at.
        question: in words.
        answerer: see :class:`~kframes_plugin.answering.answerers.Answerer`, or a function: chat messages -> text, or
            pieces of it.
        options: of a multiple-choice question, none or 2 to 26.
        reasons: give it the clips with their reasons. Off by default, since they make answers worse.
        transcript: give it what is said near the frames.
        compare: also answer from the same number of evenly spaced frames: ``answer.uniform``.
        on_text: called with each piece of the answer as it arrives.

    Raises:
        TypeError: the answerer gives no text.
        ValueError: one option, or more than 26.
        AnswererError: it cannot answer; the message says why.
    """
    if compare:
        told: dict[str, Any] = {"options": options, "reasons": reasons, "transcript": transcript}
        answer = answer_question(selection, question, answerer, **told, on_text=on_text)
        uniform = selection.resample(strategy="uniform")
        return replace(answer, uniform=answer_question(uniform, question, answerer, **told))
    messages = selection.to_messages(write_question(question, options), reasons=reasons, transcript=transcript)
    start = perf_counter()
    if isinstance(answerer, Answerer):
        reply = answerer.answer(messages, on_text)
    else:
        reply = Reply(_collect(answerer(messages), on_text), False, Cost(model_calls=1))
    if not reply.text.strip():
        raise AnswererError("the answerer gave an empty answer; raise its maximum answer length, or try another model")
    cost = selection.cost + reply.cost + Cost(seconds={"answer": perf_counter() - start})
    choice = read_choice(reply.text, options) if options else None
    return Answer(reply.text.strip(), question, selection, tuple(options), choice, cost, reply.cut_off)


def _collect(said: Any, on_text: OnText | None) -> str:
    """The text of an answerer that is a plain function."""
    pieces = [said] if isinstance(said, str) else said
    text = ""
    try:
        for piece in pieces:
            text += piece
            if on_text is not None:
                on_text(piece)
    except TypeError as error:
        kind = type(said).__name__
        raise TypeError(f"an answerer must give a str or pieces of it; got {kind}") from error
    return text
