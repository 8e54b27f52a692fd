"""ENGLISH: what people say about time, as a table; see :class:`~kframes_plugin.query.time_words.TimeWords`."""

from __future__ import annotations

from kframes_plugin.query.time_words import Entries, TimeWords


def _set(text: str) -> Entries:
    """Entries apart by "|" or, where there is none, by spaces."""
    return frozenset(entry.strip() for entry in (text.split("|") if "|" in text else text.split()))


_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NTHS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
_NTH_TENS = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"
_NOUNS = "video film movie clip footage recording episode documentary vlog videos"
_VIDEOS = frozenset(f"{the} {noun}" for noun in _NOUNS.split() for the in ("the", "this", "the whole", "the entire"))
_PLACES = {"beginning": 0.0, "start": 0.0, "middle": 0.5, "end": 1.0, "ending": 1.0}

ENGLISH = TimeWords(
    language="English",
    numbers={
        **{word: n for n, word in enumerate([*_ONES.split(), "eighteen", "nineteen"])},
        **{word: 20 + 10 * n for n, word in enumerate(_TENS.split())},
    },
    hundred=_set("hundred"),
    ordinals={
        **{word: 1 + n for n, word in enumerate(_NTHS.split())},
        **{word: 20 + 10 * n for n, word in enumerate(_NTH_TENS.split())},
        "fifteenth": 15,
        "sixteenth": 16,
        "seventeenth": 17,
        "eighteenth": 18,
        "nineteenth": 19,
        "opening": 1,
        "very first": 1,
    },
    ordinal_endings=_set("st nd rd th"),
    from_end={
        **dict.fromkeys(("last", "very last", "final", "closing", "latter"), -1),
        **dict.fromkeys(("penultimate", "next - to - last", "next to last", "last but one"), -2),
    },
    to_last=_set("- to - last|to last|last|from last|from the end"),
    firsts=_set("first|very first|opening"),
    lasts=_set("last|very last|final|closing"),
    middles=_set("middle|central"),
    units={
        **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), 1.0),
        **dict.fromkeys(("minute", "minutes", "min", "mins"), 60.0),
        **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), 3600.0),
    },
    long_units=_set("second seconds sec minute minutes min hour hours"),
    compound_units={"m": 60.0},
    plurals=_set("seconds secs minutes mins hours hrs"),
    vague_plurals={"seconds": 10, "secs": 10, "minutes": 3, "mins": 3, "hours": 2, "hrs": 2},
    vague={"a few": 5, "few": 5, "several": 7, "a couple of": 2, "couple of": 2, "a couple": 2, "couple": 2},
    ones=_set("a an"),
    never_one=_set("second sec s"),
    parts={
        **dict.fromkeys(("half a", "half an", "a half"), 0.5),
        **dict.fromkeys(("a quarter of a", "a quarter of an", "quarter of an"), 0.25),
        **dict.fromkeys(("three quarters of a", "three quarters of an"), 0.75),
    },
    and_half=frozenset({"and a half"}),
    fractions={
        **dict.fromkeys(("half", "halves"), 1 / 2),
        **dict.fromkeys(("third", "thirds"), 1 / 3),
        **dict.fromkeys(("quarter", "quarters", "fourth", "fourths"), 1 / 4),
        **dict.fromkeys(("fifth", "fifths"), 1 / 5),
        **dict.fromkeys(("tenth", "tenths"), 1 / 10),
    },
    ands=_set("and & but"),
    ors=_set("or"),
    commas=_set(", ;"),
    to=_set("to until till through"),
    dashes=_set("- – —"),
    articles=_set("the"),
    approximately=_set("about|around|roughly|approximately|approx|exactly|precisely|almost|nearly|~|circa|just"),
    of=_set("of"),
    in_videos=_set("of in from"),
    videos=_VIDEOS | _set(_NOUNS.removesuffix(" videos")),
    video_owners=frozenset(f"{video}'s" for video in _VIDEOS),
    places={**_PLACES, **{f"very {word}": share for word, share in _PLACES.items()}},
    place_phrases={
        f"{at} {place}": share
        for at in ("at the", "near the", "around the", "toward the", "towards the", "right at the", "close to the")
        for place, share in {
            "beginning": 0.0,
            "start": 0.0,
            "very beginning": 0.0,
            "very start": 0.0,
            "end": 1.0,
            "very end": 1.0,
        }.items()
    }
    | {"in the beginning": 0.0},
    weak_phrases={"in the middle": 0.5, "around the middle": 0.5, "near the middle": 0.5},
    halfways=_set("halfway mark|half - way mark|halfway point|half - way point|midpoint|mid - point"),
    marks=_set("mark point"),
    scenes=_set("scene scenes"),
    not_scenes=_set("change changes cut cuts transition transitions number partner stealer"),
    into=_set("in into"),
    through=_set("through in into"),
    halfway=_set("halfway|half - way|midway|mid - way"),
    way=frozenset({"of the way"}),
    percent=_set("% percent"),
    from_end_of=_set("from the end|before the end|from the very end|before the very end|to the end|before it ends"),
    from_start_of=_set("from the start|after the start|from the beginning|after the beginning"),
    inside=_set("in|during|within|over|throughout|through|inside|across|for|of|only in|only during|somewhere in"),
    at=_set("at|@|right at|exactly at|starting at|beginning at|only at"),
    around=_set("around|near|circa|close to|~|at around|at about|at roughly|at approximately|sometime around"),
    loosely=_set("about approximately roughly approx"),
    after=_set("after|past|beyond|following|later than"),
    before=_set("before|prior to|earlier than|preceding"),
    until=_set("until|till|til|up to|up until"),
    since=_set("since|starting from|beginning from|starting at|beginning at|starting with"),
    from_=_set("from"),
    between=_set("between"),
    onwards=_set("on|onward|onwards|and on|and onwards|and later|forward"),
    lasting=_set(
        "take takes took taking last lasts lasted lasting wait waits waited waiting need needs needed"
        " is was be for stay"
        " stays stayed run runs ran spend spends spent cook cooks"
    ),
    not_in=_set(
        "not|but not|except|except for|everything but|all but|apart from|excluding|excluding the"
        "|outside|outside of|skip|skipping|ignoring|other than"
    ),
    lasting_for=_set("for|for the next|and the next"),
    fillers=_set(
        "what what's whats who's happens happen happened happening occurs occurred goes going on is are was were be"
        " do does did we i you can could see seen show shows showed shown me us give find select pick"
        " take get the a an of"
        " in to from at and or all any every only just please describe summarize summarise explain there this that it"
        " frame frames keyframe keyframes part parts section segment moment moments bit scene video film movie clip"
        " footage everything anything something look watch about during whole detail details"
    ),
    owners=_set(
        "his her its their my your our this that another every each no any some a an one by with"
        " without than like as to"
    ),
    spent=_set("in on at under with without inside spent from into of for between among"),
    not_lengths=_set(
        "later long late early earlier ago old apart away ahead behind left remaining per each every delay walk drive"
        " ride flight break pause after before mile lap short fast slow slower faster more less longer shorter flat"
        " drill hand hands rule read wide"
    ),
    not_clocks=_set(
        "am|pm|a . m|p . m|o'clock|scale|ratio|odds|model|aspect|mix|train|flight|bus|to|in the morning"
        "|in the afternoon|in the evening|at night|on the clock|of"
    ),
    doing=("ing",),
    describing=_set("with where when in which that showing containing featuring who whose without involving on at"),
    asides=_set("right|just|shortly|soon|immediately|only|anytime|any time|sometime|directly|some time"),
    decades=_set("the early late mid '"),
    idioms=_set(
        "at the last minute|at the last second|at the eleventh hour|the eleventh hour|behind the scenes"
        "|at the last hour"
        "|until the last minute|till the last minute|until the last second|to the last second|to the last minute"
        "|in the end|at the end of the day|second to none"
    ),
)
