"""A saved selection is whole or absent, and a loaded one is data: faults of the disk, kills, hostile files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kframes_plugin import Clip, Cost, Frame, KFramesError, Selection, VideoError
from kframes_plugin.text import printable, printable_lines
from kframes_plugin.types import Note


def make_selection(count: int = 3, *, video: str = "film.mp4", query: str = "a cup") -> Selection:
    frames = tuple(Frame(float(n), 1.0, Image.new("RGB", (64, 48), (n * 5 % 256, 90, 20))) for n in range(count))
    clips = (Clip(1.0, 2.5, "P1", "looks like: cup", 0.5),)
    return Selection(video, query, count, "focused", clips, frames, Cost(), (Note("x", "y"),), float(count))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- writing


def test_an_earlier_selection_is_replaced_whole_and_other_files_stay(tmp_path: Path) -> None:
    make_selection(9).save(tmp_path, report=True)
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    (tmp_path / "frame_of_mine.jpg").write_bytes(b"keep")
    make_selection(2).save(tmp_path)
    pictures = {name for name in files(tmp_path) if name.startswith("frame_0")}
    assert len(pictures) == 2
    assert files(tmp_path) == pictures | {"selection.json", "mine.txt", "frame_of_mine.jpg"}
    assert len(Selection.load(tmp_path).frames) == 2


SAVE_FOREVER = """
import sys
sys.path.insert(0, {tests!r})
from test_selection_folder import make_selection
number = 0
while True:
    number += 1
    selection = make_selection(20 + number % 7, query=f"query {{number}}")
    selection.save({folder!r})
    print(number, flush=True)
