"""Captions, queries and questions about SynthScenes, in varied wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from kframes_training.sources.synthscenes.attributes import TOP, Attributes, invent_attributes, take_attributes
from kframes_training.sources.synthscenes.words import (
    AFTER,
    ASK,
    BEFORE,
    COUNT,
    DOING,
    FIND,
    NEEDLES,
    UNKNOWN,
    WHOLE,
)
from kframes_training.sources.synthscenes.world import BACKGROUNDS, COLOURS, LABELS, SHAPES, Scene, Thing

KINDS = ("needle", "attribute", "action", "order", "count", "holistic", "absent")


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a selector.

    Attributes:
        text: the query.
        kind: one of KINDS.
        scores: relevance of every scene, 1 to 5.
        reasons: for every scene why it is relevant, "" where it is not.
    """

    text: str
    kind: str
    scores: tuple[float, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A multiple-choice question to an answerer.

    Attributes:
        text: the question.
        kind: one of KINDS.
        options: four answers, all different.
        answer: index of the right one.
        evidence: indices of the scenes that hold the answer.
    """

    text: str
    kind: str
    options: tuple[str, ...]
    answer: int
    evidence: tuple[int, ...]


def describe_thing(thing: Thing) -> str:
    """ "big red circle" """
    return f"{thing.size} {thing.colour} {thing.shape}"


def caption_scene(scene: Scene, rng: Random) -> str:
    """One sentence on a scene: things, motion, background, label."""
    main = scene.things[0]
    doing = "" if main.motion == "still" else f" {rng.choice(DOING[main.motion])}"
    text = f"a {describe_thing(main)}{doing}"
    for thing in scene.things[1:]:
        text += rng.choice((" beside a ", " and a ", " next to a ")) + describe_thing(thing)
    text += rng.choice((" on ", " in front of ", " over ")) + f"{scene.texture} {scene.background}"
    return text + (rng.choice((" with the text ", ", marked ")) + scene.label if scene.label else "")


def caption_chapter(scenes: Sequence[Scene], rng: Random) -> str:
    """One sentence on a run of scenes: their background and main things."""
    things = ", ".join(f"{scene.things[0].colour} {scene.things[0].shape}" for scene in scenes)
    opening = rng.choice(("scenes on {}", "a chapter on {}", "{} chapter"))
    return f"{opening.format(scenes[0].background)}: {things}"


def caption_video(chapters: Sequence[Sequence[Scene]], rng: Random) -> str:
    """One sentence on the video: its chapters."""
    opening = rng.choice(("chapters on", "a video on", "it goes through"))
    return f"{opening} " + ", then ".join(chapter[0].background for chapter in chapters)


def phrase(target: Attributes, rng: Random) -> str:
    """The attributes of a target as a noun phrase without article: "spinning red circle on teal"."""
    words = [rng.choice(DOING[target.motion])] if target.motion else []
    if target.colour:
        words.append(target.colour)
    if target.shape or target.colour or target.motion:
        words.append(target.shape or rng.choice(("thing", "object")))
    else:
        words.append("scene")
    if target.background:
        words.append(rng.choice(("on {}", "over {}", "on a {} background")).format(target.background))
    if target.label:
        words.append(rng.choice(("with the text {}", "marked {}", "with {} written on it")).format(target.label))
    return " ".join(words)


def _say(templates: Sequence[str], noun: str, rng: Random) -> str:
    return rng.choice(templates).format(a=f"a {noun}", the=f"the {noun}", it=noun)


def describe_match(target: Attributes, scene: Scene) -> str:
    """What of the target is in the scene: the thing that fits, and the background."""
    fits = max(range(len(scene.things)), key=lambda i: target._score(scene, scene.things[i], main=i == 0))
    return f"{describe_thing(scene.things[fits])} on {scene.background}"


def _about(text: str, kind: str, target: Attributes, scenes: Sequence[Scene]) -> Query:
    scores = tuple(target.score(scene) for scene in scenes)
    reasons = tuple(
        describe_match(target, scene) if score >= 4.3 else "" for scene, score in zip(scenes, scores, strict=True)
    )
    return Query(text, kind, scores, reasons)


def _search(sample: Callable[[], Attributes], fits: Callable[[Attributes], bool], tries: int = 40) -> Attributes | None:
    for _ in range(tries):
        target = sample()
        if fits(target):
            return target
    return None


def _one(scenes: Sequence[Scene], rng: Random, names: Sequence[str]) -> Attributes | None:
    """Attributes attributes that hold in exactly one scene."""
    return _search(
        lambda: take_attributes(scenes, rng, names),
        lambda w: w != Attributes() and _has_all(w, names) and len(w.matches(scenes)) == 1,
    )


def _has_all(target: Attributes, names: Sequence[str]) -> bool:
    return all(getattr(target, name) not in ("", "still") for name in names)


def _needle(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    target = _one(scenes, rng, rng.choice(NEEDLES))
    return None if target is None else _about(_say(FIND, phrase(target, rng), rng), "needle", target, scenes)


def _attribute(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    asked = rng.choice(list(ASK))
    names = [name for name in rng.choice((("colour", "shape"), ("shape", "background"), ("colour",))) if name != asked]
    target = _one(scenes, rng, names or ("shape",))
    return None if target is None else _about(_say(ASK[asked], phrase(target, rng), rng), "attribute", target, scenes)


def _action(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    names = rng.choice((("motion",), ("motion", "shape"), ("motion", "colour"), ("motion", "colour", "shape")))
    target = _search(
        lambda: take_attributes(scenes, rng, names), lambda w: _has_all(w, names) and len(w.matches(scenes)) <= 2
    )
    return None if target is None else _about(_say(FIND, phrase(target, rng), rng), "action", target, scenes)


def _order(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    target = _one(scenes, rng, ("colour", "shape"))
    if target is None:
        return None
    anchor, after = target.matches(scenes)[0], rng.random() < 0.7
    goal = anchor + (1 if after else -1)
    if not 0 <= goal < len(scenes):
        return None
    scores = tuple(TOP if index == goal else 2.0 if index == anchor else 1.0 for index in range(len(scenes)))
    found = f"{describe_thing(scenes[goal].things[0])} on {scenes[goal].background}"
    reasons = tuple(found if index == goal else "" for index in range(len(scenes)))
    return Query(_say(AFTER if after else BEFORE, phrase(target, rng), rng), "order", scores, reasons)


def _count(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    names = rng.choice((("colour",), ("shape",), ("colour", "shape"), ("background",), ("shape", "background")))
    target = _search(
        lambda: take_attributes(scenes, rng, names),
        lambda w: _has_all(w, names) and 2 <= len(w.matches(scenes)) <= len(scenes) / 2,
    )
    return None if target is None else _about(_say(COUNT, phrase(target, rng), rng), "count", target, scenes)


def _holistic(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    return Query(rng.choice(WHOLE), "holistic", (TOP,) * len(scenes), ("the whole video",) * len(scenes))


def _absent(scenes: Sequence[Scene], rng: Random, split: str) -> Query | None:
    """Something no scene shows: known words that never come together, or (not in training) an unknown noun."""
    templates = (*FIND, *COUNT, *ASK["colour"])
    if split != "train" and rng.random() < 0.4:
        text = _say(templates, _unknown_noun(rng), rng)
        return Query(text, "absent", (1.0,) * len(scenes), ("",) * len(scenes))
    names = rng.choice(NEEDLES)
    target = _search(lambda: invent_attributes(rng, names), lambda w: not w.matches(scenes))
    return None if target is None else _about(_say(templates, phrase(target, rng), rng), "absent", target, scenes)


def _unknown_noun(rng: Random) -> str:
    return rng.choice(("{}", "{}", "{colour} {}", "{} on {background}", "man with a {}")).format(
        rng.choice(UNKNOWN), colour=rng.choice(list(COLOURS)), background=rng.choice(list(BACKGROUNDS))
    )


_MAKERS = {
    "needle": _needle,
    "attribute": _attribute,
    "action": _action,
    "order": _order,
    "count": _count,
    "holistic": _holistic,
    "absent": _absent,
}


def make_query(kind: str, scenes: Sequence[Scene], rng: Random, split: str = "train") -> Query | None:
    """A query of one kind about the scenes, or None where they offer none.

    Args:
        kind: one of KINDS.
        scenes: the scenes of a video.
        rng: source of all chance.
        split: "train", "dev" or "test": only the last two have absent queries with unknown nouns.
    """
    return _MAKERS[kind](scenes, rng, split)


def queries(scenes: Sequence[Scene], rng: Random, split: str = "train") -> list[Query]:
    """One query of every kind that the scenes offer, in the order of KINDS."""
    found = [make_query(kind, scenes, rng, split) for kind in KINDS]
    return [query for query in found if query is not None]


def questions(scenes: Sequence[Scene], rng: Random) -> list[Question]:
    """Multiple-choice questions on one-scene facts, order and count (those that the scenes offer)."""
    made = [_ask_needle(scenes, rng), _ask_action(scenes, rng), _ask_order(scenes, rng), _ask_count(scenes, rng)]
    return [question for question in made if question is not None]


def _options(right: str, pool: Sequence[str], rng: Random) -> tuple[tuple[str, ...], int]:
    options = [right, *rng.sample([word for word in pool if word != right], 3)]
    rng.shuffle(options)
    return tuple(options), options.index(right)


def _ask_needle(scenes: Sequence[Scene], rng: Random) -> Question | None:
    pools = {"colour": list(COLOURS), "shape": SHAPES, "background": list(BACKGROUNDS), "label": LABELS}
    asked = rng.choice(list(pools))
    target = _one(
        scenes,
        rng,
        {"colour": ("shape", "background"), "shape": ("colour", "background")}.get(asked, ("colour", "shape")),
    )
    if target is None:
        return None
    index = target.matches(scenes)[0]
    scene = scenes[index]
    thing = next(
        (t for i, t in enumerate(scene.things) if target._score(scene, t, main=i == 0) >= 4.3), scene.things[0]
    )
    right = getattr(scene if asked in ("background", "label") else thing, asked)
    if not right or sum(target._score(scene, t, main=True) >= 4.3 for t in scene.things) > 1:
        return None
    options, answer = _options(right, pools[asked], rng)
    return Question(_say(ASK[asked], phrase(target, rng), rng), "attribute", options, answer, (index,))


def _ask_action(scenes: Sequence[Scene], rng: Random) -> Question | None:
    target = _one(scenes, rng, ("motion",))
    if target is None:
        return None
    index = target.matches(scenes)[0]
    right = scenes[index].things[0]
    options, answer = _options(right.colour, list(COLOURS), rng)
    return Question(f"what colour is the {phrase(target, rng)}?", "action", options, answer, (index,))


def _ask_order(scenes: Sequence[Scene], rng: Random) -> Question | None:
    query = _order(scenes, rng, "train")
    if query is None:
        return None
    goal = query.scores.index(TOP)
    thing = scenes[goal].things[0]
    options, answer = _options(f"{thing.colour} {thing.shape}", [f"{c} {s}" for c in COLOURS for s in SHAPES], rng)
    return Question(query.text, "order", options, answer, (goal,))


def _ask_count(scenes: Sequence[Scene], rng: Random) -> Question | None:
    query = _count(scenes, rng, "train")
    if query is None:
        return None
    evidence = tuple(index for index, score in enumerate(query.scores) if score >= 4.3)
    options, answer = _options(str(len(evidence)), [str(number) for number in range(1, 10)], rng)
    return Question(query.text, "count", options, answer, evidence)
