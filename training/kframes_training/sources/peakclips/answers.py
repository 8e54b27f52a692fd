"""What an annotator answers, as pydantic models, and how an answer is read from what a model wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from kframes_plugin.prompt.lenient_json import read_lenient
from kframes_training.sources.peakclips.prompts import KINDS, Prompt

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class _Strict(BaseModel):
    """Unknown fields are refused: most are a form of their own, and their content would be lost."""

    model_config = ConfigDict(extra="forbid")


class Caption(_Strict):
    """What a scene, a chapter or a video shows."""

    caption: Sentence


class QueryItem(_Strict):
    """A query of a kind."""

    kind: str
    query: Sentence


class Queries(_Strict):
    """Queries to a video."""

    queries: list[QueryItem]


class Score(_Strict):
    """Relevance of a scene, numbered from 1, to a query: 1 to 5, and why."""

    scene: int = Field(ge=1)
    score: float = Field(ge=1, le=5)
    reason: Reason = ""


class Scores(_Strict):
    """Relevance of some scenes to a query."""

    scores: list[Score]


class QuestionItem(_Strict):
    """A multiple-choice question; ``answer`` is an index, ``scenes`` are numbers from 1."""

    question: Sentence
    kind: str
    options: list[Sentence] = Field(min_length=4, max_length=4)
    answer: int = Field(ge=0, le=3)
    scenes: list[int] = Field(min_length=1)


class Questions(_Strict):
    """Questions about a video."""

    questions: list[QuestionItem]


FORMS: dict[str, type[BaseModel]] = {
    "scene": Caption,
    "chapter": Caption,
    "video": Caption,
    "queries": Queries,
    "relevance": Scores,
    "questions": Questions,
}


class Unusable(ValueError):
    """An answer that cannot be used; the message says why, in words that a model can act on."""


def read(text: str, prompt: Prompt) -> BaseModel:
    """The answer in what a model wrote: fences, talk around it, cut-off or loose JSON are mended.

    Raises:
        Unusable: there is none, it has another form, or it does not fit the prompt.
    """
    form, problems = FORMS[prompt.task], []
    for value in _values(text, form):
        try:
            answer = form.model_validate(value)
        except ValidationError as error:
            problems.append(_said(error))
            continue
        if problem := _problem(answer, prompt.facts):
            problems.append(problem)
            continue
        return answer
    raise Unusable(problems[0] if problems else "it holds no JSON")


def schema(task: str) -> dict[str, Any]:
    """The JSON schema of a task's answer; every field required, as strict servers want it."""
    found = FORMS[task].model_json_schema()
    for part in [found, *found.get("$defs", {}).values()]:
        part["required"] = list(part["properties"])
    return found


def _values(text: str, form: type[BaseModel]) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        values = read_lenient(text).values
    (name, *_) = form.model_fields  # a bare list is meant as the one field there is
    return [{name: value} if isinstance(value, list) else value for value in values]


def _said(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the answer"
    return f"{where}: {first['msg']}"


def _problem(answer: BaseModel, facts: Mapping[str, Any]) -> str:
    """What of a well-formed answer does not fit the prompt; "" where all does."""
    if isinstance(answer, Scores):
        numbers, expected = sorted(item.scene for item in answer.scores), sorted(facts["scenes"])
        if numbers != expected:
            return f"scores must have each of the scenes {expected} once; it has {numbers}"
    if isinstance(answer, Queries):
        kinds = [item.kind for item in answer.queries]
        if sorted(kinds) != sorted(facts["kinds"]):
            return f"queries must be one of each kind {sorted(facts['kinds'])}; they are {sorted(kinds)}"
    if isinstance(answer, Questions):
        return _question_problem(answer, facts)
    return ""


def _question_problem(answer: Questions, facts: Mapping[str, Any]) -> str:
    if len(answer.questions) > facts["count"]:
        return f"at most {facts['count']} questions were asked for; there are {len(answer.questions)}"
    for number, item in enumerate(answer.questions):
        if len(set(item.options)) < 4:
            return f"questions.{number}: the four options must differ"
        if item.kind not in KINDS:
            return f"questions.{number}: kind must be one of {', '.join(KINDS)}; got {item.kind!r}"
        if outside := [scene for scene in item.scenes if not 1 <= scene <= len(facts["spans"])]:
            return f"questions.{number}: there is no scene {outside[0]}"
    return ""
