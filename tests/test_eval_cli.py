"""The command ``kframes eval``: names, selectors of one's own, arguments that do not go together, tables as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from kframes_training.evaluation.cli import app
from kframes_training.evaluation.load import SelectorName, Setup, is_own, load_own, load_plan, parse_selectors
from test_eval_loop import videos, write_lines  # noqa: F401

OWN = """
from kframes_plugin import Clip

def select(frames, query):
    assert len(frames) == 8
    return [Clip(4.0, 6.0)]

class Selector:
    snap_to_cuts = False

    def __call__(self, frames, query):
        raise OSError("no luck")

number = 3
"""


@pytest.fixture
def data(tmp_path: Path, videos: Path) -> Path:  # noqa: F811
    rows = [{"video": str(videos / "a.mp4"), "query": "q", "spans": [[4, 6]]}]
    return write_lines(tmp_path / "mine.jsonl", rows)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "my_selector.py").write_text(OWN, encoding="utf-8")
    return tmp_path / "my_selector.py"


def test_names_of_selectors() -> None:
    assert parse_selectors(["uniform", " top-k ", "aks@faithful", "mine=some/model", "kframes"]) == [
        SelectorName("uniform", "uniform"),
        SelectorName("top-k", "top_k"),
        SelectorName("aks@faithful", "aks", None, True),
        SelectorName("mine", "kframes", "some/model"),
        SelectorName("kframes", "kframes"),
    ]
    for wrong in (["nothing"], ["kframes@faithful"], ["mine="], ["oracle@faithful"]):
        with pytest.raises(ValueError, match=r"no selector '.*'; known are kframes, uniform, scenes"):
            parse_selectors(wrong)
    for repeated in ([], ["aks", "aks"]):
        with pytest.raises(ValueError, match="at least one name, each once"):
            parse_selectors(repeated)


@pytest.mark.parametrize(
    ("source", "own"),
    [
        ("./my_selector.py:select", True),
        ("package.module:select", True),
        ("openclip:ViT", False),
        ("http://host/v1#m", False),
        ("Qwen/Qwen2.5-VL-3B-Instruct", False),
        ("some/folder", False),
    ],
)
def test_what_is_a_selector_of_ones_own(source: str, own: bool) -> None:
    assert is_own(source) == own


def test_errors_of_a_selector_of_ones_own_say_what_to_do(own: Path) -> None:
    for source, message in (
        (f"{own}:missing", "has no attribute 'missing'; name a function or an object"),
        (f"{own}:number", r"is a int; a selector is called as selector\(frames, query\)"),
        (f"{own.parent}/none.py:select", "there is no file .*none.py"),
        ("no_such_module:select", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
    ):
        with pytest.raises(ValueError, match=message):
            load_own(source)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = 0
    try:
        app(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, " ".join(printed.err.split())


def test_the_command_line(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys)
    assert (code, "the following arguments are required: --data, --out" in err) == (2, True)
    code, _, err = run(capsys, "--data", str(data), "--out", str(tmp_path / "r.json"), "--k", "4,x")
    assert (code, "must be whole numbers, comma-separated; got '4,x'" in err) == (2, True)
    code, _, err = run(capsys, "--data", str(data), "--out", str(tmp_path / "r.json"), "--selectors", "unifrom")
    assert (code, "no selector 'unifrom'; known are" in err) == (2, True)
    command = ["--data", str(data), "--out", str(tmp_path / "r.json"), "--k", "4", "--selectors", "uniform,oracle"]
    code, out, err = run(capsys, *command, "--tables", str(tmp_path / "tables"))
    assert code == 0, err
    assert "| oracle | 4 | 1.000" in out
    assert "2 made, 0 kept from before" in err
    _, out, err = run(capsys, *command, "--json")
    assert json.loads(out)["selectors"] == ["uniform", "oracle"]
    assert "0 made, 2 kept from before" in err

    assert (tmp_path / "tables" / "tables.md").is_file()
    [file] = (tmp_path / "tables").glob("??_all_1_items_any_frame_ends_on_cuts.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["selector"], row["k"]) for row in rows] == [("uniform", "4"), ("oracle", "4")]
    latex = file.with_suffix(".tex").read_text(encoding="utf-8")
    assert latex.startswith("% All (1 items): any frame, ends on cuts\n\\begin{tabular}{lrrrr}")
    assert "oracle & 4 & 1.000" in latex
    code, out, _ = run(capsys, "score", "--help")
    assert (code, "Score selections from any source" in out) == (0, True)
    code, out, _ = run(capsys, "--help")
    assert "NAME=FILE.py:FUNCTION" in out


def test_a_selector_of_ones_own_is_measured_beside_the_others(
    tmp_path: Path, data: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = f"mine={own}:select,luckless={own}:Selector,uniform"
    command = ["--data", str(data), "--selectors", names, "--k", "2", "--candidates", "8"]
    code, out, err = run(capsys, *command, "--out", str(tmp_path / "r.json"))
    assert code == 0, err
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    table = {
        (row["selector"], row["k"]): row for row in report["table"] if (row["pool"], row["group"]) == ("free", "all")
    }
    assert table["mine", None]["iou"][0] == 1.0
    assert table["luckless", None]["iou"][0] == 0.0
    assert "RAISED: luckless in 1 of 1 items, which count as 0: OSError: no luck (1 x)" in out
    assert report["settings"]["selectors"]["luckless"]["cuts"] is False
    assert report["settings"]["selectors"]["mine"]["cuts"] is True
    code, _, _ = run(
        capsys,
        "--data",
        str(data),
        "--selectors",
        f"luckless={own}:Selector",
        "--candidates",
        "8",
        "--out",
        str(tmp_path / "none.json"),
    )
    assert code == 1  # nothing but failures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "0"], "k must be whole numbers >= 1; got 0"),
        (["--selectors", "uniform,aks"], "aks read scores of frames: name a --scorer"),
        (["--selectors", "mdp3", "--scorer", "nano"], "mdp3 need features of the frames, which nano does not have"),
        (["--against", "aks"], "--against must be one of the selectors uniform; got 'aks'"),
        (["--selectors", "uniform,oracle"], "oracle needs true spans or points, and no item of mine.jsonl has any"),
        (["--videos", "nowhere"], "is there; the first was looked for at"),
        (["--scorer", "none.jsonl", "--selectors", "aks"], "there is no file of scores none.jsonl"),
        (["--scorer", "uniform", "--selectors", "aks"], "has one way to answer"),
        (["--stores", "nowhere"], "nowhere holds no rows.jsonl"),
        (["--shard", "3/2"], "a shard is i/n with 1 <= i <= n, such as 2/8; got '3/2'"),
    ],
)
def test_arguments_that_do_not_go_together(
    tmp_path: Path,
    videos: Path,  # noqa: F811
    options: Sequence[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_lines(tmp_path / "mine.jsonl", [{"video": "a.mp4", "query": "q"}])
    command = [
        "--data",
        str(data),
        "--out",
        str(tmp_path / "r.json"),
        "--videos",
        str(videos),
        "--selectors",
        "uniform",
    ]
    code, _, err = run(capsys, *command, *options)
    assert (code, message in err) == (2, True), err


def test_models_must_see_the_same_number_of_candidates(tmp_path: Path, own: Path) -> None:
    text = OWN + "\nclass Wide(Selector):\n    candidates = 32\n\nclass Narrow(Selector):\n    candidates = 16\n"
    own.write_text(text, encoding="utf-8")
    names = [f"wide={own}:Wide", f"narrow={own}:Narrow"]
    with pytest.raises(ValueError, match="the models ask for 32, 16: decide with --candidates"):
        load_plan(Setup(names, [4]))
    plan = load_plan(Setup([*names, "uniform"], [4], candidates=24))
    assert {one.settings["candidates"] for one in plan.selectors} == {24}


def test_data_without_truth_or_questions(
    tmp_path: Path,
    videos: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cost and conformance are still there."""
    rows: list[dict[str, Any]] = [{"video": "a.mp4", "query": "q"}, {"video": "b.mp4", "query": "q"}]
    data = write_lines(tmp_path / "mine.jsonl", rows)
    command = [
        "--data",
        str(data),
        "--videos",
        str(videos),
        "--selectors",
        "scenes,uniform",
        "--k",
        "3",
        "--limit",
        "1",
    ]
    code, out, _ = run(capsys, *command, "--out", str(tmp_path / "r.json"))
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert code == 0
    assert report["table"] == []
    assert [one["exactly_k"] for one in report["conformance"]] == [1.0] * 4
    assert "| scenes |" in out
    assert report["data"]["items"] == 1
