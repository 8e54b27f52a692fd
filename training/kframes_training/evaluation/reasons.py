"""Are the reasons true? What a written reason names, held against what SynthScenes truly shows in its clip."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from kframes_plugin.types import Clip
from kframes_training.sources.synthscenes import Scene
from kframes_training.sources.synthscenes.world import BACKGROUNDS, COLOURS, SHAPES, SIZES

ATTRIBUTES = ("size", "colour", "shape", "background")
_REASON = re.compile(
    f"({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)}) on ({'|'.join(BACKGROUNDS)})", re.IGNORECASE
)


def named(reason: str) -> dict[str, str] | None:
    """What a reason names: size, colour, shape, background; None where it is not of that form."""
    match = _REASON.fullmatch(reason.strip())
    return dict(zip(ATTRIBUTES, (word.lower() for word in match.groups()), strict=True)) if match else None


def holds(names: Mapping[str, str], scene: Scene) -> dict[str, bool]:
    """Which of the named attributes are there, and ``all`` of them for one thing.

    Those of a thing are told for the thing of the scene that fits best.
    """
    fits = [
        {name: getattr(thing, name) == names[name] for name in ("size", "colour", "shape")} for thing in scene.things
    ]
    best = max(fits, key=lambda one: sum(one.values()))
    there = {**best, "background": scene.background == names["background"]}
    return {**there, "all": all(there.values())}


def scene_of(clip: Clip, scenes: Sequence[Scene]) -> Scene:
    """The scene that a clip shares most seconds with."""
    return max(scenes, key=lambda scene: min(scene.end, clip.end) - max(scene.start, clip.start))


def checked(clip: Clip, query: str, scenes: Sequence[Scene], rng: Random) -> dict[str, Any]:
    """One clip's reason against the truth.

    Returns:
        ``form``: 1 where it names a thing and a background. Then for every attribute and ``all``: 1 where the clip's
        main scene has it; ``somewhere``: 1 where some scene that the clip touches has all; ``by chance``: 1 where a
        scene drawn from the others of the video has all; ``new``: attributes that the query does not say;
        ``new, true``: how many of them are true; ``new, by chance``: how many are true of that other scene.
    """
    names = named(clip.reason)
    if names is None:
        return {"form": 0}
    main = scene_of(clip, scenes)
    there = holds(names, main)
    touched = [scene for scene in scenes if scene.start < clip.end and clip.start < scene.end]
    others = [scene for scene in scenes if scene is not main]
    elsewhere = holds(names, rng.choice(others)) if others else dict.fromkeys((*ATTRIBUTES, "all"), False)
    words = set(query.lower().replace("?", "").split())
    fresh = [name for name in ATTRIBUTES if names[name] not in words]
    return {
        "form": 1,
        **{name: int(value) for name, value in there.items()},
        "somewhere": int(any(holds(names, scene)["all"] for scene in touched)),
        "by chance": int(elsewhere["all"]),
        "new": len(fresh),
        "new, true": sum(there[name] for name in fresh),
        "new, by chance": sum(elsewhere[name] for name in fresh),
    }
