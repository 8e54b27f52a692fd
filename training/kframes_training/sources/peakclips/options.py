"""The options of ``kframes peakclips build``, in groups: every field of a group is an option of the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from kframes_plugin.chat.options import read_options
from kframes_training.rows import P1_SCORE, P2_SCORE
from kframes_training.sources.peakclips.chapters import THRESHOLDS
from kframes_training.sources.peakclips.pipeline import STEPS
from kframes_training.sources.peakclips.refinement import Refinement
from kframes_training.sources.peakclips.settings import Settings


@dataclass(frozen=True)
class LabelOptions:
    """What decides scenes, chapters, queries and questions; as the fields of Settings."""

    queries: Annotated[
        Path | None,
        typer.Option(
            help='JSON Lines file: {"video_id", "query", "kind"}; by default the annotator writes the queries.'
        ),
    ] = None
    grouping: Annotated[str, typer.Option(help=f"How to group scenes into chapters: {', '.join(THRESHOLDS)}.")] = (
        Settings.grouping
    )
    min_scene: Annotated[float, typer.Option(min=0, help="Shortest scene, in seconds.")] = Settings.min_scene
    max_scene: Annotated[float, typer.Option(help="Longest scene, in seconds; a longer one is split evenly.")] = (
        Settings.max_scene
    )
    frames_per_scene: Annotated[int, typer.Option(min=1)] = Settings.frames_per_scene
    frame_size: Annotated[int, typer.Option(min=1, help="Long side of the frames, in pixels.")] = Settings.frame_size
    queries_per_video: Annotated[float, typer.Option(min=0)] = Settings.queries_per_video
    questions_per_video: Annotated[int, typer.Option(min=0)] = Settings.questions_per_video

    def settings(self, refinement: Refinement) -> Settings:
        """The parameters of the rows."""
        return Settings(
            min_scene=self.min_scene,
            max_scene=self.max_scene,
            frames_per_scene=self.frames_per_scene,
            frame_size=self.frame_size,
            grouping=self.grouping,
            queries_per_video=self.queries_per_video,
            questions_per_video=self.questions_per_video,
            refinement=refinement,
        )


@dataclass(frozen=True)
class ScoreOptions:
    """How scores are refined and become clips; as the fields of Refinement."""

    similarity: Annotated[str, typer.Option(help="none, openclip:ARCH/WEIGHTS, or frames:MODEL (nano ...).")] = "none"
    w_caption: Annotated[float, typer.Option(min=0, help="Weight of the annotator's score.")] = Refinement.w_caption
    w_similarity: Annotated[float, typer.Option(min=0, help="Weight of the similarity.")] = Refinement.w_similarity
    similarity_low: Annotated[
        float | None, typer.Option(help="Similarity that gives a score of 1; default: the median of the scenes.")
    ] = None
    similarity_high: Annotated[
        float | None, typer.Option(help="Similarity that gives a score of 5; default: the highest.")
    ] = None
    p1: Annotated[float, typer.Option(help="Least score of a P1 clip.")] = P1_SCORE
    p2: Annotated[float, typer.Option(help="Least score of a P2 clip.")] = P2_SCORE

    def refinement(self) -> Refinement:
        """The weights and thresholds."""
        low, high = self.similarity_low, self.similarity_high
        return Refinement(self.w_caption, self.w_similarity, low, high, p1_score=self.p1, p2_score=self.p2)


@dataclass(frozen=True)
class ModelOptions:
    """How the annotator is asked."""

    seed: Annotated[int, typer.Option(help="Seed of the annotator; another seed makes every request again.")] = 0
    concurrency: Annotated[int, typer.Option(min=1, help="Concurrent requests per worker.")] = 8
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum length of an answer.")] = 2048
    json_schema: Annotated[bool, typer.Option(help="Send the server a JSON schema of the answers.")] = True
    device: Annotated[str | None, typer.Option(help="For local models: cpu, cuda ...")] = None
    server_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE for a server: timeout=600, retries=9, options.top_p=0.9; repeatable."),
    ] = None

    def of_server(self) -> dict[str, Any]:
        """Options of the writer of a server.

        Raises:
            ValueError: one that it does not have.
        """
        given = read_options(self.server_option or ())
        if unknown := sorted(given.keys() - {"timeout", "retries", "temperature", "options"}):
            raise ValueError(
                f"unknown option {unknown[0]!r} of a server; known are timeout, retries, temperature and options.NAME"
            )
        return {"json_schema": self.json_schema, **given}


@dataclass(frozen=True)
class RunOptions:
    """Where the work is done, and what is kept of an earlier run."""

    engine: Annotated[str, typer.Option(help="local, or ray.")] = "local"
    workers: Annotated[int, typer.Option(min=1, help="Number of processes, or of Ray actors.")] = 1
    redo: Annotated[list[str] | None, typer.Option(help=f"Repeat a step: {', '.join(STEPS)}.")] = None
    work: Annotated[
        Path | None, typer.Option(help="Folder for answers and steps, kept for the next run; default: OUT/.work.")
    ] = None

    def steps(self) -> frozenset[str]:
        """The steps to be made anew.

        Raises:
            ValueError: one that there is not.
        """
        redo = frozenset(self.redo if self.redo is not None else ())
        if unknown := redo - set(STEPS):
            raise ValueError(f"--redo must be one of {', '.join(STEPS)}; got {', '.join(sorted(unknown))}")
        return redo


@dataclass(frozen=True)
class CostOptions:
    """What it may cost."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the scenes and estimate the cost.")] = False
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million input tokens.")] = 0.0
    price_out: Annotated[float, typer.Option(min=0, help="Price of a million output tokens.")] = 0.0
    max_cost: Annotated[float | None, typer.Option(min=0, help="Do not start if the estimate is higher.")] = None

    @property
    def prices(self) -> tuple[float, float]:
        """Of a million tokens read, and written."""
        return self.price_in, self.price_out


@dataclass(frozen=True)
class DataOptions:
    """What the data set holds beside its rows."""

    with_videos: Annotated[bool, typer.Option("--with-videos", help="Copy the videos into the data set.")] = False
    licence: Annotated[str, typer.Option(help="Licence of the videos; the card names it.")] = ""
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "train"


def take_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of typer whose dataclass parameters come from the options that their fields describe.

    typer knows no groups: it reads a signature. This one has an option a field, and builds the dataclasses of them.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    own = [part.replace(annotation=hints[name]) for name, part in signature(command).parameters.items()]
    options = [part for part in own if part.name not in groups]
    for group in groups.values():
        kinds = get_type_hints(group, include_extras=True)
        options += [
            Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[field.name])
            for field in fields(group)
        ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        built = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **built)

    run.__signature__ = signature(command).replace(parameters=options)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in options}
    return run
