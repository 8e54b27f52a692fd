"""Times in words: phrases with the spans they name, and queries that look like times and are none."""

from __future__ import annotations

import numpy as np
import pytest

from kframes_plugin.query.read import ReadQuery, read_query

DURATION = 600.0  # seconds of the film of the table, ten frames a second
SCENES = [(0.0, 100.0), (100.0, 250.0), (250.0, 400.0), (400.0, 600.0)]


def read(query: str, duration: float = DURATION) -> ReadQuery:
    return read_query(query, [], duration, np.arange(0, duration, 0.1), lambda: SCENES)


# query | what is left for the selector ("" where it is time alone) | spans in seconds
PHRASES = """
the cat in the first minute | the cat | 0-60
in the first minute | | 0-60
the first minute | | 0-60
First minute | | 0-60
who enters within the first minute? | who enters? | 0-60
In the first minute, who enters? | who enters? | 0-60
the first two minutes | | 0-120
the dog during the first 30 seconds | the dog | 0-30
the first 30s | | 0-30
the first thirty-five seconds | | 0-35
the first 90 secs of the video | | 0-90
over the first five minutes a man cooks | a man cooks | 0-300
in the first two and a half minutes | | 0-150
in the first minute and a half | | 0-90
in the first half minute | | 0-30
in the opening minute | | 0-60
in the opening two minutes | | 0-120
in the first 2 minutes and 30 seconds | | 0-150
in the first couple of minutes | | 0-120
in the first few minutes | | 0-300
for the first 20 seconds | | 0-20
the very first minute | | 0-60
a car in the first hundred seconds | a car | 0-100
a car in the first one hundred and twenty seconds | a car | 0-120
the video's first minute | | 0-60
the first minute of the film | | 0-60
last 20 seconds | | 580-600
the goal in the last 20 seconds | the goal | 580-600
the last minute | | 540-600
in the last minute of the video | | 540-600
during the final ten seconds | | 590-600
during the final minute | | 540-600
in the closing minutes | | 420-600
in the last minute and a half | | 510-600
What happens in the final 30 seconds? | | 570-600
the last half minute | | 570-600
in the final seconds of the movie | | 590-600
the third minute | | 120-180
in the third minute | | 120-180
a bird in the 3rd minute | a bird | 120-180
in the second-to-last minute | | 480-540
in the second minute of the video | | 60-120
in the twenty-first second | | 20-21
the fourth to sixth minute | | 180-360
in the first and last minute | | 0-60, 540-600
in the first and the third minute | | 0-60, 120-180
in the first or second minute | | 0-120
second half | | 300-600
the second half | | 300-600
a goal in the second half | a goal | 300-600
in the first half of the video | | 0-300
the first third | | 0-200
the last third | | 400-600
in the final quarter of the video | | 450-600
in the first two thirds of the video | | 0-400
in the second quarter | | 150-300
the last fifth of the clip | | 480-600
the middle third | | 200-400
in the middle ten seconds | | 295-305
the first 10% of the video | | 0-60
in the last 25 percent of the video | | 450-600
in the last scene | | 400-600
the third scene | | 250-400
a red car in the third scene | a red car | 250-400
in the opening scene | | 0-100
in the final scene of the film | | 400-600
in the second-to-last scene | | 250-400
in the penultimate scene | | 250-400
in scene 2 | | 100-250
scenes 2 to 4 | | 100-600
in scenes 1 and 3 | | 0-100, 250-400
the first two scenes | | 0-250
in the last two scenes | | 250-600
from the second to the third scene | | 100-400
from the second scene to the fourth scene | | 100-600
from the third scene on | | 250-600
after the second scene | | 250-600
before the last scene | | 0-400
in the 2nd scene | | 100-250
at the end of the third scene | | 370-400
the first ten seconds of the last scene | | 400-410
in the first scene of the second half | | 300-400
at 1:30 | | 85-95
what is shown at 1:30? | | 85-95
the man at 1:30 | the man | 85-95
At 01:30, who speaks? | who speaks? | 85-95
1:30 | | 85-95
at 0:01:30 | | 85-95
exactly at 2:00 | | 115-125
@ 2:00 | | 115-125
at the 1:30 mark | | 85-95
at the two-minute mark | | 90-150
at the 90 second mark | | 85-95
around 75 s | | 65-85
around 1:30 | | 80-100
near 2:00 | | 110-130
about 1:30 | | 80-100
at about 2:00 | | 110-130
at 90 seconds | | 85-95
at 75s | | 70-80
at five minutes | | 270-330
at 2m30s | | 145-155
at 2 min 30 sec | | 145-155
at minute 3 | | 180-240
in minute 3 | | 180-240
during minute two | | 120-180
in minutes 3 and 5 | | 180-240, 300-360
at second 45 | | 40-50
at 0:10, 0:20 and 0:30 | | 5-35
at 1:00 or at 3:00 | | 55-65, 175-185
at 1:00 and 3:00 | | 55-65, 175-185
between 2:00 and 3:00 | | 120-180
the cat between 2:00 and 3:00 | the cat | 120-180
between minute 3 and 5 | | 180-300
between minute 3 and minute 5 | | 180-300
between 10 and 20 seconds | | 10-20
between two and three minutes | | 120-180
between 1 minute and 2 minutes 30 seconds | | 60-150
between 1m30s and 2m | | 90-120
between 3:00 and 2:00 | | 120-180
from minute 3 to 5 | | 180-300
from 3 to 5 minutes | | 180-300
from 2:00 to 3:00 | | 120-180
from 2:00 until 3:00, who speaks? | who speaks? | 120-180
from 9:00 to the end | | 540-600
from 9:00 to the end of the video | | 540-600
from the beginning to 1:00 | | 0-60
from 1:30 for 20 seconds | | 90-110
2:00-3:00 | | 120-180
2:00 – 3:00 | | 120-180
(0:10-0:20) the cat | the cat | 10-20
the cat 0:10-0:20 | the cat | 10-20
[1:00 - 1:30] | | 60-90
from 0:10 to 0:20 and from 0:40 to 0:50 | | 10-20, 40-50
after ten minutes of the video | after ten minutes of the video | outside
after two minutes | | 120-600
after 2 minutes, who speaks? | who speaks? | 120-600
the dog after 1:30 | the dog | 90-600
shortly after 5:00 | | 300-600
after the first minute | | 60-600
after the first half | | 300-600
after the halfway mark | | 300-600
past 9:00 | | 540-600
since 5:00 | | 300-600
from 2:00 on | | 120-600
the dog from 2:00 onwards | the dog | 120-600
starting at 8:00 | | 480-600
from minute 3 | | 180-600
before 0:45 | | 0-45
the cat before 0:45 | the cat | 0-45
before the last minute | | 0-540
before two minutes | | 0-120
until 1:00 | | 0-60
until the end of the first minute | | 0-60
up to 2:30 | | 0-150
prior to 1:00 | | 0-60
after 1:00 and before 2:00 | | 60-120
after 1:00 but before 2:00 | | 60-120
before 0:10 or after 9:00 | | 0-10, 540-600
before 0:10 and after 9:00 | | 0-10, 540-600
in the second half, after 400 s | | 400-600
at the beginning of the video | | 0-120
at the beginning | | 0-120
at the start of the clip, a dog | a dog | 0-120
who speaks at the start? | who speaks? | 0-120
at the end of the video | | 480-600
who wins at the end? | who wins? | 480-600
near the end of the film | | 480-600
at the very end | | 480-600
in the middle | | 200-400
in the middle of the video | | 200-400
what happens in the middle? | | 200-400
5 minutes in | | 270-330
ten seconds in | | 5-15
what happens 5 minutes into the video? | | 270-330
about 5 minutes in | | 240-360
a minute and a half in | | 60-120
halfway through | | 270-330
halfway through the video | | 270-330
a third of the way through the video | | 170-230
at 50% of the video | | 270-330
30 seconds before the end | | 565-575
10 seconds after 1:00 | | 65-75
the 30 seconds after 1:00 | | 60-90
the first 10 seconds after 1:00 | | 60-70
the last 10 seconds of the first minute | | 50-60
not in the first minute | | 60-600
the dog, but not in the first minute | the dog | 60-600
everything except the last minute | | 0-540
outside the first half | | 300-600
the cat in the first minute and the dog in the last minute | the cat and the dog | 0-60, 540-600
a dog in the first half or in the last minute | a dog | 0-300, 540-600
show me the last 20 seconds | | 580-600
What happens in the last minute? | | 540-600
summarize the second half of the video | | 300-600
describe what we see between 1:00 and 2:00 | | 60-120
at the end of the first minute | | 48-60
at 1h05m | at 1h05m | outside
the cat at 1h05 | the cat at 1h05 | outside
in the eighth scene | in the eighth scene | outside
the 11th minute | the 11th minute | outside
"""

