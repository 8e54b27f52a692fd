"""Names and words of others reach no terminal, agent or file raw: not UTF-8, escapes of terminals, breaks of lines."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from drawn_film import SAMPLE
from kframes_langchain import KFramesTool
from kframes_llama_index import KFramesReader

from kframes_plugin import Clip, KFrames, Selection
from kframes_plugin.agents.tool import VideoTool
from kframes_plugin.bulk.requests import Failure
from kframes_plugin.errors import KFramesError, VideoError
from kframes_plugin.text import printable, printable_json, printable_lines, quoted, shortened, table_row
from kframes_plugin.types import Note, Prediction

NAME = os.fsdecode(b"not-utf8-\xff\x1b[31m\nvideo\t1\r.mp4")
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
REASON = "\x1b]0;owned\x07a\nclip\t0\t9\tP1 \u202e\udcff"


def speak(frames: Any, query: str) -> Prediction:
    """A selector whose model was told to write escapes."""
    return Prediction([Clip(1.0, 2.0, "P1", REASON)], notes=[Note("selector", REASON)])


KF = KFrames(speak, frame_size=64)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / os.fsdecode(b"d\xfe\x1b[2J")
    folder.mkdir()
    shutil.copy(SAMPLE, folder / NAME)
    (folder / f"{NAME}.broken.mp4").write_bytes(b"nothing")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """A command line in this process."""
    from kframes_plugin import cli

    sys.argv, before = ["kframes", *map(str, arguments)], sys.argv
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return code, out, err


def is_safe(text: str) -> bool:
    text.encode()
    return RAW.search(text) is None


def test_what_is_written_and_what_comes_back() -> None:
    assert printable("a\x1b\n\tb\udcff") == r"a\u001b\u000a\u0009b\udcff"
    assert printable_lines("a\x1b\n\tb\r") == "a\\u001b\n\tb\\u000d"
    assert table_row("a\tb", 5, "c\nd") == "a\\u0009b\t5\tc\\u000ad"
    value = {"name": NAME, "reason": REASON}
    assert json.loads(printable_json(value)) == value
    assert is_safe(printable_json(value))
    assert shortened("data:video/mp4;base64," + "A" * 5000) == "data:video/mp4;base64,... (5,022 characters)"
    assert len(shortened("x" * 10**6)) < 1100
    assert len(quoted("x" * 10**6)) < 300
    assert str(VideoError(f"{NAME}: gone")) == f"{printable(NAME)}: gone"


def test_every_command_writes_names_as_escapes(
    odd: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video, broken = odd / NAME, odd / f"{NAME}.broken.mp4"
    out = tmp_path / os.fsdecode(b"out\xff\x1b[1m")
    commands: list[tuple[int, tuple[str | Path, ...]]] = [
        (0, ("select", video, "red \x1b[31m", "--model", "uniform", "--frame-size", "64", "--json", "--out", out)),
        (0, ("probe", video)),
        (0, ("probe", video, "--json")),
        (1, ("probe", broken)),
        (1, ("select", broken, "x", "--model", "uniform")),
        (0, ("index", odd)),
        (0, ("search", "a red ball", odd)),
        (0, ("search", "a red ball", odd, "--json")),
        (1, ("select-many", odd, "--query", "x", "--model", "uniform", "--out", out / "many")),
        (0, ("models",)),
        (1, ("select", video, "x", "--model", "/no/\x1b[31m\udcff")),
    ]
    for code, arguments in commands:
        found, printed, told = run(capsys, *arguments)
        assert found == code, (arguments, told)
        assert is_safe(printed), (arguments, printed)
        assert is_safe(told), (arguments, told)
        if "--json" in arguments:
            assert json.loads(printed)
    assert is_safe("".join(record.getMessage() for record in caplog.records))
    rows = (out / "many" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted("error" in json.loads(row) for row in rows) == [False, True]
    assert any(json.loads(row)["video"] == str(video) for row in rows)


def test_a_selection_of_an_odd_name_is_saved_loaded_and_shown(odd: Path, tmp_path: Path) -> None:
    selection = KF.select(odd / NAME, "x \udcff", 2)
    folder = selection.save(tmp_path / "out", report=True)
    assert Selection.load(folder) == selection
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "\udcff" not in page
    selection.to_html(tmp_path / "page.html")
    assert is_safe(repr(selection))
    assert is_safe(json.dumps(selection.to_openai("What?"), ensure_ascii=True))
    assert json.dumps(selection.to_dict())


def test_an_agent_sees_escapes_only(odd: Path) -> None:
    shown = VideoTool(KF, allowed_paths=[odd])(NAME, "x", 2)
    assert is_safe(shown.table)
    assert is_safe(json.dumps(shown.artifact, ensure_ascii=False))
    answer = KFramesTool(kframes=KF, allowed_paths=[odd]).invoke(
        {"name": "x", "args": {"video": "no\x1b[2J.mp4", "query": "x"}, "id": "1", "type": "tool_call"}
    )
    assert answer.status == "error"
    assert is_safe(str(answer.content))
    with pytest.raises(KFramesError) as caught:
        VideoTool(KF, allowed_paths=[odd])(f"{NAME}.broken.mp4", "x")
    assert is_safe(str(caught.value))


def test_documents_have_escapes_in_what_models_read(odd: Path, tmp_path: Path) -> None:
    documents = KFramesReader(KF, "x", k=2, out=tmp_path / "frames").load_data(odd / NAME)
    assert len(documents) == 2
    for document in documents:
        assert is_safe(document.text)
        assert is_safe(document.metadata["frame"])
        assert is_safe(document.metadata.get("reason", ""))


def test_failures_and_logs(odd: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="kframes"):
        found = list(KF.select_many([(odd / NAME, "x"), (odd / f"{NAME}.broken.mp4", "x"), (odd / NAME, "")], k=2))
    assert [isinstance(one, Failure) for one in found] == [False, True, True]
    assert all(is_safe(one.message) for one in found if isinstance(one, Failure))
    assert caplog.records
    assert all(is_safe(record.getMessage()) for record in caplog.records)


@pytest.mark.parametrize("model", ["uniform", "lite", "words", "nano"])
def test_halves_of_pairs_in_a_query_are_read_by_every_selector(model: str) -> None:
    kf = KFrames.from_pretrained(model, frame_size=64, candidates=16)
    selection = kf.select(SAMPLE, "a red ball \ud800 \x1b[2J", 2)
    assert len(selection.frames) == 2
    assert all(is_safe(note.text) for note in selection.notes)
    assert all(is_safe(clip.reason) for clip in selection.clips)
