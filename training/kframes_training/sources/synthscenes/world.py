"""What happens in a SynthScenes video: chapters of scenes, each with a background and one to three things.

A video is a pure function of its seed. Sizes are in units of the picture's height; the picture is
4/3 wide and 1 high.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# Bright colours for things, dark ones for backgrounds: any pair can be told apart.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (235, 40, 40),
    "orange": (250, 150, 30),
    "yellow": (245, 240, 60),
    "green": (50, 210, 70),
    "cyan": (70, 230, 240),
    "blue": (70, 110, 255),
    "pink": (250, 130, 220),
    "white": (250, 250, 250),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (12, 12, 12),
    "gray": (110, 110, 110),
    "navy": (15, 25, 90),
    "teal": (10, 95, 100),
    "brown": (100, 60, 25),
    "olive": (85, 95, 20),
    "maroon": (95, 10, 35),
    "violet": (85, 25, 120),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
TEXTURES = ("plain", "gradient", "striped", "checkered")
MOTIONS = ("still", "across", "bounce", "spin", "grow", "blink")
SIZES: dict[str, float] = {"big": 0.27, "small": 0.17}  # radius
LABELS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "GO", "UP", "NO", "HI", "OK", "MAX", "SKY", "FUN")

WIDTH = 4 / 3
MIN_SCENE, MAX_SCENE = 3.0, 40.0  # seconds
MIN_VIDEO, MAX_VIDEO = 60.0, 1200.0

SPLITS: dict[str, range] = {
    "train": range(1_000_000),
    "dev": range(1_000_000, 1_010_000),
    "test": range(2_000_000, 2_010_000),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of a scene.

    Attributes:
        shape, colour, size, motion: words of SHAPES, COLOURS, SIZES, MOTIONS.
        x, y: its place, the middle of its motion; 0 <= x <= 4/3, 0 <= y <= 1 (down).
        phase: where its motion starts, 0 to 1.
    """

    shape: str
    colour: str
    size: str
    motion: str
    x: float
    y: float
    phase: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A span without a cut.

    Attributes:
        start, end: seconds, [start, end).
        background, texture: words of BACKGROUNDS and TEXTURES.
        things: one to three, the main one first; the others are small and still.
        label: a digit or word written in the upper left corner, or "".
        chapter: index of its chapter.
        fade: the picture comes up from black in the first half second (and the scene before goes
            down in its last); otherwise a hard cut.
    """

    start: float
    end: float
    background: str
    texture: str
    things: tuple[Thing, ...]
    label: str = ""
    chapter: int = 0
    fade: bool = False


@dataclass(frozen=True, slots=True)
class Video:
    """A SynthScenes video.

    Attributes:
        seed: what it was made from; its id is ``synthscenes-<seed>``.
        scenes: in time order, without gaps, the first starting at 0.
    """

    seed: int
    scenes: tuple[Scene, ...]

    @property
    def id(self) -> str:
        """Name of the video, unique over all splits."""
        return f"synthscenes-{self.seed}"

    @property
    def duration(self) -> float:
        """Seconds, 60 to 1200."""
        return self.scenes[-1].end

    @property
    def cuts(self) -> tuple[float, ...]:
        """Times at which one scene gives way to the next, seconds."""
        return tuple(scene.start for scene in self.scenes[1:])

    @property
    def chapters(self) -> tuple[tuple[Scene, ...], ...]:
        """The scenes of every chapter, in time order."""
        count = self.scenes[-1].chapter + 1
        return tuple(tuple(scene for scene in self.scenes if scene.chapter == i) for i in range(count))

    def scene_at(self, t: float) -> int:
        """Index of the scene on screen at ``t`` seconds (the last one from the end on)."""
        for index, scene in enumerate(self.scenes):
            if t < scene.end:
                return index
        return len(self.scenes) - 1


def sample_video(seed: int) -> Video:
    """The video of a seed: the same scenes on every machine.

    Durations lie between 1 and 20 minutes, short ones more often (median about 2.7 minutes); a
    video has about ten scenes up to five minutes, and up to 40 beyond.
    """
    rng = Random(f"synthscenes {seed}")
    total = MIN_VIDEO * (MAX_VIDEO / MIN_VIDEO) ** (rng.random() ** 1.6)
    lengths = _lengths(rng, total)
    scenes: list[Scene] = []
    start, chapter, left, background = 0.0, -1, 0, ""
    for length in lengths:
        if left == 0:  # a chapter is told by its background
            chapter, left = chapter + 1, rng.randint(2, 6)
            background = rng.choice([name for name in BACKGROUNDS if name != background])
        scene = sample_scene(rng, background)
        while scenes and alike(scene, scenes[-1]):
            scene = sample_scene(rng, background)
        fade = bool(scenes) and rng.random() < 0.15
        end = round(start + length, 2)
        scenes.append(Scene(start, end, background, scene.texture, scene.things, scene.label, chapter, fade))
        start, left = end, left - 1
    return Video(seed, tuple(scenes))


def sample_scene(rng: Random, background: str) -> Scene:
    """A scene of 10 seconds at time 0 on the given background."""
    count = rng.choices((1, 2, 3), (6, 3, 1))[0]
    colours, shapes = rng.sample(list(COLOURS), count), rng.sample(SHAPES, count)
    motion = rng.choice(MOTIONS)
    y = rng.uniform(0.56, 0.66)
    if count == 1:
        things = [
            Thing(shapes[0], colours[0], rng.choice(list(SIZES)), motion, rng.uniform(0.45, 0.88), y, rng.random())
        ]
    else:
        while motion == "across":  # it would run into the others
            motion = rng.choice(MOTIONS)
        places = [0.42, 1.06] if count == 2 else [0.67, 0.2, 1.13]
        if count == 2 and rng.random() < 0.5:
            places = [0.91, 0.27]
        things = [Thing(shapes[0], colours[0], "big", motion, places[0], y, rng.random())]
        for shape, colour, x in zip(shapes[1:], colours[1:], places[1:], strict=True):
            things.append(Thing(shape, colour, "small", "still", x, rng.uniform(0.6, 0.75)))
    label = rng.choice(LABELS) if rng.random() < 0.35 else ""
    return Scene(0.0, 10.0, background, rng.choice(TEXTURES), tuple(things), label)


def _lengths(rng: Random, total: float) -> list[float]:
    """Lengths of scenes, 3 to 40 s each, that add up to about ``total`` (never outside 1-20 minutes)."""
    mean = min(max(total / 10, 6.0), 30.0)
    lengths: list[float] = []
    while sum(lengths) < total:
        lengths.append(min(max(mean * rng.lognormvariate(-0.05, 0.35), MIN_SCENE), MAX_SCENE))
    if sum(lengths) > MAX_VIDEO:
        lengths.pop()
    return [round(length, 2) for length in lengths]


def alike(one: Scene, other: Scene) -> bool:
    """Whether the cut between two scenes might go unseen: same background and main thing of the same colour."""
    return (one.background, one.texture, one.things[0].colour) == (
        other.background,
        other.texture,
        other.things[0].colour,
    )
