"""Part the answer of a model from the thinking before it. Pure, and linear in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|cot)"
# <think>, <|begin_of_thought|>, <seed:think>, [THINK], ◁think▷, and the channels "analysis" and "thought" of a dialogue
_OPEN = re.compile(
    rf"<\|?(?:begin_of_|start_|\w{{1,8}}:)?{_WORD}\|?>|\[think\]|◁{_WORD}▷|<\|channel\|?>\s?(?:analysis|commentary|thought)\b",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"<\|?/(?:\w{{1,8}}:)?{_WORD}\|?>|<\|end_(?:of_)?{_WORD}\|>|\[/think\]|◁/{_WORD}▷|<channel\|>"
    r"|<\|channel\|>\s?final\s?<\|message\|>",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"<(?:final_?)?answer>|<\|begin_of_solution\|>"
    r"|\bfinal answer[\s:*=]{0,6}(?=[^\n]{0,80}[\d\[{]|(?:is\s)?(?:no|none|nothing)\b)",
    re.IGNORECASE,
)
_ANSWER_END = re.compile(
    r"</(?:final_?)?answer>|<\|end_of_solution\|>|<\|(?:end|return|im_end|eot_id)\|>", re.IGNORECASE
)


@dataclass(frozen=True)
class AnswerPart:
    """The answer in a text.

    Attributes:
        text: what follows the last thinking block, or stands before the first where nothing follows; and in it only
            what is marked as the answer, where something is.
        thought: thinking was skipped.
        cut_off: a thinking block does not end, so that no answer follows.
        marked: a mark was found, as "<answer>" or "final answer:".
    """

    text: str
    thought: bool = False
    cut_off: bool = False
    marked: bool = False


def find_answer(text: str) -> AnswerPart:
    """The answer in what a model wrote."""
    closed = _last(_CLOSE, text)
    begin = closed.end() if closed else 0
    opened = _OPEN.search(text, begin)
    answer = text[begin : opened.start() if opened else len(text)]
    if closed and not answer.strip() and (first := _OPEN.search(text)):
        answer = text[: min(first.start(), closed.start())]
    mark = _last(_ANSWER, answer)
    if mark and answer[mark.end() :].strip():
        answer = answer[mark.end() :]
    if end := _ANSWER_END.search(answer):
        answer = answer[: end.start()]
    return AnswerPart(answer, closed is not None, opened is not None, mark is not None)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    match = None
    for match in pattern.finditer(text):  # noqa: B007
        pass
    return match
