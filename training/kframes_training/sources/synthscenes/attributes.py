"""What a query asks for: attributes, and how relevant a scene is to them (1 to 5, as in PeakClips)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from random import Random

from kframes_training.sources.synthscenes.world import BACKGROUNDS, COLOURS, LABELS, MOTIONS, SHAPES, Scene, Thing

TOP, SECONDARY = 5.0, 4.5  # scores of a match by the main thing and by a thing beside it


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes asked for; "" leaves one open. Those of a thing must all hold for the same thing."""

    colour: str = ""
    shape: str = ""
    motion: str = ""
    background: str = ""
    label: str = ""

    def score(self, scene: Scene) -> float:
        """Relevance of a scene, 1 to 5.

        5: all holds (for the main thing, where a thing is asked for); 4.5: all holds, but for a thing
        beside the main one; below: 1 plus 3 times the share of attributes that hold.
        """
        return max(self._score(scene, thing, main=index == 0) for index, thing in enumerate(scene.things))

    def _score(self, scene: Scene, thing: Thing, *, main: bool) -> float:
        asked = [field.name for field in fields(self) if getattr(self, field.name)]
        of_thing = [name for name in asked if name in ("colour", "shape", "motion")]
        held: int = sum(getattr(self, name) == getattr(thing if name in of_thing else scene, name) for name in asked)
        if held == len(asked):
            return TOP if main or not of_thing else SECONDARY
        return round(1 + 3 * held / len(asked), 2)

    def matches(self, scenes: Sequence[Scene]) -> list[int]:
        """Indices of the scenes for which all holds."""
        return [index for index, scene in enumerate(scenes) if self.score(scene) >= SECONDARY]


def take_attributes(scenes: Sequence[Scene], rng: Random, names: Sequence[str]) -> Attributes:
    """Attributes of the given names as some scene has them (its main thing three times in four)."""
    scene = rng.choice(list(scenes))
    thing = scene.things[0] if rng.random() < 0.75 else rng.choice(scene.things)
    return Attributes(**{name: getattr(scene if name in ("background", "label") else thing, name) for name in names})


def invent_attributes(rng: Random, names: Sequence[str]) -> Attributes:
    """Attributes of the given names drawn from the whole vocabulary."""
    pools = {
        "colour": list(COLOURS),
        "shape": SHAPES,
        "motion": MOTIONS[1:],
        "background": list(BACKGROUNDS),
        "label": LABELS,
    }
    return Attributes(**{name: rng.choice(pools[name]) for name in names})