"""


def test_killed_in_the_middle_of_saving_nothing_half_is_taken_for_whole(tmp_path: Path) -> None:
    code = SAVE_FOREVER.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "out"))
    whole = absent = 0
    for attempt in range(6):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.02 + 0.013 * attempt)
        writer.kill()
        writer.communicate()
        if (tmp_path / "out" / "selection.json").exists():
            loaded = Selection.load(tmp_path / "out")
            assert len(loaded.frames) == 20 + int(loaded.query.split()[1]) % 7
            whole += 1
        else:
            absent += 1
    assert whole + absent == 6
    make_selection(2).save(tmp_path / "out")
    assert len(files(tmp_path / "out")) == 3, "drafts of killed writers are gone"


def test_two_writers_leave_one_whole_selection(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: make_selection(5 + n % 4, query=f"q{n}").save(tmp_path), range(24)))
    loaded = Selection.load(tmp_path)
    assert len(loaded.frames) == 5 + int(loaded.query[1:]) % 4
    assert len(files(tmp_path)) == len(loaded.frames) + 1


@pytest.mark.parametrize("place", ["file/in/the/way", "file"])
def test_a_file_in_the_way_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(KFramesError, match="cannot be written"):
        make_selection().save(tmp_path / place)
    with pytest.raises(KFramesError, match="cannot be written"):
        make_selection().to_html(tmp_path / "file" / "report.html")


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="needs to mount a small tmpfs")
def test_a_full_disk_keeps_the_earlier_selection(tmp_path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        make_selection(3).save(tmp_path)
        with pytest.raises(KFramesError, match=r"cannot be written \(No space left on device\)"):
            make_selection(900).save(tmp_path)
        assert len(Selection.load(tmp_path).frames) == 3
        assert len(files(tmp_path)) == 4
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True, capture_output=True)
        with pytest.raises(KFramesError, match="Read-only file system"):
            make_selection(2).save(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=False, capture_output=True)


def test_names_that_are_not_utf8_are_saved_and_come_back(tmp_path: Path) -> None:
    selection = make_selection(video="bad \udcff name\x1b[31m.mp4", query="a \ud800 b")
    loaded = Selection.load(selection.save(tmp_path, report=True))
    assert (loaded.video, loaded.query) == (selection.video, selection.query)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "\\udcff" in page


# ---- reading


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "selection.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    edit(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")


def set_at(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(plain: Any) -> None:
        for step in path[:-1]:
            plain = plain[step]
        plain[path[-1]] = value

    return edit


WRONG = [
    (("video",), 7),
    (("video",), "x" * 200_000),
    (("query",), None),
    (("k",), 0),
    (("k",), True),
    (("k",), 1.5),
    (("strategy",), "greedy"),
    (("duration",), float("inf")),
    (("duration",), "9"),
    (("clips",), {}),
    (("clips", 0, "priority"), "P9"),
    (("clips", 0, "priority"), ["P1"]),
    (("clips", 0, "score"), 7),
    (("clips", 0, "start"), float("nan")),
    (("clips", 0, "reason"), {"a": 1}),
    (("clips", 0, "surprise"), 1),
    (("frames", 0, "timestamp"), -1),
    (("frames", 0, "timestamp"), "0"),
    (("frames", 0, "file"), "../secret.jpg"),
    (("frames", 0, "file"), "/etc/passwd"),
    (("frames", 0, "file"), "link.jpg"),
    (("frames", 0, "file"), "selection.json"),
    (("frames", 0, "file"), 3),
    (("notes", 0), "plain"),
    (("cost", "model_calls"), -4),
    (("cost", "seconds"), {"x": "y"}),
    (("cost", "peak_memory_mb"), "much"),
    (("scenes",), [[1]]),
    (("scenes",), "ab"),
    (("candidates",), [None]),
    (("transcript",), [{"start": 1, "end": 0, "text": 5}]),
    (("selector",), "nano"),
    (("sampling", "strategy"), 4),
    (("sampling", "frame_size"), 10**9),
    (("sampling", "frame_size"), [10, -1]),
    (("sampling", "allocation", "decay"), 5),
    (("sampling", "allocation", "p1_weight"), "1"),
    (("sampling", "within"), [[0, float("inf")]]),
    (("sampling", "surprise"), 1),
    (("surprise",), 1),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=lambda part: str(part)[:40])
def test_a_field_that_cannot_be_is_refused(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    folder = make_selection().save(tmp_path / "out")
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert Selection.load(folder).k == 3
    change(folder, set_at(*path, value=value))
    with pytest.raises(KFramesError, match="no selection can be read here"):
        Selection.load(folder)


NO_OBJECTS = ("[" * 100_000, '{"schema": ' + "[" * 100_000, "", "7", "[]", "\x00", "{}", '"x"', "{")


@pytest.mark.parametrize("text", NO_OBJECTS, ids=lambda text: text[:12])
def test_what_is_no_object_of_json_is_refused(tmp_path: Path, text: str) -> None:
    folder = make_selection().save(tmp_path)
    (folder / "selection.json").write_text(text, encoding="utf-8")
    with pytest.raises(KFramesError):
        Selection.load(folder)


def test_a_picture_that_is_no_jpeg_or_far_too_large_is_refused(tmp_path: Path) -> None:
    folder = make_selection().save(tmp_path)
    picture = next(folder.glob("frame_*.jpg"))
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    with pytest.raises(KFramesError, match="no selection can be read here"):
        Selection.load(folder)
    Image.new("L", (8, 8)).save(picture, "JPEG")
    data = bytearray(picture.read_bytes())
    sizes = data.index(b"\xff\xc0") + 5  # of the frame's header: height and width
    data[sizes : sizes + 4] = b"\xfd\xe8\xfd\xe8"
    picture.write_bytes(data)
    with pytest.raises(KFramesError, match="no selection can be read here"):
        Selection.load(folder)


def test_a_file_cannot_allow_what_the_user_did_not(tmp_path: Path) -> None:
    folder = make_selection(video="http://127.0.0.1:1/film.mp4").save(tmp_path)
    options = {"allow_urls": True, "max_pixels": 10**12, "decoder": "pyav"}
    change(folder, set_at("sampling", "video_options", value=options))
    loaded = Selection.load(folder)
    assert loaded.sampling.video_options == {"decoder": "pyav"}
    with pytest.raises(VideoError, match="is a URL, not a local file"):
        loaded.resample(2)


def test_a_page_of_a_loaded_selection_holds_no_live_text(tmp_path: Path) -> None:
    folder = make_selection().save(tmp_path / "in")
    evil = "</svg><script>alert(1)</script>\x1b[2J"
    for path in (("video",), ("query",), ("clips", 0, "reason"), ("notes", 0, "text"), ("selector", "name")):
        change(folder, set_at(*path, value=evil))
    change(folder, set_at("cost", "seconds", value={evil: 1.0}))
    page = Selection.load(folder).to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<script") == 3, "our own"
    assert "alert(1)</script>" not in page
    assert "</svg><" not in page
    assert "\x1b" not in page


# ---- text of others


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain été 视频 👍", "plain été 视频 👍"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("a\nb\rc\td", "a\\u000ab\\u000dc\\u0009d"),
        ("\x9b31m \x7f", "\\u009b31m \\u007f"),
        ("bad \udcff", "bad \\udcff"),
        ("\u202egpj.exe \u2028", "\\u202egpj.exe \\u2028"),
    ],
)
def test_what_steers_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable_lines(f"{text}") == "\n".join("\t".join(map(printable, x.split("\t"))) for x in text.split("\n"))
