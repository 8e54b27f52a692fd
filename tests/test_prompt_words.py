"""Lines of a transcript in prompts: where they stand, within which budget, and that nothing changes without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_families
from loopback_chat import Server
from PIL import Image
from subtitled_film import make_film
from transformers import AutoProcessor

from kframes_plugin import Clip, KFrames
from kframes_plugin.chat.images import with_data_urls
from kframes_plugin.prompt import PromptFormat, build_messages
from kframes_plugin.prompt.lines import TOKENS, choose_lines, estimate_tokens, write_line
from kframes_plugin.selectors.remote import RemoteSelector
from kframes_plugin.types import Candidates, Frame, Line

LINES = (
    Line(0.5, 2.0, "One fine day"),
    Line(4.0, 6.0, "two dogs met."),
    Line(4.5, 7.0, "Then rain came"),
    Line(13.0, 14.0, "and all was wet"),
)
QUERY = "the dogs"
TASK = """
These are 3 frames of a video of 15.0 seconds. Before each frame stands its time.{between}
Which clips of the video must be seen to answer this query?
Query: the dogs
Answer with nothing but a JSON list of clips, the best first:
[{{"start": seconds, "end": seconds, "priority": "P1" or "P2", "reason": at most 20 words}}]
"P1" clips answer the query, "P2" clips help. If nothing matches, answer []."""
BETWEEN = " Between them stands what is said, with its time in seconds."
SAID = (
    '[0.5-2.0 s] said: "One fine day"\n',
    '[4.0-6.0 s] said: "two dogs met."\n[4.5-7.0 s] said: "Then rain came"\n',
    '[13.0-14.0 s] said: "and all was wet"\n',
)


def candidates(lines: tuple[Line, ...] = LINES) -> Candidates:
    frames = [Frame(time, 5.0, Image.new("RGB", (56, 56), (int(time) * 10, 90, 60))) for time in (1.0, 5.0, 10.0)]
    return Candidates(frames, 15.0, transcript=lines)


def golden(image: str, with_lines: bool) -> str:
    """What a model reads, ``image`` in place of every frame."""
    said = SAID if with_lines else ("", "", "")
    frames = [
        f"{before}<{time} seconds>{image}"
        for before, time in zip((said[0], said[1], ""), ("1.0", "5.0", "10.0"), strict=True)
    ]
    return "".join(frames) + said[2] + TASK.format(between=BETWEEN if with_lines else "")


def texts_of(messages: list[dict[str, Any]], image: str = "|") -> str:
    """The prompt with a mark in place of every image."""
    return "".join(item["text"] if item["type"] == "text" else image for item in messages[0]["content"])


def test_without_a_budget_or_without_lines_prompts_are_as_they_were() -> None:
    assert texts_of(build_messages(candidates(), QUERY)) == golden("|", False)
    assert texts_of(build_messages(candidates(()), QUERY, transcript_tokens=TOKENS)) == golden("|", False)


def test_lines_stand_between_the_frames_at_their_times() -> None:
    assert texts_of(build_messages(candidates(), QUERY, transcript_tokens=TOKENS)) == golden("|", True)


@pytest.mark.parametrize("name", tiny_families.FAMILIES)
def test_golden_prompts_of_every_family(name: str, tmp_path: Path) -> None:
    processor = AutoProcessor.from_pretrained(getattr(tiny_families, name)(tmp_path / name))

    def render(content: list[dict[str, Any]]) -> str:
        text: str = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        return text

    picture, nothing = {"type": "image", "image": candidates()[0].image}, {"type": "text", "text": "@"}
    head, tail = render([nothing]).split("@")
    image = render([picture, nothing]).removeprefix(head).removesuffix(f"@{tail}")
    for tokens in (0, TOKENS):
        messages = build_messages(candidates(), QUERY, transcript_tokens=tokens)
        assert render(messages[0]["content"]) == head + golden(image, tokens > 0) + tail

    def count(text: str) -> int:
        return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    for budget in (0, 20, 60, 120, 400):
        messages = build_messages(candidates(), QUERY, transcript_tokens=budget, count=count)
        spent = [count(item["text"]) for item in messages[0]["content"] if " said: " in item.get("text", "")]
        assert sum(spent) <= budget
    assert len(spent) == 3  # all fit in the largest


def test_index_times_and_frames_without_times_take_lines_too() -> None:
    by_index = PromptFormat(time_format="index", query_position="before")
    text = texts_of(build_messages(candidates(), QUERY, by_index, transcript_tokens=TOKENS))
    assert f"{SAID[0]}<frame 0>|{SAID[1]}<frame 1>|<frame 2>|{SAID[2]}<frame 3>" in text
    text = texts_of(build_messages(candidates(), QUERY, PromptFormat(times=False), transcript_tokens=TOKENS))
    assert text.startswith(f"{SAID[0]}|{SAID[1]}||{SAID[2]}")


def test_the_lines_nearest_to_the_frames_are_kept() -> None:
    lines = [Line(place * 10.0, place * 10.0 + 2.0, f"line {place}") for place in range(100)]
    cost = estimate_tokens(write_line(lines[50]))
    kept = choose_lines(lines, [205.0, 601.0], 5 * cost)
    assert [line.text for line in kept] == ["line 20", "line 21", "line 59", "line 60", "line 61"]
    assert choose_lines(lines, [205.0], 0) == []


def test_estimates_are_rather_too_many() -> None:
    assert estimate_tokens("two dogs met.") == 5
    assert estimate_tokens("犬") == 1
    assert estimate_tokens("") == 0


def test_a_model_is_asked_with_lines_and_one_that_was_trained_without(tmp_path: Path) -> None:
    from kframes_plugin.mllm.checkpoint import CheckpointSettings
    from kframes_plugin.selectors.mllm import MLLMSelector

    untrained = MLLMSelector.from_pretrained(tiny_families.qwen2_5_vl(tmp_path / "qwen"), device="cpu")
    silent, spoken = (untrained(candidates(lines), QUERY).cost.tokens_in for lines in ((), LINES))
    assert spoken > silent + 40
    trained = MLLMSelector(untrained.model, untrained.processor, settings=CheckpointSettings(max_new_tokens=4))
    asked = [trained(candidates(lines), QUERY).cost.tokens_in for lines in ((), LINES)]
    assert asked[0] == asked[1]


def test_a_server_is_asked_with_lines() -> None:
    server = Server(lambda body: "[]")
    selector = RemoteSelector.from_url(server.url)
    selector(candidates(), QUERY)
    RemoteSelector.from_url(server.url, transcript_tokens=0)(candidates(), QUERY)
    server.close()
    prompts = [texts_of(json.loads(entry["body"])["messages"]) for entry in server.log]
    assert prompts == [golden("|", True), golden("|", False)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen seconds with the lines as subtitles."""
    spoken = [(line.start, line.end, line.text) for line in LINES]
    return make_film(tmp_path_factory.mktemp("film") / "rain.mkv", [("subrip", "eng", spoken)], length=15.0)


