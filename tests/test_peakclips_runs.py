"""PeakClips builds: kept steps, broken files, processes, estimates, the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("openai")

from colour_films import make_film
from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.building import Plan, build
from kframes_training.sources.peakclips.checking import check, lines
from kframes_training.sources.peakclips.estimate import estimate
from kframes_training.sources.peakclips.media import find_scenes, sources
from kframes_training.sources.peakclips.oracle import SynthOracle, known_queries
from kframes_training.sources.peakclips.pipeline import Tables
from kframes_training.sources.peakclips.refinement import Refinement
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.synthscenes import sample_video
from peakclips_films import SEEDS, SMALL, build_labels, write_films
from typer.testing import CliRunner

from kframes_plugin.cli import app


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def built(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    return build_labels(films, tmp_path_factory.mktemp("built"))


class Counting(SynthOracle):
    """The oracle, and how often it was asked."""

    asked = 0

    def _answer(self, prompt: Any) -> Any:
        self.asked += 1
        return super()._answer(prompt)


def test_steps_are_kept_and_each_can_be_redone_alone(films: Path, tmp_path: Path) -> None:
    found = sources(sorted(films.iterdir())[:1])
    plan = Plan("oracle", tmp_path / "work", settings=SMALL)
    first = Counting()
    tables = build(found, tmp_path / "out", plan, annotator=first)
    again = Counting()
    assert build(found, tmp_path / "out", plan, annotator=again) == tables
    assert (first.asked > 10, again.asked) == (True, 0)
    redone = Counting()
    redo = replace(plan, redo=frozenset(["relevance"]))
    assert build(found, tmp_path / "out", redo, annotator=redone) == tables
    assert redone.asked == len(tables["queries"])
    other = Counting()  # weights and thresholds are no reason to ask again
    rule = Refinement(p1_score=5.1, p2_score=5.1)
    relabelled = build(
        found, tmp_path / "out", replace(plan, settings=replace(SMALL, refinement=rule)), annotator=other
    )
    assert (other.asked, [row["clips"] for row in relabelled["queries"]]) == (0, [[]] * len(tables["queries"]))


def test_a_broken_video_leaves_a_row_and_the_rest_completes(
    films: Path, built: tuple[Path, Tables], tmp_path: Path
) -> None:
    for file in films.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    tables = build(sources([tmp_path]), tmp_path / "out", Plan("oracle", tmp_path / "work", settings=SMALL))
    [error] = tables["errors"]
    assert (error["video_id"], error["file"], error["step"]) == ("broken", "broken.mp4", "scenes")
    assert "not a video" in error["message"]
    assert tables["queries"] == built[1]["queries"]


def test_two_processes_give_the_same_rows(films: Path, built: tuple[Path, Tables], tmp_path: Path) -> None:
    plan = Plan("oracle", tmp_path / "work", settings=SMALL)
    assert build(sources([films], "CC0"), tmp_path / "out", plan, workers=2) == built[1]


def test_sources(films: Path, tmp_path: Path) -> None:
    one, two = sorted(films.iterdir())[:2]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shutil.copy(one, tmp_path / "a" / "film.mp4")
    shutil.copy(two, tmp_path / "b" / "film.mp4")
    shutil.copy(two, tmp_path / "b" / "copy.mkv")
    found = sources([tmp_path / "a", tmp_path / "b"])
    assert [source.file for source in found] == ["copy.mkv", "film.mp4"]  # a content that is there twice is taken once
    (tmp_path / "b" / "copy.mkv").unlink()
    assert [source.video_id for source in sources([tmp_path / "a", tmp_path / "b"])] == sorted(
        f"film-{source.with_digest().sha256[:8]}" for source in sources([one, two])
    )
    assert sources([tmp_path / "none.mp4"])[0].sha256 == ""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is no video among"):
        sources([tmp_path / "empty"])


def test_folders_are_searched_to_their_ends_and_hashed_late(films: Path, tmp_path: Path) -> None:
    first, second, third = sorted(films.iterdir())
    for file, place in ((first, "a/b/c"), (second, "."), (third, ".hidden"), (third, "a/.trash")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / place)
    found = sources([tmp_path])
    assert {source.file for source in found} == {first.name, second.name}
    assert {source.sha256 for source in found} == {""}, "no file is read before its turn"
    tables = build(found, tmp_path / "out", Plan("oracle", tmp_path / "work", settings=SMALL))
    assert {video["sha256"] for video in tables["videos"]} == {source.with_digest().sha256 for source in found}


def test_one_long_shot_is_parted_evenly(tmp_path: Path) -> None:
    film = make_film(tmp_path / "lecture.mp4", ("gray", 150), ("red", 30), rate=2)
    _, spans, colours = find_scenes(str(film), 2.0, 60.0)
    assert spans == [(0, 50), (50, 100), (100, 150), (150, 180)]
    assert len(colours) == 4
    with pytest.raises(ValueError, match="max_scene must be over twice min_scene"):
        Settings(min_scene=30)


class Breaking(SynthOracle):
    """The oracle, but for one film, of which it breaks."""

    def _answer(self, prompt: Any) -> Any:
        if prompt.facts["video_id"].endswith(str(SEEDS[1])):
            raise ZeroDivisionError("a fault of ours")
        return super()._answer(prompt)


def test_a_fault_of_a_step_costs_one_video(films: Path, built: tuple[Path, Tables], tmp_path: Path) -> None:
    plan = Plan("oracle", tmp_path / "work", settings=SMALL)
    tables = build(sources([films], "CC0"), tmp_path / "out", plan, annotator=Breaking())
    [error] = tables["errors"]
    assert (error["file"], error["kind"]) == (f"synthscenes-{SEEDS[1]}.mp4", "video")
    assert error["message"] == "ZeroDivisionError: a fault of ours"
    assert tables["queries"] == [row for row in built[1]["queries"] if row["video_id"] != error["video_id"]]


def test_wrong_arguments(films: Path, tmp_path: Path) -> None:
    found = sources([films])
    with pytest.raises(ValueError, match="annotator must be oracle, oracle:NOISE"):
        build(found, tmp_path, Plan("gpt", tmp_path))
    with pytest.raises(ValueError, match="similarity must be none, openclip"):
        build(found, tmp_path, Plan("oracle", tmp_path, "clip"))
    with pytest.raises(ValueError, match="engine must be local or ray"):
        build(found, tmp_path, Plan("oracle", tmp_path), engine="spark")
    with pytest.raises(ValueError, match="works with engine='local' and workers=1"):
        build(found, tmp_path, Plan("oracle", tmp_path), workers=2, annotator=SynthOracle())
    with pytest.raises(ValueError, match=r"noise must lie in 0\.\.1"):
        SynthOracle(2)
    with pytest.raises(ValueError, match="w_caption and w_similarity must be >= 0 and not both 0"):
        Refinement(0, 0)
    with pytest.raises(ValueError, match="1 <= p2_score <= p1_score"):
        Refinement(p1_score=4, p2_score=4.5)
    with pytest.raises(ValueError, match="frames_per_scene must be at least 1; got 0"):
        Settings(frames_per_scene=0)


def test_the_estimate_is_near_what_is_asked(films: Path, tmp_path: Path) -> None:
    found = sources([films])
    plan = Plan("oracle", tmp_path / "work", settings=SMALL)
    expected = estimate(found, plan, count_scenes=True)
    annotator = Counting()
    tables = build(found, tmp_path / "out", plan, annotator=annotator)
    assert expected.scenes == sum(len(row["scenes"]) for row in tables["videos"])
    assert sum(expected.requests.values()) == pytest.approx(annotator.asked, rel=0.2)
    assert expected.cost(1e6, 0) == expected.tokens_in
    guessed = estimate(found, Plan("oracle", tmp_path / "other"), count_scenes=False)
    assert (guessed.exact, guessed.videos) == (False, 3)


def test_scenes_of_a_file_with_fades(films: Path) -> None:
    video = sample_video(SEEDS[0])
    duration, spans, colours = find_scenes(str(films / f"synthscenes-{SEEDS[0]}.mp4"), 2.0, 60.0)
    faded = [scene.start for scene in video.scenes if scene.fade]
    assert faded
    assert all(min(abs(cut - start) for start, _ in spans) <= 0.5 for cut in faded)
    assert duration == pytest.approx(video.duration, abs=0.3)
    assert all(sum(shares) == pytest.approx(1, abs=0.01) for shares in colours)


# --------------------------------------------------------------------------------------------------- command line


def test_build_and_check_from_the_command_line(films: Path, built: tuple[Path, Tables], tmp_path: Path) -> None:
    run = CliRunner()
    out = tmp_path / "out"
    words = ["peakclips", "build", str(films), "--annotator", "oracle", "--out", str(out), "--frame-size", "64"]
    dry = run.invoke(app, [*words, "--dry-run", "--price-in", "2"])
    assert dry.exit_code == 0, dry.output
    assert "3 videos" in dry.output
    assert "cost, about:" in dry.output
    assert not (out / "data").exists()
    done = run.invoke(app, [*words, "--with-videos", "--licence", "CC0"])
    assert done.exit_code == 0, done.output
    assert store.read(out, "queries") == store.read(built[0], "queries")
    assert sorted(file.name for file in (out / "videos").iterdir()) == sorted(file.name for file in films.iterdir())
    told = run.invoke(app, ["peakclips", "check", str(out)])
    assert told.exit_code == 0, told.output
    assert "| scenes |" in told.output
    report = json.loads(run.invoke(app, ["peakclips", "check", str(out), "--against", str(built[0]), "--json"]).output)
    assert report["agreement"]["p1_iou"] == 1.0
    assert report["statistics"]["paper_per_video"]["scenes"] == 16.15


def test_the_command_line_refuses(films: Path, tmp_path: Path) -> None:
    run = CliRunner()
    words = ["peakclips", "build", str(films), "--out", str(tmp_path / "out"), "--annotator"]
    for more, why in (
        (["gpt"], "annotator must be"),
        (["oracle", "--redo", "all"], "--redo must be one of"),
        (["oracle", "--grouping", "magic"], "grouping must be one of"),
        (["http://127.0.0.1:9/v1#m", "--price-in", "1000", "--max-cost", "0.01"], "more than --max-cost"),
    ):
        refused = run.invoke(app, [*words, *more])
        assert refused.exit_code == 2, more
        assert why in " ".join(refused.output.split()), refused.output
    assert run.invoke(app, ["peakclips", "check", str(tmp_path)]).exit_code == 2


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("pyarrow", ["--annotator", "oracle"], "annotate"),
        ("openai", ["--annotator", "http://127.0.0.1:9/v1#m"], "annotate"),
        ("ray", ["--annotator", "oracle", "--engine", "ray"], "ray"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    films: Path, tmp_path: Path, missing: str, words: list[str], extra: str
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom kframes_plugin.cli import main; main()"
    command = [sys.executable, "-c", code, "peakclips", "build", str(films), "--out", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"pip install 'kframes[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_given_queries(films: Path, tmp_path: Path) -> None:
    video = sample_video(SEEDS[0])
    asked = next(iter(known_queries(video).values()))
    lines_in = [{"video_id": video.id, "query": asked.text}, {"video_id": video.id, "query": "where is the dragon?"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines_in)))
    words = [
        "peakclips",
        "build",
        str(films / f"{video.id}.mp4"),
        "--annotator",
        "oracle",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, [*words, "--queries", str(tmp_path / "q.jsonl"), "--frame-size", "64"])
    assert done.exit_code == 0, done.output
    [row] = store.read(tmp_path / "out", "queries")
    assert (row["query"], row["kind"]) == (asked.text, "given")
    [error] = store.read(tmp_path / "out", "errors")
    assert (error["step"], error["item"]) == ("relevance", "where is the dragon?")
    assert any("errors by step: relevance 1" in line for line in lines(check(tmp_path / "out")))