ROWS = [[part.strip() for part in line.split("|")] for line in PHRASES.strip().splitlines()]


def to_spans(text: str) -> list[tuple[float, float]]:
    return [(float(start), float(end)) for start, end in (span.split("-") for span in text.split(","))]


@pytest.mark.parametrize(("query", "rest", "spans"), ROWS, ids=[row[0] for row in ROWS])
def test_a_phrase_of_time_is_spans_and_the_rest_is_the_query(query: str, rest: str, spans: str):
    found = read(query)
    if spans == "outside":
        assert (found.text, found.spans, [note.code for note in found.notes]) == (query, (), ["time-outside"])
        return
    assert [note.code for note in found.notes] == ["time-read"]
    assert [pytest.approx(span, abs=0.01) for span in to_spans(spans)] == list(found.spans)
    assert found.text == rest
    assert [(clip.start, clip.end) for clip in found.clips] == ([] if rest else list(found.spans))


TRAPS = """
the first person who enters
first aid
the second car
half a pizza
last name
five minutes of fame
10:1 odds
at 5 dollars
the 1:10 scale model
after ten pushups
second-hand shop
the last minute goal
a last-minute decision
he changes his mind at the last minute
at the eleventh hour
wait a second
just a minute
a ten minute walk
after a ten-minute walk
after ten minutes of silence
after 5 minutes in the oven
after five minutes later
ten minutes later
two hours ago
boil it for five minutes
stir for 10 to 20 seconds
takes about an hour
he waits around ten minutes
every five minutes
twice a minute
three minutes per mile
a 30 second clip
at 10:30 am
at 7:15 p.m.
at 5 o'clock
at 10:30 in the morning
the 3:10 to Yuma
the 7:45 train
a 16:9 picture
mixed 1:10 with water
John 3:16
at 60 fps
at 5 m height
the song of the 80s
from the 80s to the 90s
in his last minute
her final hour
every last second
a second chance
after a second attempt
the second half of the pizza
the first half of the game
in the first minute of the match
the first third of the cake
the last quarter of the year
his better half
the second one
first base
third base
the third man
a first lady
the last supper
the last samurai
the crime scene
behind the scenes
the first scene with a dog
the second scene in which he cries
the scene changes
make a scene
at the end of the table
in the middle of the road
the man in the middle
the house at the end of the street
in the end she wins
at the start line
the beginning of the race
the end credits
the start button
between 2 and 3 people
between the cars
from 3 to 5 players
from left to right
before the goal
after the goal is scored
two seconds before he falls
30 seconds after the whistle
until he leaves
the minute hand of a clock
an hour glass
happy hour
rush hour traffic
60 Minutes
a number on the wall: 12
a clock that says 10:10
she is 5 feet tall
a quarter past two
halfway up the stairs
they meet halfway
a third of the class
in ten minutes or less
two and a half men
one in three people
first things first
second to none
a split second
seconds of terror
the score is 2:10
wins by 3 seconds
with two minutes left
a countdown from ten
5 minutes in the sun
ten seconds in silence
the man with a second dog in the first row
room 101
at number 10
around ten people
after three attempts
under two minutes
more than five minutes long
the opening of the door
closing time
the final whistle
the last one at the bar
"""


@pytest.mark.parametrize("query", TRAPS.strip().splitlines())
def test_what_only_looks_like_a_time_is_left_alone(query: str):
    assert read(query) == ReadQuery(query, ())


def test_the_tables_are_as_long_as_promised():
    assert len({row[0] for row in ROWS}) == len(ROWS) >= 150
    assert len(set(TRAPS.strip().splitlines())) >= 80
