"""Second-turn questions: which of them go on from an earlier one, and what is then looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_families
from transformers import AutoProcessor
from video_maker import every, make_video

from kframes_plugin import Clip, KFrames
from kframes_plugin.query.follow_up import complete_question, stands_alone

GOES_ON = """And after that?
and then?
What happens next?
What happened before that?
Why?
How long?
When exactly?
Where is it?
Who is she?
What about him?
How about the dog?
And the red car?
But not the blue one?
What colour is his shirt?
Which team?
What colour?
How many of them are there?
How many goals does he score?
Does she come back?
When does it stop?
Who threw that?
Who is standing there?
Are you sure?
Show me more
Anything else?
After 1:30?
And in the last minute?
What does he hold in his hand?
Which one is faster?
Does this happen again?
What did they say about it?
Then what?"""
STANDS = """When is the goal scored?
a red car
What is the dog doing?
When does the man put his hat on?
When do people raise their hands?
When does it rain?
Is it night?
Is there a dog?
Are there any cars on the road?
What is this video about?
Who is that man in black?
When does the cup, which is red, lose its handle?
What happens after the goal?
the third scene with a train
What does the woman say about taxes?
Where does no one stand in the kitchen?
Who else scores a goal?
the moment that he falls off the horse, the man in the white hat
进球是什么时候
Wann fällt das Tor?
How many goals does Ann score?
dog"""


@pytest.mark.parametrize("question", GOES_ON.splitlines())
def test_questions_that_go_on(question: str) -> None:
    assert not stands_alone(question)
    text, earlier = complete_question(["a white dog", "When does the tall man fall?", question])
    assert (text, earlier) == (f"When does the tall man fall? {question}", "When does the tall man fall?")


@pytest.mark.parametrize("question", STANDS.splitlines())
def test_questions_that_stand_by_themselves(question: str) -> None:
    assert complete_question(["When does the tall man fall?", question]) == (question, "")


def test_a_first_question_is_left_as_it_is() -> None:
    assert complete_question(["And after that?"]) == ("And after that?", "")
    assert complete_question(["Why?", "And then?"]) == ("And then?", "")


def test_the_question_is_found_behind_others_that_go_on() -> None:
    chat = ["When does the dog jump?", "And then?", "Why?", "and after that?"]
    assert complete_question(chat)[0] == "When does the dog jump? and after that?"


@pytest.mark.parametrize(
    ("earlier", "last", "found"),
    [
        ("a red car in the first minute", "and after that?", "a red car. and after that?"),
        ("Who falls before 2:00?", "And in the last minute?", "Who falls? And in the last minute?"),
        ("Who falls before 2:00?", "Why?", "Who falls before 2:00? Why?"),
    ],
)
def test_another_time_takes_the_place_of_the_earlier_one(earlier: str, last: str, found: str) -> None:
    assert complete_question([earlier, last]) == (found, earlier)


def test_a_chat_with_two_turns_is_searched_for_both(tmp_path: Path) -> None:
    """Through the door of transformers: the selector sees the whole question, and a note says what was read."""
    from kframes_transformers import prepare, wrap

    asked = list[str]()

    def selector(frames: Any, query: str) -> list[Clip]:
        asked.append(query)
        return [Clip(1, 2)]

    film = make_video(tmp_path / "film.mp4", every(100, 40))
    processor = AutoProcessor.from_pretrained(tiny_families.smolvlm(tmp_path / "model"))
    kf = KFrames(selector, candidates=4)
    first = [{"type": "video", "video": str(film)}, {"type": "text", "text": "When does the dog jump?"}]
    chat = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": [{"type": "text", "text": "At the start."}]},
        {"role": "user", "content": [{"type": "text", "text": "And after that?"}]},
    ]
    wrap(processor, kf, k=2).apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
    prepared = prepare(chat, processor, kf, k=2)
    assert asked == ["When does the dog jump? And after that?"] * 2
    (note,) = (note for note in prepared.selections[0].notes if note.code == "question-earlier")
    assert note.text == 'reads "And after that?" together with the earlier question "When does the dog jump?"'
    assert prepare(chat, processor, kf, k=2, query="a cat").selections[0].query == "a cat"
    assert prepare(chat[:1], processor, kf, k=2).selections[0].query == "When does the dog jump?"
