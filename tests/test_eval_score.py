"""``kframes eval score``: files as other people write them, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_film import SAMPLE
from kframes_training.evaluation import scoring
from kframes_training.evaluation.selection_files import key_of, read_selections
from kframes_training.evaluation.truth_files import clock, read_truth

from kframes_plugin import Clip, KFrames

TRUTH = [
    {"video": "a.mp4", "query": "q", "spans": [[10, 20], [40, 50]], "duration": 100, "fps": 2},
    {"video": "b.mp4", "query": "q", "spans": [[0, 5]], "duration": 1000, "fps": 2},
    {"video": "b.mp4", "query": "nothing", "spans": [], "duration": 1000, "fps": 2},
]


def lines(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kframes(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "eval", "score"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, encoding="utf-8"
    )


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return lines(tmp_path / "truth.jsonl", TRUTH)


def summed(selections: Path, truth: Path, **more) -> dict:
    pairs, _ = scoring.matched(read_selections(selections), read_truth(truth), **more)
    return {row["group"]: row for row in scoring.summary(scoring.scored(pairs))}


def test_aks_lists_of_frame_numbers(tmp_path, truth):
    """AKS's selected_frames.json: one list a question, in the order of the data set. 22 / 2 = 11 s and so on."""
    aks = tmp_path / "selected_frames.json"
    aks.write_text(json.dumps([[22, 24, 90, 150], [2, 100, 300, 900], [3]]))
    done = kframes(aks, "--truth", truth)
    assert done.returncode == 0, done.stderr
    assert "| selections |  | all | 2 | 4.0 | 0.0 | .500" in done.stdout  # KFR 3/4 and 1/4
    assert "left out: 1 of the queries" in done.stderr
    groups = summed(aks, truth)
    assert groups["1 span"]["kfr"][0] == 0.25
    assert groups["2 spans"]["kfr"][0] == 0.75
    assert groups["2 spans"]["shr"][0] == 1
    assert set(groups) == {"all", "1 span", "2 spans", "< 3 min", "> 15 min"}


