"""Many requests: order, errors that end nothing else, worker processes, results on disk that survive a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from bulk_selectors import deadly, third
from video_maker import every, make_video

from kframes_plugin import KFrames, Selection
from kframes_plugin.bulk import Failure, Request
from kframes_plugin.bulk.jobs import read_jobs, take_shard
from kframes_plugin.bulk.requests import LONGEST_UNIT, make_units
from kframes_plugin.bulk.run import run_jobs
from kframes_plugin.bulk.store import ResultFolder
from kframes_plugin.errors import KFramesError

EXAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"film {number}.mp4" for number in range(3)]
    for path in paths:
        make_video(path, every(40, 4 * 25))
    return list(map(str, paths))


def requests_of(films: list[str]) -> list[tuple[str, str]]:
    """Two queries a film, a broken one in the middle, and the first film again."""
    asked = [(film, str(number)) for film in films for number in range(2)]
    return [*asked[:3], (str(Path(films[0]).with_name("none.mp4")), "0"), *asked[3:], (films[0], "5")]


@pytest.mark.parametrize("workers", [1, 2])
def test_each_request_has_its_result_in_order(films: list[str], workers: int) -> None:
    kframes = KFrames(third, candidates=8)
    asked = requests_of(films)
    found = list(kframes.select_many(asked, 3, workers=workers))
    assert len(found) == len(asked)
    for (video, query), result in zip(asked, found, strict=True):
        if video.endswith("none.mp4"):
            assert isinstance(result, Failure)
            assert (result.kind, result.request.query) == ("VideoError", query)
            assert "does not exist" in result.message
        else:
            assert isinstance(result, Selection)
            assert result == kframes.select(video, query, 3)


def test_results_may_come_as_they_are_made(films: list[str]) -> None:
    found = list(KFrames(third, candidates=8).select_many(requests_of(films), 3, workers=2, ordered=False))
    told = Counter(f.request.query if isinstance(f, Failure) else f.query for f in found)
    assert told == Counter(query for _, query in requests_of(films))


def test_a_request_may_have_its_own_k_strategy_and_spans(films: list[str]) -> None:
    asked = [Request(films[0], "1", 2, "uniform"), Request(films[0], "2", 5, within=((1.0, 2.0),)), (films[0], "3")]
    one, two, three = KFrames(third, candidates=8).select_many(asked, 4, strategy="hybrid")
    assert (len(one.frames), one.strategy) == (2, "uniform")
    assert all(1.0 <= at < 2.0 for at in two.timestamps)
    assert (len(three.frames), three.strategy) == (4, "hybrid")


def test_a_wrong_request_is_a_failure_and_wrong_arguments_raise_at_once(films: list[str]) -> None:
    kframes = KFrames(third, candidates=8)
    bad, blank, good = kframes.select_many([Request(films[0], "1", 0), (films[0], " "), (films[0], "1")])
    assert isinstance(bad, Failure)
    assert "k must be at least 1" in bad.message
    assert isinstance(blank, Failure)
    assert isinstance(good, Selection)
    for arguments, message in (({"k": 0}, "k must"), ({"workers": 0}, "workers must"), ({"strategy": "x"}, "strategy")):
        with pytest.raises(ValueError, match=message):
            kframes.select_many([], **arguments)


def test_a_process_that_dies_costs_its_own_request(films: list[str]) -> None:
    asked = [(films[0], "1"), (films[0], "3"), (films[0], "4"), (films[1], "5"), (films[2], "6")]
    found = list(KFrames(deadly, candidates=8).select_many(asked, 2, workers=2))
    assert [type(result) for result in found] == [Selection, Failure, Selection, Selection, Selection]
    assert found[1].kind == "WorkerDied"


def test_requests_are_read_as_they_are_needed(films: list[str]) -> None:
    read = []

    def endless():
        for number in range(1000):
            read.append(number)
            yield films[number % 3], "1"

    answers = KFrames(third, candidates=4).select_many(endless(), 1)
    for _ in range(3):
        next(answers)
    answers.close()
    assert len(read) < 10


def test_a_unit_is_one_video_and_not_too_long() -> None:
    asked = [("a", "1"), (Path("a"), "2"), ("b", "3"), *[("c", str(n)) for n in range(LONGEST_UNIT + 1)]]
    units = list(make_units(asked))
    assert [len(unit) for unit in units] == [2, 1, LONGEST_UNIT, 1]
    assert [request for unit in units for request in unit] == [Request(*pair) for pair in asked]


# ---- on disk


COMMAND = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "select-many"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=240)


def rows_of(out: Path, table: str = "results.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / table).read_text(encoding="utf-8").splitlines()]


def write_jobs(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_run_is_a_folder_a_request_and_a_table(films: list[str], tmp_path: Path) -> None:
    rows = [{"video": Path(film).name, "query": "1", "k": 3, "within": [[1, 3]]} for film in films]
    jobs = write_jobs(Path(films[0]).with_name("jobs.jsonl"), [*rows, {"video": "none.mp4", "query": "1"}])
    out = tmp_path / "out"
    done = run(str(jobs), "--out", str(out), "--model", "uniform", "--workers", "2")
    assert done.returncode == 1
    assert "3 done, 1 failed, 0 of these in earlier runs" in done.stderr
    table = rows_of(out)
    assert len(table) == 4
    for row in table:
        if "error" in row:
            assert row["error"]["kind"] == "VideoError"
        else:
            assert Selection.load(out / row["folder"]).timestamps == row["timestamps"]
            assert all(1 <= at < 3 for at in row["timestamps"])
    again = run(str(jobs), "--out", str(out), "--model", "uniform")
    assert "3 done, 1 failed, 4 of these in earlier runs" in again.stderr
    assert sorted(map(str, rows_of(out))) == sorted(map(str, table))


def test_a_folder_is_asked_one_query_and_shards_share_it(films: list[str], tmp_path: Path) -> None:
    for shard in ("1/2", "2/2"):
        done = run(
            str(Path(films[0]).parent), "--query", "1", "--out", str(tmp_path), "--model", "uniform", "--shard", shard
        )
        assert done.returncode == 0, done.stderr
    found = [rows_of(tmp_path, f"results-{part}-of-2.jsonl") for part in (1, 2)]
    assert [len(rows) for rows in found] == [2, 1]
    assert sorted(row["video"] for rows in found for row in rows) == sorted(films)


def test_killed_twice_every_request_is_done_once(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    make_video(film, every(40, 2 * 25))
    asked = [{"video": "film.mp4", "query": str(number), "k": 1} for number in range(90)]
    jobs, out = write_jobs(tmp_path / "jobs.jsonl", asked), tmp_path / "out"
    arguments = (str(jobs), "--out", str(out), "--model", "uniform", "--candidates", "4")
    for least in (5, 30):
        started = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(list(out.glob("film-*/row.json"))) < least and time.monotonic() < deadline:
            time.sleep(0.01)
        started.kill()
        started.wait()
    kept = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("film-*/row.json")}
    assert 30 <= len(kept) < 90
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(int(row["query"]) for row in rows_of(out)) == list(range(90))
    assert len(list(out.glob("film-*"))) == 90
    after = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("film-*/row.json")}
    assert {name: after[name] for name in kept} == kept, "what was done is left alone"


def test_a_file_that_changed_is_done_anew_and_failures_only_when_asked(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no video")
    make = partial(KFrames, third, candidates=4)
    asked = [Request(str(film), "1", 2)]
    results = ResultFolder(tmp_path / "out", {"model": "third"})
    assert run_jobs(asked, make, results).failed == 1
    assert run_jobs(asked, make, results) == run_jobs(asked, make, results)
    assert run_jobs(asked, make, results, retry=True).before == 0
    make_video(film, every(40, 2 * 25))
    counts = run_jobs(asked, make, results)
    assert (counts.done, counts.failed, counts.before) == (1, 0, 0)
    other = ResultFolder(tmp_path / "out", {"model": "another"})
    assert other.name(asked[0]) != results.name(asked[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"query": "x"}', 'needs a "video"'),
        ('{"video": "a.mp4"}', 'needs a "query"'),
        ('{"video": "a.mp4", "query": "x", "fps": 2}', "unknown key 'fps'"),
        ('{"video": "a.mp4", "query": "x", "within": [[3, 1]]}', "within must"),
    ],
)
def test_a_row_that_cannot_be_understood_is_told(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "jobs.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(KFramesError, match=message):
        list(read_jobs(tmp_path / "jobs.jsonl", None, 8, (".mp4",)))


def test_shards_are_all_of_it_and_keep_videos_together() -> None:
    asked = [Request(f"{number % 7}.mp4", str(number)) for number in range(50)]
    parts = [take_shard(asked, part, 3) for part in (1, 2, 3)]
    assert sorted(request for part in parts for request in part) == sorted(asked)
    assert sum(len({request.video for request in part}) for part in parts) == 7


def test_ray_gives_the_same_rows(films: list[str], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    arguments = (str(Path(films[0]).parent), "--query", "1", "--model", "uniform")
    for engine in ("local", "ray"):
        done = run(*arguments, "--out", str(tmp_path / engine), "--engine", engine, "--workers", "2")
        assert done.returncode == 0, done.stderr
    one, two = (sorted(map(str, rows_of(tmp_path / engine))) for engine in ("local", "ray"))
    assert one == two


@pytest.mark.slow
def test_the_sample_in_two_processes_with_lite() -> None:
    """The bundled model goes to worker processes by its files."""
    (found,) = KFrames.from_pretrained("lite").select_many([(str(EXAMPLE), "a cup")], 2, workers=2)
    assert isinstance(found, Selection)
