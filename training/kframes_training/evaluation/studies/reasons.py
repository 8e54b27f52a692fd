"""Are the reasons true? What a written reason names, held against what SynthScenes truly shows in its clip."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from kframes_plugin.types import Clip
from kframes_training.evaluation.statistics import estimate, plain
from kframes_training.evaluation.tables import Table, cell
from kframes_training.sources.synthscenes import Scene, sample_video
from kframes_training.sources.synthscenes.world import BACKGROUNDS, COLOURS, SHAPES, SIZES

ATTRIBUTES = ("size", "colour", "shape", "background")
TITLES = {
    "form": "names a thing and a background",
    "all": "all that it names is in the clip's main scene",
    "somewhere": "all is in some scene that the clip touches",
    "by chance": "all is in a scene drawn from the rest of the video",
    "new, true": "of attributes that the query does not say: true of the clip's main scene",
    "new, by chance": "of attributes that the query does not say: true of that other scene",
}
_REASON = re.compile(
    f"({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)}) on ({'|'.join(BACKGROUNDS)})", re.IGNORECASE
)


def read_reason(reason: str) -> dict[str, str] | None:
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


def find_scene(clip: Clip, scenes: Sequence[Scene]) -> Scene:
    """The scene that a clip shares most seconds with."""
    return max(scenes, key=lambda scene: min(scene.end, clip.end) - max(scene.start, clip.start))


def check_reason(clip: Clip, query: str, scenes: Sequence[Scene], rng: Random) -> dict[str, Any]:
    """One clip's reason against the truth.

    Returns:
        ``form``: 1 where it names a thing and a background. Then for every attribute and ``all``: 1 where the clip's
        main scene has it; ``somewhere``: 1 where some scene that the clip touches has all; ``by chance``: 1 where a
        scene drawn from the others of the video has all; ``new``: attributes that the query does not say;
        ``new, true``: how many of them are true; ``new, by chance``: how many are true of that other scene.
    """
    names = read_reason(clip.reason)
    if names is None:
        return {"form": 0}
    main = find_scene(clip, scenes)
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


def measure_reasons(rows: Iterable[Mapping[str, Any]], selector: str) -> dict[str, list[float | None]]:
    """Shares of a selector's reasons that are true, with intervals over videos; holistic queries left out.

    Args:
        rows: of a run on drawn videos, with their items.
        selector: its name.

    Returns:
        A key of :data:`TITLES` -> [share, low, high, number]; of the "new" ones, of attributes.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        item = row["item"]
        if row["selector"] != selector or "error" in row or item.groups["kind"] == "holistic":
            continue
        name = item.id.partition("/")[0]
        scenes = sample_video(int(name.rpartition("-")[2])).scenes
        for clip in (Clip(**plain_clip) for plain_clip in row["clips"]["free"]):
            one = check_reason(clip, item.query, scenes, Random(f"{item.id} {clip.start}"))
            for measure in TITLES:
                if not measure.startswith("new") and measure in one:
                    found[measure][name].append(float(one[measure]))
                elif measure.startswith("new") and one.get("new"):
                    found[measure][name] += [1.0] * one[measure] + [0.0] * (one["new"] - one[measure])
    return {measure: plain(estimate(by_video)) for measure, by_video in found.items()}


def reasons_table(report: Mapping[str, Any]) -> Table:
    """Shares of true reasons."""
    found = report["reasons"]
    rows = [[title, cell(found[name]), str(found[name][3])] for name, title in TITLES.items() if name in found]
    return Table("Are nano's reasons true? (no holistic queries)", ["of the reasons", "share", "of"], rows)
