"""kframes.json: settings come back as they were saved, and wrong ones are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.vocabulary import in_known_case, refusal, words
from kframes_plugin.prompt import PromptFormat, build_messages
from kframes_plugin.types import Frame


@pytest.mark.parametrize(
    "settings",
    [
        CheckpointSettings(),
        CheckpointSettings(64, 112, 200, PromptFormat("index", "both", "short", reasons=False, times=False)),
        CheckpointSettings(
            frame_size=(56, 42), vocabulary=("a", "red", "круг", "7"), prediction="scores", scores_layer=4
        ),
    ],
)
def test_settings_are_read_as_they_were_saved(tmp_path: Path, settings: CheckpointSettings) -> None:
    assert settings.save(tmp_path) == tmp_path / "kframes.json"
    assert CheckpointSettings.load(tmp_path / "kframes.json") == settings
    assert json.loads((tmp_path / "kframes.json").read_text())["query_position"] == settings.format.query_position


def test_a_file_with_some_keys_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "kframes.json"
    file.write_text('{"candidates": 32, "time_format": "index"}')
    loaded = CheckpointSettings.load(file)
    assert loaded == CheckpointSettings(candidates=32, format=PromptFormat(time_format="index"))
    assert (loaded.vocabulary, loaded.prediction, loaded.scores_layer, loaded.format.times) == (
        None,
        "text",
        None,
        True,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"time_fromat": "index"}', "unknown key 'time_fromat'; known are answer, candidates"),
        ('{"time_format": "hours"}', "time_format must be one of seconds, index; got 'hours'"),
        ('{"times": "yes"}', "times must be one of True, False; got 'yes'"),
        ('{"candidates": 0}', "candidates must be a whole number >= 1; got 0"),
        ('{"candidates": "64"}', "candidates must be a whole number >= 1; got '64'"),
        ('{"frame_size": 0}', "frame_size must be a whole number >= 1 or two of them; got 0"),
        ('{"frame_size": [56]}', r"frame_size must be a whole number >= 1 or two of them; got \(56,\)"),
        ('{"frame_size": [56, 0.5]}', r"frame_size must be .* got \(56, 0.5\)"),
        ('{"prediction": "dense"}', "prediction must be one of text, scores, both; got 'dense'"),
        ('{"scores_layer": 0}', "scores_layer must be a whole number >= 1 or None; got 0"),
        ('{"scores_layer": true}', "scores_layer must be a whole number >= 1 or None; got True"),
        ('{"vocabulary": []}', r"vocabulary must be a tuple of words, at least one, or None; got \(\)"),
        ('{"vocabulary": "red"}', "vocabulary must be a tuple of words, at least one, or None; got 'red'"),
        ('{"vocabulary": ["red", "Blue"]}', "vocabulary must hold single lower-case words; got 'Blue'"),
        ('{"vocabulary": ["red circle"]}', "vocabulary must hold single lower-case words; got 'red circle'"),
        ('{"vocabulary": ["what\'s"]}', 'vocabulary must hold single lower-case words; got "what\'s"'),
        ('{"vocabulary": [7]}', "vocabulary must hold single lower-case words; got 7"),
        ("[]", "a JSON object is needed; got list"),
        ("{", "Expecting property name"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "kframes.json"
    file.write_text(content)
    with pytest.raises(SelectorError, match=rf"kframes\.json cannot be used: {message}"):
        CheckpointSettings.load(file)


def test_words_are_runs_of_letters_and_of_digits() -> None:
    assert words("What's the BIG_red circle, No. 12b?") == ["what", "s", "the", "big", "red", "circle", "no", "12", "b"]
    assert words("Ein Café, ein Cafe\u0301") == ["ein", "café", "ein", "café"]
    assert words("🐶 ... !") == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("Find the RED circle!", None),
        ("red-circle 17", None),  # numbers do not count: the vocabulary has none
        ("the dog on the red Sofa; a dog", "'dog', 'sofa'"),
        ("redcircle", "'redcircle'"),
    ],
)
def test_unknown_words_are_named_once_in_their_order(query: str, named: str | None) -> None:
    why = refusal(query, ("find", "a", "on", "the", "red", "circle"))
    assert why.startswith(f"the query has words this model was never trained on: {named}; use a larger") or not named
    assert bool(why) == (named is not None)


def test_numbers_count_where_the_vocabulary_has_some() -> None:
    assert refusal("scene 7", ("scene", "7")) == ""
    assert "'8'" in refusal("scene 8", ("scene", "7"))


@pytest.mark.parametrize("query", ["?", "42", "🐶"])
def test_a_query_without_a_word_is_not_for_a_model_with_a_vocabulary(query: str) -> None:
    assert refusal(query, ("red",)).startswith("the query has no word that this model was trained on")


@pytest.mark.parametrize("time_format", ["index", "seconds"])
def test_frames_can_stand_without_their_times(time_format: str) -> None:
    frames = [Frame(i * 2.0, 2.0, Image.new("RGB", (8, 8))) for i in range(3)]
    bare = PromptFormat(time_format, "before", "short", times=False)
    kinds = [item["type"] for item in build_messages(frames, "red", bare)[0]["content"]]
    assert kinds == ["text", "image", "image", "image"]
    full = build_messages(frames, "red", PromptFormat(time_format, times=False))[0]["content"][-1]["text"]
    assert "stands its time" not in full
    assert "red" in full


def test_the_query_before_the_frames_is_all_that_the_short_form_says() -> None:
    frames = [Frame(i * 2.0, 2.0, Image.new("RGB", (8, 8))) for i in range(2)]
    content = build_messages(frames, "red", PromptFormat("index", "before", "short"))[0]["content"]
    assert [item.get("text", "image") for item in content] == ["red\n", "0", "image", "1", "image", "2"]


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("When is the Red circle shown?", "when is the red circle shown?"),
        ("A RED CIRCLE, marked go", "a red circle, marked GO"),
        ("marked GO", "marked GO"),
        ("Go there", "GO there"),
        ("Zebra 7b", "zebra 7b"),
    ],
)
def test_words_come_in_the_case_that_the_tokenizer_knows(query: str, known: str) -> None:
    single = {"when", "is", "the", "red", "circle", "shown", "a", "marked", "GO"}
    assert in_known_case(query, lambda text: 1 if text.strip() in single else len(text)) == known
