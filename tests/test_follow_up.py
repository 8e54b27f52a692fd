"""Second-turn questions: which of them go on from an earlier one, and what is then looked for."""

from __future__ import annotations

import pytest

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
