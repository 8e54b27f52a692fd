"""Readers of data sets, each on a small made file of the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import pyarrow as pa
import pyarrow.parquet as pq
from kframes_training.sources.datasets import READERS, Data, Item, kind_of, read
from kframes_training.sources.datasets.files import answer_index, plain_options, seconds

Rows = list[dict[str, Any]]


def parquet(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def written(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows) if path.suffix == ".jsonl" else json.dumps(rows)
    path.write_text(lines, encoding="utf-8")
    return path


def videos(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# ------------------------------------------------------------------------------------------------------------ Video-MME

MME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many red socks are above the fireplace?",
    "options": ["A. 1.", "B. 4.", "C. 2.", "D. 3."],
    "answer": "D",
}


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".jsonl"])
def test_videomme(tmp_path: Path, suffix: str) -> None:
    rows = [
        MME,
        {**MME, "question_id": "001-2", "answer": "A"},
        {**MME, "video_id": "002", "videoID": "x", "question_id": "2"},
    ]
    path = tmp_path / f"test-00000-of-00001{suffix}"
    parquet(path, rows) if suffix == ".parquet" else written(path, rows)
    data = read(path, videos(tmp_path, "data/fFjv93ACGo8.mp4"))
    assert (data.kind, data.odd) == ("videomme", ())
    assert data.items[0] == Item(
        id="001-1",
        video=tmp_path / "data" / "fFjv93ACGo8.mp4",
        query="How many red socks are above the fireplace?",
        question="How many red socks are above the fireplace?",
        options=("1.", "4.", "2.", "3."),
        answer=3,
        groups={
            "duration": "short",
            "domain": "Knowledge",
            "sub_category": "Humanity & History",
            "task_type": "Counting Problem",
        },
    )
    assert [item.id for item in data.present] == ["001-1", "001-2"]
    assert data.missing == (str(tmp_path / "x.mp4"),)


def test_videomme_of_its_own_repository(tmp_path: Path) -> None:
    outer = {key: MME[key] for key in ("video_id", "duration", "domain", "sub_category", "url")}
    inner = {"question_id": "001-1", "task_type": "Counting Problem", "question": "How many?", "answer": "B"}
    path = written(tmp_path / "videomme.json", [{**outer, "questions": [{**inner, "choices": MME["options"]}]}])
    [item] = read(path, videos(tmp_path, "fFjv93ACGo8.mp4")).present
    assert (item.id, item.answer, item.video.name) == ("001-1", 1, "fFjv93ACGo8.mp4")


# ----------------------------------------------------------------------------------------------------------------- MLVU

PLOT = {
    "video": "movie101_66.mp4",
    "duration": 246,
    "question": "What color is the main male character in the video?",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "Yellow",
    "question_type": "plotQA",
}
NEEDLE = {
    "video": "needle_32.mp4",
    "duration": 467.98,
    "question": "What does the hand coming out of the computer do?",
    "candidates": ["Delivers a product", "Shakes the woman's hand", "Takes the woman's credit card", "Points"],
    "answer": "Delivers a product",
    "question_type": "findNeedle",
}


def test_mlvu_with_needle_qa(tmp_path: Path) -> None:
    written(tmp_path / "json" / "1_plotQA.json", [PLOT])
    written(tmp_path / "json" / "2_needle.json", [NEEDLE, {**NEEDLE, "candidates": ["a", "b"], "answer": "c"}])
    summary = {"video": "217.mp4", "duration": 480.0, "question": "Please summarize.", "answer": "It starts ..."}
    written(tmp_path / "json" / "9_summary.json", [{**summary, "question_type": "summary"}])
    folder = videos(tmp_path, "video/1_plotQA/movie101_66.mp4", "video/2_needle/needle_32.mp4")
    data = read(tmp_path / "json", folder)
    assert data.kind == "mlvu"
    plot, needle, free = data.items
    assert (needle.id, needle.answer, needle.duration) == ("2_needle/1", 0, 467.98)
    assert needle.groups == {"question_type": "findNeedle"}
    assert needle.video == tmp_path / "video" / "2_needle" / "needle_32.mp4"
    assert (free.options, free.answer) == ((), None)
    assert data.present == (plot, needle)
    assert data.missing == (str(tmp_path / "217.mp4"),)
    assert data.odd == ("2_needle, row 2: the answer 'c' is none of the options ['a', 'b']",)


# -------------------------------------------------------------------------------------------------------------- LVBench


def test_lvbench(tmp_path: Path) -> None:
    qa = {
        "uid": "0",
        "question": "What year appears in the opening caption of the video?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633",
        "answer": "D",
        "question_type": ["key information retrieval", "entity recognition"],
        "time_reference": "00:15-00:19",
    }
    hours = {**qa, "uid": "1", "time_reference": "01:02:03-01:02:03", "answer": "A"}
    line = {
        "key": "Cm73ma6Ibcs",
        "type": "cartoon",
        "video_info": {"fps": 24.0},
        "qa": [qa, hours, {**qa, "answer": "E"}],
    }
    path = written(tmp_path / "video_info.meta.jsonl", [line])
    data = read(path, videos(tmp_path, "all_videos/Cm73ma6Ibcs.mp4"))
    assert data.kind == "lvbench"
    first, second = data.present
    assert first.question == "What year appears in the opening caption of the video?"
    assert (first.options, first.answer) == (("1636", "1366", "1363", "1633"), 3)
    assert (first.scenes, second.scenes) == ((((15.0, 20.0),),), (((3723.0, 3724.0),),))
    assert first.groups == {"type": "cartoon", "question_type": "key information retrieval, entity recognition"}
    assert data.odd == ("uid 0: the answer 'E' is none of the options ['1636', '1366', '1363', '1633']",)


# ------------------------------------------------------------------------------------------------------- LongVideoBench

LVB = {
    "video_id": "86CxyhFV9MI",
    "question": "In the video, which subtitles appear at the same time as the man with black hair?",
    "question_wo_referring_query": "Which subtitles appear at the same time?",
    "candidates": ["promisc has come to an end", "run for it, all of it", "who is it", "no one"],
    "correct_choice": 1,
    "position": [854, 1119],
    "topic_category": "NP-News-Programs",
    "question_category": "TOS",
    "level": "L2-Relation",
    "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "duration_group": 600,
    "starting_timestamp_for_subtitles": 100.0,
    "duration": 190.16,
    "view_count": 259852,
}


def test_longvideobench(tmp_path: Path) -> None:
    hidden = {**{k: v for k, v in LVB.items() if k != "correct_choice"}, "id": "x_1", "video_path": "@a-1.mp4"}
    path = written(tmp_path / "lvb_val.json", [LVB, hidden])
    data = read(path, videos(tmp_path, "videos/86CxyhFV9MI.mp4"))
    [item] = data.present
    assert (item.id, item.answer, item.duration, len(item.options)) == ("86CxyhFV9MI_0", 1, 190.16, 4)
    assert item.groups["duration_group"] == "600"
    assert item.subtitles == ()
    assert data.items[1].answer is None
    assert data.missing == (str(tmp_path / "@a-1.mp4"),)


def test_longvideobench_as_parquet(tmp_path: Path) -> None:
    row = {key: value for key, value in LVB.items() if key != "candidates"}
    row |= {f"option{i}": text for i, text in enumerate([*LVB["candidates"], "N/A"])}
    [item] = read(parquet(tmp_path / "validation-00000-of-00001.parquet", [row]), tmp_path).items
    assert (item.options, item.answer) == (tuple(LVB["candidates"]), 1)


@pytest.mark.parametrize(
    "lines",
    [
        [
            {"timestamp": [99.0, 102.5], "text": "hello"},
            {"timestamp": [280.0, None], "text": "bye"},
            {"timestamp": [10.0, 12.0], "text": "before the clip"},
        ],
        [
            {"start": "00:01:39.000", "end": "00:01:42.500", "line": "hello"},
            {"start": "00:04:40.000", "end": "00:04:50.160", "line": "bye"},
            {"start": "00:10:00.000", "end": "00:10:02.000", "line": "after the clip"},
        ],
    ],
)
def test_subtitles_have_the_times_of_the_clip(tmp_path: Path, lines: Rows) -> None:
    path = written(tmp_path / "lvb_val.json", [LVB, {**LVB, "id": "2", "subtitle_path": "none.json"}])
    written(tmp_path / "subtitles" / "86CxyhFV9MI_en.json", lines)
    data = read(path, tmp_path, subtitles=True)
    [item] = data.items
    assert [text for _, _, text in item.subtitles] == ["hello", "bye"]
    assert item.subtitles[0][:2] == pytest.approx((-1.0, 2.5))
    assert item.subtitles[1][:2] == pytest.approx((180.0, 190.16))
    assert data.odd[0].startswith("row 2: its subtitles none.json are not in ")


# ------------------------------------------------------------------------------------------------------------ KFS-Bench


def test_kfs_bench_on_longvideobench(tmp_path: Path) -> None:
    questions = written(tmp_path / "lvb" / "lvb_val.json", [LVB, {**LVB, "id": "86CxyhFV9MI_1"}])
    scenes = tmp_path / "lvb_anno.csv"
    scenes.write_text(
        "id,segment_id,scene_id,start,end\n86CxyhFV9MI_0,0,4,0:00:12,0:00:13\n86CxyhFV9MI_0,1,5,0:01:09,0:01:09\n"
        "86CxyhFV9MI_0,2,4,0:00:02,0:00:03\n86CxyhFV9MI_0,3,4,0:00:02,0:00:03\nlost_0,0,0,0:00:01,0:00:02\n",
        encoding="utf-8",
    )
    data = read(scenes, tmp_path / "lvb", questions=questions)
    [item] = data.items
    assert item.scenes == (((2.0, 4.0), (12.0, 14.0)), ((69.0, 70.0),))
    assert (item.evidence, item.answer) == (2, 1)
    assert data.odd == ("1 questions have scenes in lvb_anno.csv but are not in lvb_val.json: lost_0",)
    with pytest.raises(ValueError, match="name the annotation of its questions"):
        read(scenes, tmp_path)


def test_kfs_bench_on_videomme(tmp_path: Path) -> None:
    questions = parquet(tmp_path / "test.parquet", [{**MME, "question_id": "003-2"}])
    scenes = tmp_path / "vidmme_anno.csv"
    scenes.write_text(
        "id,segment_id,scene_id,start,end\n003-2,0,0,0:49,0:55\n003-2,1,1,61:45,61:50\n", encoding="utf-8"
    )
    [item] = read(scenes, tmp_path, questions=questions).items
    assert item.scenes == (((49.0, 56.0),), ((3705.0, 3711.0),))


# ---------------------------------------------------------------------------------------------------------- LV-Haystack

HAYSTACK = {
    "video_id": "a1b2",
    "vclip_id": "a1b2_clip",
    "question": "What did I put in the drawer?",
    "options": {"A": "a knife", "B": "a fork", "C": "a cup", "D": None, "E": None},
    "answer": "B",
    "frame_indexes_video": [900, 1500, 930],
    "frame_indexes_vclip": [0, 30, 600],
    "video_metadata": {
        "CLIP-reference-interval-clip": [0.0, 20.0],
        "CLIP-reference-interval-video": [30.0, 50.0],
        "frame_rate": 30.0,
        "vclip_duration": 480.0,
        "vclip_interval_in_video": [30.0, 510.0],
        "video_duration": 1800.0,
        "video_id": "a1b2",
    },
}


def test_lv_haystack(tmp_path: Path) -> None:
    path = parquet(tmp_path / "data" / "test-00000-of-00001.parquet", [HAYSTACK, {**HAYSTACK, "answer": "D"}])
    data = read(path, videos(tmp_path / "whole", "a1b2.mp4"))
    [item] = data.present
    assert (item.options, item.answer) == (("a knife", "a fork", "a cup"), 1)
    assert (item.points, item.duration, item.evidence) == ((30.0, 31.0, 50.0), 1800.0, 3)
    assert data.odd == ("row 2: the answer 'D' is none of the options ['a knife', 'a fork', 'a cup']",)


def test_lv_haystack_on_cut_clips(tmp_path: Path) -> None:
    path = parquet(tmp_path / "test.parquet", [HAYSTACK])
    [item] = read(path, videos(tmp_path / "cut", "a1b2_clip.mp4")).present
    assert (item.points, item.duration, item.video.name) == ((0.0, 1.0, 20.0), 480.0, "a1b2_clip.mp4")


# -------------------------------------------------------------------------------------------------------------- moments


def test_qvhighlights(tmp_path: Path) -> None:
    row = {
        "qid": 8737,
        "query": "A family is playing basketball together on a green court outside.",
        "duration": 126,
        "vid": "bP5KfdFJzC4_660.0_810.0",
        "relevant_windows": [[0, 16], [40, 44]],
        "relevant_clip_ids": [0, 1, 2, 3, 4, 5, 6, 7, 20, 21],
        "saliency_scores": [[4, 1, 1]] * 10,
    }
    test = {key: row[key] for key in ("query", "duration", "vid")} | {"qid": 1}
    path = written(tmp_path / "highlight_val_release.jsonl", [row, test])
    data = read(path, videos(tmp_path, "videos/bP5KfdFJzC4_660.0_810.0.mp4"))
    moment, untold = data.present
    assert (moment.id, moment.duration, moment.evidence) == ("8737", 126.0, 2)
    assert moment.scenes == (((0.0, 16.0),), ((40.0, 44.0),))
    assert (moment.question, moment.options) == ("", ())
    assert untold.scenes == ()


def test_charades_sta(tmp_path: Path) -> None:
    path = tmp_path / "charades_sta_test.txt"
    lines = [
        "3MSZA 24.3 30.4##person turn a light on.",
        "3MSZA 24.3 30.4##person flipped the light switch near the door.",
    ]
    path.write_text("\n".join([*lines, "0BX9N 5.0 3.0##backwards", "no marks", ""]), encoding="utf-8")
    data = read(path, videos(tmp_path / "Charades_v1_480", "3MSZA.mp4"))
    assert [(item.id, item.query, item.scenes) for item in data.items] == [
        ("3MSZA#1", "person turn a light on.", (((24.3, 30.4),),)),
        ("3MSZA#2", "person flipped the light switch near the door.", (((24.3, 30.4),),)),
    ]
    assert data.odd[0] == "line 3: item 0BX9N#3: a true span needs 0 <= start < end, seconds; got 5.0 to 3.0"
    assert data.odd[1].startswith('line 4: a line must be "video start end##sentence"')


# ---------------------------------------------------------------------------------------------------------- one's own


def test_own(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "query": "When is the goal scored?"},
        {
            "id": "q2",
            "video": "sub/b.mp4",
            "question": "Who scored?",
            "options": ["Ann", "Bo"],
            "answer": "B",
            "spans": [[61, 74.5], [100, 101]],
            "groups": {"kind": "sport"},
        },
        {"video": "c.mp4", "query": "q", "scenes": [[[1, 2], [5, 6]], [[9, 10]]], "points": [1.5], "duration": 60},
        {"video": "c.mp4", "query": "q", "span": [[1, 2]]},
        {"video": "c.mp4", "query": " "},
        {"query": "no video"},
    ]
    data = read(written(tmp_path / "mine.jsonl", rows), videos(tmp_path, "a.mp4", "sub/b.mp4"))
    first, second, third = data.items
    assert first == Item("1", tmp_path / "a.mp4", "When is the goal scored?")
    assert (second.query, second.answer, second.evidence) == ("Who scored?", 1, 2)
    assert (third.spans, third.evidence, third.duration) == (((1.0, 2.0), (5.0, 6.0), (9.0, 10.0)), 2, 60.0)
    assert data.present == (first, second)
    assert data.missing == (str(tmp_path / "c.mp4"),)
    assert data.odd[0].startswith("row 4: unknown fields span; known are id, video")
    assert data.odd[1:] == (
        "row 5: item 5: the query is empty; say in words what to look for",
        "row 6: it has no field 'video'",
    )


def test_ids_that_come_twice_are_kept_apart(tmp_path: Path) -> None:
    rows = [{"id": "a", "video": "v.mp4", "query": str(n)} for n in range(3)]
    data = read(written(tmp_path / "mine.jsonl", rows))
    assert [item.id for item in data.items] == ["a", "a#2", "a#3"]
    assert data.odd == ("the id a comes 3 times; the later ones are called a#2 ...",)


# ------------------------------------------------------------------------------------------------------ what is shared


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="check the path"):
        read(tmp_path / "none.json")
    with pytest.raises(ValueError, match="is not a known data set: its first row has the fields colour"):
        kind_of(written(tmp_path / "a.json", [{"colour": 1}]))
    with pytest.raises(ValueError, match="must hold a list of objects"):
        kind_of(written(tmp_path / "b.json", {"a": 1}))
    (tmp_path / "c.json").write_text("[{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot be read as \.json"):
        kind_of(tmp_path / "c.json")
    (tmp_path / "d.xml").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows are read from \.json"):
        kind_of(tmp_path / "d.xml")
    own = written(tmp_path / "e.jsonl", [{"video": "a.mp4", "query": "q"}])
    with pytest.raises(ValueError, match="must be one of own, videomme"):
        read(own, kind="nothing")
    with pytest.raises(ValueError, match="is for kfs-bench"):
        read(own, questions=own)
    with pytest.raises(ValueError, match="subtitles are read for longvideobench"):
        read(own, subtitles=True)


def test_every_reader_has_its_own_file() -> None:
    assert len({reader.__module__ for reader in READERS.values()}) == len(READERS) == 10


def test_answers_and_options() -> None:
    options = ("Ann", "Bo", "C")
    assert [answer_index(told, options) for told in ("A", "(B)", "B.", "Bo", "C", 0, "B. Bo")] == [0, 1, 1, 1, 2, 0, 1]
    assert answer_index(None, options) is None
    with pytest.raises(ValueError, match="'D' is none of the options"):
        answer_index("D", options)
    assert plain_options(["A. one", "B. two"]) == ("one", "two")
    assert plain_options(["(A) one", "(B) two"]) == ("one", "two")
    assert plain_options(["A. Lincoln", "Washington"]) == ("A. Lincoln", "Washington")  # no letters, an initial
    assert [seconds(text) for text in ("1:02:03", "02:03", "62.5")] == [3723.0, 123.0, 62.5]
    with pytest.raises(ValueError, match="a time must be"):
        seconds("1:2:3:4")


def test_nothing_is_there() -> None:
    assert Data("own", ()).missing == Data("own", ()).present == ()