KF = KFrames(lambda frames, query: [Clip(4.0, 7.0, "P1", "dogs")], candidates=8)


def test_answers_get_lines_on_request(film: Path) -> None:
    selection = KF.select(film, QUERY, 2)
    first, second = (f"{time:.1f} s:" for time in selection.timestamps)
    off = f"{first}|{second}|How many?"
    assert texts_of(selection.to_messages("How many?")) == off
    on = texts_of(selection.to_messages("How many?", transcript=True))
    assert on == f"{SAID[0]}{SAID[1]}{first}|{second}|How many?"  # both lines begin before the first frame
    assert selection.to_openai("How many?", transcript=True) == with_data_urls(
        selection.to_messages("How many?", transcript=True)
    )
    assert texts_of(selection.to_openai("How many?")) == off
    assert selection.transcript_text() == "What is said:\n" + "".join(map(write_line, selection.transcript))
    assert selection.transcript_text(0) == ""
    silent = KF.select(film, QUERY, 2, transcript=None)
    assert texts_of(silent.to_messages("How many?", transcript=True)) == off
    assert silent.transcript_text() == ""


def test_prepare_puts_the_lines_after_the_frames(film: Path, tmp_path: Path) -> None:
    from kframes_transformers import prepare

    chat = [{"role": "user", "content": [{"type": "video", "video": str(film)}, {"type": "text", "text": QUERY}]}]
    for name in ("qwen2_5_vl", "gemma3"):
        processor = AutoProcessor.from_pretrained(getattr(tiny_families, name)(tmp_path / name))
        off = prepare(chat, processor, KF, 2).messages[0]["content"]
        on = prepare(chat, processor, KF, 2, transcript=True)
        said = {"type": "text", "text": on.selections[0].transcript_text()}
        assert [item.get("text") for item in on.messages[0]["content"]] == [
            *(item.get("text") for item in off[:-1]),
            said["text"],
            QUERY,
        ]
        assert LINES[1].text in said["text"]
        assert prepare(chat, processor, KF, 2).processor_kwargs == on.processor_kwargs
