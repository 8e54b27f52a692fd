"""Notes: every code of the source stands in the one table, and what notes say in words changes nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_film import SAMPLE
from kframes_training.stages.rewards import MENDED, format_reward

from kframes_plugin import Clip, Frame, KFrames, OpenVideo, Selection, VideoError
from kframes_plugin.types import NOTE_CODES, Note, Prediction

ROOT = Path(__file__).parents[1]
MAKERS = {"Note": 0, "_note": 0, "repaired": 1}  # callables that make a note: place of the code in their arguments


def sources() -> Iterator[ast.Module]:
    for room in ("kframes_plugin", "integrations"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def literals(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def codes_made() -> set[str]:
    """Codes written where a note is made."""
    found = set()
    for call in (node for module in sources() for node in ast.walk(module) if isinstance(node, ast.Call)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        code = call.args[MAKERS[name]] if name in MAKERS and len(call.args) > MAKERS[name] else None
        if isinstance(code, ast.Constant):
            found.add(code.value)
    return found


def test_every_code_that_is_made_stands_in_the_table():
    made = codes_made()
    assert len(made) > 10
    assert made <= set(NOTE_CODES)


def test_every_code_of_the_table_is_made_somewhere():
    written: dict[str, int] = {}
    for module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and node.value in NOTE_CODES:
                written[node.value] = written.get(node.value, 0) + 1
    assert {code for code in NOTE_CODES if written.get(code, 0) < 2} == set()  # once in the table, once in use


def test_a_note_reads_as_its_text():
    note = Note("no-clip", "no clip was found")
    assert (str(note), f"{note}") == ("no clip was found", "no clip was found")
    assert Prediction(notes=["said by a function of yours", note]).notes == (
        Note("selector", "said by a function of yours"),
        note,
    )


class Noting:
    """A selector that says every code there is, in given words."""

    candidates = 16

    def __init__(self, words: str, clips: Sequence[Clip]) -> None:
        self.words, self.clips = words, clips

    def __call__(self, frames: Sequence[Frame], query: str) -> Prediction:
        return Prediction(self.clips, notes=[Note(code, f"{self.words} {code}") for code in NOTE_CODES])


@pytest.mark.parametrize(
    "words", ["no clip", "the video has only", "damaged:", "the model found nothing", "answer:", ""]
)
@pytest.mark.parametrize("clips", [[], [Clip(10, 11)]], ids=["no-clip", "clip"])
def test_other_words_change_neither_frames_nor_codes(words: str, clips: list[Clip]):
    one, other = (KFrames(Noting(said, clips)).select(SAMPLE, "a cross", 12) for said in ("as it was", words))
    assert one == other
    for first, second in (
        (one, other),
        (one.resample(3), other.resample(3)),
        (one.resample(1000), other.resample(1000)),
    ):
        assert first == second
        assert [note.code for note in first.notes] == [note.code for note in second.notes]


def test_resample_replaces_the_notes_of_one_k_whatever_they_say():
    first = KFrames(lambda frames, query: [Clip(10, 11)], candidates=16).select(SAMPLE, "q", 12, strategy="focused")
    assert [note.code for note in first.notes] == ["clips-full"]
    reworded = replace(first, notes=tuple(Note(note.code, "otherwise said") for note in first.notes))
    assert reworded.resample(4).notes == ()
    assert reworded.resample(1000).notes == first.resample(1000).notes


def test_codes_and_texts_are_saved(tmp_path: Path):
    selection = KFrames(Noting("said", [])).select(SAMPLE, "q", 2)
    assert Selection.load(selection.save(tmp_path)).notes == selection.notes
    assert selection.to_dict()["notes"][0] == {"code": selection.notes[0].code, "text": selection.notes[0].text}


def test_the_reward_goes_by_codes_of_the_table():
    assert set(MENDED) <= set(NOTE_CODES)
    clean = '[{"start": 1, "end": 2, "priority": "P1", "reason": "r"}]'
    texts = (clean, "[]", "```json\n" + clean + "\n```", "nothing at all")
    assert [format_reward(text, 9.0) for text in texts] == [1.0, 1.0, 0.5, 0.0]


FLOWS = """
import json, logging, sys
from kframes_plugin import KFrames, OpenVideo, VideoError
from kframes_training.stages.rewards import format_reward

logging.disable()
sample, damaged, answers, queries = json.loads(sys.argv[1])


def tell(selection):
    codes = [note.code for note in selection.notes]
    return [selection.strategy, selection.timestamps, [[c.start, c.end, c.priority] for c in selection.clips], codes]


told = [[answer, format_reward(answer, 60.0)] for answer in answers]
with KFrames.from_pretrained("nano", device="cpu").open(sample) as video:
    for query in queries:
        selection = video.select(query, 4)
        told += [tell(selection), tell(selection.resample(1000)), tell(video.select(query, 4, within=[(1, 1.5)]))]
told.append(tell(KFrames.from_pretrained("scenes").select(damaged, "q", 9)))
print(json.dumps(told))
"""
ANSWERS = ["[]", "nothing", '[{"start":1,"end":2,"priority":"P1","reason":"r"}]', '[{"start":9,"end":2}]', "[[1, 2]]"]


def run_flows(package: Path, damaged: Path) -> list[Any]:
    """What the flows give with the package that lies in a folder."""
    given = json.dumps([str(SAMPLE), str(damaged), ANSWERS, ["find the pink circle", "a blue star", "an elephant"]])
    paths = os.pathsep.join([str(package), str(ROOT / "training"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", FLOWS, given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    told: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_package_whose_notes_all_read_backwards_does_the_same(tmp_path: Path):
    """Every flow that makes notes, run by a copy of the package in which no note says what it says today."""
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(SAMPLE.read_bytes()[: SAMPLE.stat().st_size // 2])
    damaged = cut if _opens(cut) else SAMPLE
    copy = tmp_path / "kframes_plugin"
    shutil.copytree(ROOT / "kframes_plugin", copy, ignore=shutil.ignore_patterns("__pycache__"))
    types = copy / "types.py"
    text = types.read_text(encoding="utf-8")
    before = "    def __str__(self) -> str:\n        return self.text\n"
    assert before in text
    backwards = '    def __post_init__(self) -> None:\n        object.__setattr__(self, "text", self.text[::-1])\n\n'
    types.write_text(text.replace(before, backwards + before), encoding="utf-8")
    assert run_flows(tmp_path, damaged) == run_flows(ROOT, damaged)


def _opens(path: Path) -> bool:
    try:
        OpenVideo(path).close()
    except VideoError:
        return False
    return True
