"""All items, all selectors, all k: what is missing is found, and kept at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Clip, Cost, Frame
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.baselines.oracle import oracle
from kframes_training.evaluation.data import Item
from kframes_training.evaluation.run.answerers import Answerer
from kframes_training.evaluation.run.look import Look
from kframes_training.evaluation.run.scorers import Scored, Scorer
from kframes_training.evaluation.run.selectors import BaselineContestant, Contestant
from kframes_training.evaluation.run.store import Row, Store, key_of

ANSWER_SIZE = 448  # long side of the frames that an answerer sees, pixels


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        items: whose videos are there.
        contestants: the selectors.
        ks: budgets, rising.
        scorer: of the selectors over scores, or None.
        answerer: or None.
        answer_size: long side of the frames the answerer sees, pixels.
    """

    items: Sequence[Item]
    contestants: Sequence[Contestant]
    ks: Sequence[int]
    scorer: Scorer | None = None
    answerer: Answerer | None = None
    answer_size: int = ANSWER_SIZE


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        rows: one an (item, selector, k): "item", "selector", "k", "frames", "duration", "clips", "right", "chances".
        costs: selector -> the cost of each of its queries; answers: selector, k -> of each answer.
        notes: selector -> note -> how often.
        failed: videos that could not be read, with the reason.
        reused: selections and answers that were there already.
        made: selections and answers made in this run.
    """

    rows: list[Row]
    costs: dict[str, list[Cost]]
    answers: dict[tuple[str, int], list[Cost]]
    notes: dict[str, dict[str, int]]
    failed: dict[str, str]
    reused: int
    made: int


class Loop:
    """One run. Not to be used twice."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.out = Outcome([], {}, {}, {}, {}, 0, 0)
        self.made = self.reused = 0

    def run(self, *, progress: bool = True) -> Outcome:
        """Measure everything that the store does not have.

        Raises:
            SelectorError: a model cannot answer; what was found stays, and the run can be started again.
        """
        bar = tqdm(
            total=len(self.plan.items),
            desc="questions",
            unit="question",
            file=sys.stderr,
            disable=None if progress else True,
        )
        with bar:
            for video, items in by_video(self.plan.items):
                try:
                    self._video(video, items, bar)
                except VideoError as error:
                    self.out.failed[str(video)] = str(error)
        lost = set(self.out.failed)
        rows = [row for row in self.out.rows if row["path"] not in lost]  # a video that broke on the way counts nowhere
        return replace(self.out, rows=rows, reused=self.reused, made=self.made)

    def _video(self, path: Path, items: Sequence[Item], bar: Any) -> None:
        opened: list[Look] = []  # at most one, when something is missing

        def look() -> Look:
            if not opened:
                opened.append(Look(OpenVideo(path)))
            return opened[0]

        identity = [path.name, path.stat().st_size]
        try:
            for item in items:
                found = {one.name: self._selection(one, item, identity, look) for one in self.plan.contestants}
                self._answered(item, identity, found, look)
                bar.update()
        finally:
            for one in opened:
                one.video.close()

    def _selection(self, one: Contestant, item: Item, identity: list[Any], look: Any) -> Row:
        """The frames of a selector for every k, from the store or made now."""
        truth = [item.scenes, item.points] if _sees_truth(one) else None
        key = key_of("selection", identity, item.query, one.settings, truth, item.id if one.scores else None)
        row = self.store.get(key)
        missing = [k for k in self.plan.ks if row is None or str(k) not in row["frames"]]
        if row is not None and not missing:
            self.reused += 1
            return row
        scored = self._scored(item, identity, look()) if one.scores else None
        found = one.find(look(), item, self.plan.ks if row is None else missing, scored)
        self.made += 1
        made = found.to_row() | {"duration": look().video.duration, "selector": one.name, "item": item.id}
        if row is not None:  # other budgets of what was found before: the first cost stands
            made |= {"frames": {**row["frames"], **made["frames"]}, "cost": row["cost"]}
        return self.store.add(key, made)

    def _scored(self, item: Item, identity: list[Any], look: Look) -> Scored:
        """The scores of an item, shared by all selectors over scores."""
        scorer = self.plan.scorer
        assert scorer is not None
        key = key_of("scores", identity, item.query, item.id, scorer.settings)
        kept = self.store.arrays(key)
        if kept is None:
            scored = scorer(look, item)
            arrays = {"times": scored.times, "scores": scored.scores}
            arrays |= {name: value for name in ("features", "query") if (value := getattr(scored, name)) is not None}
            self.store.add_arrays(key, arrays | _as_arrays(scored.cost))
            return scored
        seconds = dict(zip(kept["steps"].tolist(), kept["seconds"].tolist(), strict=True))
        counts = dict(zip(("frames_decoded", "candidates", "model_calls"), map(int, kept["counts"]), strict=True))
        return Scored(
            kept["times"], kept["scores"], kept.get("features"), kept.get("query"), Cost(**counts, seconds=seconds)
        )

    def _answered(self, item: Item, identity: list[Any], found: Mapping[str, Row], look: Any) -> None:
        """One row an (item, selector, k), with its answer where there is one to give; frames are decoded once for all."""
        answerer = self.plan.answerer if item.options and item.answer is not None else None
        keys: dict[tuple[str, int], str] = {}
        if answerer is not None:
            for name, row in found.items():
                for k in self.plan.ks:
                    times, clips = (
                        row["frames"][str(k)],
                        row["clips"] if answerer.settings.get("style") == "clips" else (),
                    )
                    asked = [item.question, item.options, item.subtitles, times, clips, self.plan.answer_size]
                    keys[name, k] = key_of("answer", identity, asked, answerer.settings)
            self._answer(item, found, keys, answerer, look)
        for name, row in found.items():
            self._note(name, row)
            for k in self.plan.ks:
                said = self.store.get(keys[name, k]) if (name, k) in keys else None
                self._row(item, name, k, row, said)

    def _answer(
        self, item: Item, found: Mapping[str, Row], keys: Mapping[tuple[str, int], str], answerer: Answerer, look: Any
    ) -> None:
        missing = {key: (name, k) for (name, k), key in keys.items() if self.store.get(key) is None}
        self.reused += len(set(keys.values())) - len(missing)
        times = sorted({time for name, k in missing.values() for time in found[name]["frames"][str(k)]})
        seen: dict[float, Frame] = {}
        if times:
            seen = dict(zip(times, look().video.frames_at(times, size=self.plan.answer_size), strict=True))
        for key, (name, k) in missing.items():
            row = found[name]
            frames = [seen[time] for time in sorted(set(row["frames"][str(k)]))]
            if not frames:  # a faithful selector that chose nothing has no answer, and counts as wrong
                self.store.add(key, {"choice": None, "text": "", "chances": [], "cost": asdict(Cost())})
                continue
            clips = [Clip(**clip) for clip in row["clips"]]
            said = answerer(item, frames, clips, row["duration"])
            self.made += 1
            self.store.add(
                key,
                {"choice": said.choice, "text": said.text, "chances": list(said.chances), "cost": asdict(said.cost)},
            )

    def _row(self, item: Item, name: str, k: int, row: Row, said: Row | None) -> None:
        one: Row = {"item": item, "path": str(item.video), "selector": name, "k": k, "frames": row["frames"][str(k)]}
        one |= {"duration": row["duration"], "clips": row["clips"]}
        if said is not None:
            one |= {"right": int(said["choice"] == item.answer), "choice": said["choice"], "chances": said["chances"]}
            self.out.answers.setdefault((name, k), []).append(Cost(**said["cost"]))
        self.out.rows.append(one)

    def _note(self, name: str, row: Row) -> None:
        self.out.costs.setdefault(name, []).append(Cost(**row["cost"]))
        notes = self.out.notes.setdefault(name, {})
        for note in row["notes"]:
            notes[note] = notes.get(note, 0) + 1


def by_video(items: Iterable[Item]) -> list[tuple[Path, list[Item]]]:
    """Items grouped by their video, both in the order of the file."""
    found: dict[Path, list[Item]] = {}
    for item in items:
        found.setdefault(item.video, []).append(item)
    return list(found.items())


def _sees_truth(one: Contestant) -> bool:
    return isinstance(one, BaselineContestant) and one.method is oracle


def _as_arrays(cost: Cost) -> dict[str, Any]:
    counts = [cost.frames_decoded, cost.candidates, cost.model_calls]
    return {
        "counts": np.array(counts),
        "steps": np.array(list(cost.seconds)),
        "seconds": np.array(list(cost.seconds.values())),
    }
