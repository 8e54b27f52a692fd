"""The command line as people use it: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import drawn_film
import pytest

from kframes_plugin import Selection, __version__

SAMPLE = str(drawn_film.SAMPLE)


def kframes(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, encoding="utf-8")


def test_select_writes_frames_and_a_report(tmp_path):
    out = tmp_path / "out"
    done = kframes("select", SAMPLE, "a green cross", "-k", "8", "--model", "scenes", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("frame\t") for line in done.stdout.splitlines()) == 8
    assert len(list(out.glob("frame_*.jpg"))) == 8
    assert {"selection.json", "report.html", "timeline.png", "contact_sheet.png"} <= {p.name for p in out.iterdir()}
    assert len(Selection.load(out).frames) == 8


def test_json_is_all_of_stdout():
    done = kframes(
        *("select", SAMPLE, "a green cross", "-k", "3", "--json", "--model", "scenes"),
        *("--candidates", "16", "--strategy", "uniform"),
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads(done.stdout)
    assert len(plain["frames"]) == 3
    assert plain["strategy"] == "uniform"
    assert len(plain["candidates"]) == 16


def test_probe_tells_the_truth():
    done = kframes("probe", SAMPLE, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == 981
    assert found["duration"] == pytest.approx(122.625)
    assert (found["width"], found["height"], found["codec"]) == (320, 240, "h264")
    assert "981" in kframes("probe", SAMPLE).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("select", "missing.mp4", "q"), 1, "missing.mp4"),
        (("probe", "missing.mp4"), 1, "missing.mp4"),
        (("select", SAMPLE, "q", "--model", "openclip:NoSuchNet/none"), 1, "NoSuchNet"),
        (("select", SAMPLE, " "), 2, "must not be empty"),
        (("select", SAMPLE, "q", "-k", "0"), 2, "-k"),
        (("select", SAMPLE, "q", "--strategy", "dense"), 2, "dense"),
        (("select", SAMPLE, "q", "--prediction", "dense"), 2, "dense"),
        (("select", SAMPLE, "q", "--model", "scenes", "--prediction", "scores"), 2, "has one way to answer"),
        (("select", SAMPLE), 2, "query"),
    ],
)
def test_exit_codes(arguments, code, message):
    done = kframes(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_version():
    assert kframes("--version").stdout.strip() == f"kframes {__version__}"
