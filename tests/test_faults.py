"""Real faults of disks, beside those of test_selection_folder.py: nothing half-written is taken for whole.

A tmpfs of 256 kB is filled, then made read-only; where none can be mounted these tests are skipped, and a limit on the
size of files (RLIMIT_FSIZE) stands in.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from colour_films import Colours, make_film
from kframes_training.evaluation.store import ArrayStore, Store
from PIL import Image
from test_selection_folder import make_selection

from kframes_plugin import Clip, Frame, KFrames, KFramesError
from kframes_plugin.bulk.requests import Request
from kframes_plugin.bulk.store import ResultFolder
from kframes_plugin.output.documents import keyframe_documents
from kframes_plugin.output.whole import write_whole
from kframes_plugin.words.speech import Speech


class Disk:
    """A small disk that can be filled, freed and made read-only."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.filler = place / "filler"

    def fill(self) -> None:
        with self.filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def free(self) -> None:
        self.filler.unlink()

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True, capture_output=True)

    def files(self) -> set[str]:
        return {path.name for path in self.place.rglob("*") if path.is_file()} - {"filler"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs to mount a small tmpfs")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield Disk(place)
    subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def request() -> Request:
    return Request("film.mp4", "a cup", 3)


def test_a_row_of_a_bulk_run_is_whole_or_absent(disk: Disk) -> None:
    results = ResultFolder(disk.place / "out", {"model": "x"})
    results.begin_table([])
    disk.fill()
    with pytest.raises(KFramesError, match=r"cannot be written \(No space left on device\)"):
        results.save(request(), make_selection(3))
    assert results.read(request()) is None
    assert disk.files() == {"results.jsonl"}, "no draft is left"
    disk.free()
    row = results.save(request(), make_selection(3))
    assert results.read(request()) == row
    disk.make_read_only()
    assert results.save(request(), make_selection(2)) == row, "of two that write the same, the first stays"
    with pytest.raises(KFramesError, match="Read-only file system"):
        results.append(row)
    with pytest.raises(KFramesError, match="Read-only file system"):
        results.begin_table([row])


def test_pictures_of_documents_are_whole_or_absent(disk: Disk) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    frames = [Frame(float(n), 1.0, Image.fromarray(noise)) for n in range(9)]
    selection = KFrames(lambda frames, query: [Clip(0, 9)], candidates=2).select(frames, "q", 9)
    with pytest.raises(KFramesError, match="No space left on device"):
        keyframe_documents(selection, disk.place)
    for path in disk.place.iterdir():
        Image.open(path).load()  # raises where it is cut off
    disk.make_read_only()
    with pytest.raises(KFramesError, match="Read-only file system"):
        keyframe_documents(selection, disk.place / "new")


def test_an_index_on_a_full_disk_is_made_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    kf, film, index = KFrames(Colours()), make_film(tmp_path / "film.mp4", ("red", 4), ("blue", 4)), disk.place
    disk.fill()
    with pytest.raises(KFramesError, match=r"index.*(full|cannot|disk)"):
        kf.search([film], "blue", 1, index=index)
    disk.free()
    first = kf.search([film], "blue", 1, index=index)
    assert first.searched == 1
    assert kf.selector.embedded > 0
    disk.make_read_only()
    again = KFrames(Colours())
    assert again.search([film], "blue", 1, index=index)[0].clips == first[0].clips, "what is whole is read"
    assert again.selector.embedded == 0
    with pytest.raises(KFramesError, match=r"index.*(read-?only|cannot)"):
        kf.search([make_film(tmp_path / "new.mp4", ("red", 4))], "blue", 1, index=index)


def test_rows_of_an_evaluation_are_whole_or_absent(disk: Disk) -> None:
    store = Store(disk.place / "rows")
    store.add([{"key": "a", "value": 1}])
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        store.add([{"key": "b", "value": "x" * 8192}])
    with pytest.raises(OSError, match="No space left"):
        ArrayStore(disk.place / "rows" / "arrays").add("c", {"scores": np.zeros(9999)})
    with suppress(OSError):
        store.close()
    disk.free()
    again = Store(disk.place / "rows")
    assert again.get("a") == {"key": "a", "value": 1}
    assert (again.get("b"), again.arrays.get("c")) == (None, None)
    again.add([{"key": "b", "value": 2}])
    again.close()
    with closing(Store(disk.place / "rows")) as last:
        assert last.get("b") == {"key": "b", "value": 2}


def test_a_report_is_whole_or_the_earlier_one(disk: Disk) -> None:
    report = disk.place / "r.json"
    write_whole(report, json.dumps({"run": 1}))
    disk.fill()
    with pytest.raises(KFramesError, match=r"r\.json: cannot be written \(No space left on device\)"):
        write_whole(report, json.dumps({"run": "2" * 9999}))
    assert json.loads(report.read_text()) == {"run": 1}
    assert disk.files() == {"r.json"}


def test_speech_that_cannot_be_kept_is_told_and_used(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    talk = disk.place / "talk.mp4"
    sound(talk)
    heard = list[str]()

    def transcribe(path: str, language: str | None) -> Any:
        heard.append(path)
        return [SimpleNamespace(start=0.0, end=1.0, text="hello")], SimpleNamespace(duration=1.0)

    speech = Speech(keep=True, transcribe=transcribe)
    disk.fill()
    assert speech(str(talk)) == [(0.0, 1.0, "hello")]
    assert "talk.mp4.speech.json: cannot be written (No space left on device)" in caplog.text
    disk.free()
    for _ in range(2):
        assert speech(str(talk)) == [(0.0, 1.0, "hello")]
    assert len(heard) == 2, "the third call reads what the second kept"
    assert disk.files() == {"talk.mp4", "talk.mp4.speech.json"}


def sound(path: Path) -> None:
    """A file with a second of silence."""
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        for number in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 1024 * number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


LIMITED = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
from kframes_plugin import KFramesError
from test_selection_folder import make_selection
from kframes_plugin.bulk.requests import Request
from kframes_plugin.bulk.store import ResultFolder
for write in (lambda: make_selection(3).save({folder!r}),
              lambda: ResultFolder({folder!r}, {{}}).save(Request("film.mp4", "a cup", 3), make_selection(3))):
    try:
        write()
    except KFramesError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_files_that_may_not_grow_are_not_taken_for_whole(tmp_path: Path) -> None:
    code = LIMITED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cannot be written (File too large)") == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


SAVE_ROWS = """
import sys
sys.path.insert(0, {tests!r})
from test_selection_folder import make_selection
from kframes_plugin.bulk.requests import Request
from kframes_plugin.bulk.store import ResultFolder
results = ResultFolder({folder!r}, {{"who": {who!r}}} if {own} else {{}})
for number in range(10_000):
    results.save(Request("film.mp4", f"query {{number}}", 4), make_selection(4, query=f"query {{number}}"))
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("own", [True, False])
def test_killed_writers_of_a_bulk_run_leave_whole_rows(tmp_path: Path, own: bool) -> None:
    """Two at once, each with rows of its own or both with the same ones, both killed; what has a row is whole."""
    from kframes_plugin import Selection

    code = SAVE_ROWS.format(tests=str(Path(__file__).parent), folder=str(tmp_path), who="{who}", own=own)
    writers = [
        subprocess.Popen([sys.executable, "-c", code.replace("{who}", who)], stdout=subprocess.PIPE, text=True)
        for who in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(8):
            writer.stdout.readline()
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        writer.communicate()
    rows = [json.loads(path.read_text()) for path in tmp_path.glob("[!.]*/row.json")]
    assert len(rows) >= 8
    assert all(Selection.load(tmp_path / row["folder"]).query == row["query"] for row in rows)
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {row["id"] for row in rows}