def test_kfs_bench_files(tmp_path):
    """Its CSV and its results: ids, h:mm:ss, ends meant a second later."""
    truth = tmp_path / "anno.csv"
    truth.write_text(
        "id,segment_id,scene_id,start,end\nvid_0,0,2,0:00:12,0:00:13\nvid_0,1,2,0:01:00,0:01:00\nvid_0,2,4,1:00:00,1:00:09\n"
    )
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"id": "vid_0", "frame_timestamps": [12.5, 60.5, 61.5, 3610.0]}]))
    done = kframes(results, "--truth", truth, "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)[0]
    assert row["kfr"][0] == 0.75
    assert row["shr"][0] == 1.0
    # 2 frames in a scene of 3 s, 1 in one of 10 s; due max(1, floor(min(9/13, 3/2))) = 1 and max(1, floor(3/2)) = 1
    assert row["bsr"][0] == 1.0
    assert read_truth(truth)[0].video == "vid"


def test_our_selections_with_their_clips(tmp_path):
    selection = KFrames(lambda frames, query: [Clip(61.0, 74.5)], candidates=4).select(str(SAMPLE), "pink", 4)
    mine = lines(tmp_path / "ours.jsonl", [selection.to_dict()])
    truth = lines(tmp_path / "truth.jsonl", [{"video": "sample.mp4", "query": "pink", "spans": [[61, 70]]}])
    row = summed(mine, truth)["all"]
    assert row["iou"][0] == pytest.approx(9 / 13.5)
    assert row["k"] == 4
    assert 0 < row["kfr"][0] < 1


def test_keyframes_as_truth(tmp_path):
    true = [{"id": 7, "video": "a", "keyframes": [20, 200]}, {"id": 8, "video": "b", "keyframes": [5]}]
    truth = lines(tmp_path / "truth.jsonl", true)
    mine = lines(tmp_path / "mine.jsonl", [{"id": "7", "seconds": [10, 15, 100]}])
    row = summed(mine, truth)["all"]
    assert row["f1"][0] == pytest.approx(0.4 / 2)  # nothing was chosen for the other item
    assert row["f1_kept"][0] == pytest.approx(0.4)
    assert row["annd"][0] == pytest.approx(95 / 3)
    assert "kfr" not in row


def test_several_selectors_and_budgets_in_one_file(tmp_path, truth):
    rows = [
        {"video": "x/a.mp4", "query": "q", "selector": name, "k": k, "timestamps": [12.0] * k}
        for name in ("one", "other")
        for k in (2, 4)
    ]
    pairs, notes = scoring.matched(read_selections(lines(tmp_path / "s.jsonl", rows)), read_truth(truth))
    table = scoring.markdown(scoring.summary(scoring.scored(pairs)))
    assert "| one | 2 | all | 2 | 1.0 | 0.5 | .500" in table  # the second query has no selection: 0 frames
    assert "| other | 4 | 2 spans | 1 | 4.0 | 3.0 | 1.000" in table
    assert notes[0] == "one k=2: no selection for 2 (counted as empty): b / q; b / nothing"


def test_missing_selections_count_as_empty_or_are_left_out_and_are_said(tmp_path, truth):
    mine = lines(tmp_path / "s.jsonl", [{"video": "a.mp4", "query": "q", "timestamps": [12]}])
    assert summed(mine, truth)["all"]["kfr"][0] == 0.5
    assert summed(mine, truth, skip_missing=True)["all"]["kfr"][0] == 1
    done = kframes(mine, "--truth", truth, "--skip-missing", "--out", tmp_path / "r.json")
    assert "no selection for 2 (left out): b / q; b / nothing" in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["items"][0]["scores"]["kfr"] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2]], "1 lists, 3 truths"),
        ([{"video": "a.mp4", "query": "q"}], "s.jsonl:1: no frames; give one of frame_indices"),
        ([{"id": 1, "timestamps": [-1]}], "finite numbers >= 0; got -1"),
        ([{"id": 1, "frame_indices": [1.5]}], "frame numbers must be whole; got 1.5"),
        ([{"id": 1, "timestamps": "12"}], "must be a list of numbers"),
        (["nonsense"], "a row is a list of frame numbers or an object; got str"),
        ([{"id": 1, "timestamps": [1]}, {"id": 1, "timestamps": [2]}], "a second selection for id / 1"),
        ([{"id": 1, "timestamps": [1], "clips": [[5, 2]]}], "0 <= start < end"),
    ],
)
def test_wrong_selections_say_what_is_wrong(tmp_path, truth, rows, message):
    with pytest.raises(ValueError, match=r"s\.jsonl|lists|clip") as error:
        scoring.matched(read_selections(lines(tmp_path / "s.jsonl", rows)), read_truth(truth))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"query": "q", "spans": []}], "with id, or video and query"),
        ([{"id": 1}], "no truth; give spans, scenes or keyframes"),
        ([{"id": 1, "spans": [[5, 2]]}], "start <= end; got [5.0, 2.0]"),
        ([{"id": 1, "spans": []}, {"id": 1, "spans": []}], "two rows of id / 1"),
    ],
)
def test_wrong_truth_says_what_is_wrong(tmp_path, rows, message):
    with pytest.raises(ValueError, match=r"t\.jsonl") as error:
        read_truth(lines(tmp_path / "t.jsonl", rows))
    assert message in str(error.value)


def test_frame_numbers_need_a_rate(tmp_path):
    truth = lines(tmp_path / "t.jsonl", [{"id": 1, "spans": [[5, 6]]}])
    mine = lines(tmp_path / "s.jsonl", [{"id": 1, "frame_idx": [10]}])
    done = kframes(mine, "--truth", truth)
    assert done.returncode == 2
    assert "give fps" in " ".join(done.stderr.split())
    assert summed(mine, truth, fps=2.0)["all"]["kfr"][0] == 1
    assert kframes(tmp_path / "none.jsonl", "--truth", truth).returncode == 2


def test_keys_and_clocks():
    assert key_of({"video": "C:\\data\\v1.5.MP4", "query": "q"}) == ("v1.5", "q")
    assert key_of({"video": "v1.5", "query": "q"}) == ("v1.5", "q")
    assert key_of({"id": 3, "video": "a"}) == ("id", "3")
    assert key_of({"query": "q"}) is None
    assert (clock("1:02:03", ""), clock("02:03.5", ""), clock("7", "")) == (3723, 123.5, 7)
    with pytest.raises(ValueError, match="h:mm:ss"):
        clock("soon", "f:1")


def test_scoring_loads_no_model_library_and_a_missing_training_room_is_said():
    code = "import sys; from kframes_training.evaluation import cli, scoring; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
    code = "import sys; sys.modules['kframes_training'] = None; sys.argv = ['kframes', 'eval', 'score', '--help']; "
    code += "from kframes_plugin.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "pip install 'kframes[train]'" in done.stderr
