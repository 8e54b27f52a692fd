"""The words of SynthScenes: motions, the wordings of queries, and nouns that training leaves out."""

DOING = {
    "across": ("moving across", "crossing"),
    "bounce": ("bouncing", "jumping"),
    "spin": ("spinning", "rotating"),
    "grow": ("growing", "swelling"),
    "blink": ("blinking", "flashing"),
}
FIND = (
    "{a}",
    "{the}",
    "find {the}",
    "show me {a}",
    "when is {a} shown?",
    "where do we see {the}?",
    "at what time does {a} appear?",
    "the moment with {a}",
    "in which part is there {a}?",
    "look for {the}",
)
ASK = {
    "colour": ("what colour is {the}?", "which colour does {the} have?", "name the colour of {the}"),
    "shape": ("what shape is {the}?", "which form does {the} have?", "name the shape of {the}"),
    "background": ("what background is behind {the}?", "which background has {the}?"),
    "label": ("what is written in the scene with {the}?", "which text stands beside {the}?"),
}
AFTER = ("what comes right after {the}?", "the scene right after {the}", "what follows {the}?")
BEFORE = ("what comes right before {the}?", "the scene right before {the}", "what precedes {the}?")
COUNT = ("how often does {a} appear?", "count every {it}", "all scenes with {a}", "every time {a} is shown")
WHOLE = (
    "what is the video about?",
    "summarise the video",
    "describe the whole video",
    "what happens overall?",
    "give an overview",
)
# Nouns that no scene ever shows and that are never trained on: queries of the dev and test splits name them.
UNKNOWN = [
    "elephant",
    "airplane",
    "umbrella",
    "dentist",
    "volcano",
    "keyboard",
    "penguin",
    "lighthouse",
    "sandwich",
    "motorcycle",
    "dancer",
    "waterfall",
    "goalkeeper",
    "telescope",
    "mushroom",
    "submarine",
    "carpet",
    "judge",
    "wedding",
    "tractor",
    "octopus",
    "fireworks",
    "newspaper",
    "surgeon",
]
# attributes that a needle names, each as likely as often as it stands here
NEEDLES = (
    ("colour", "shape"),
    ("colour", "shape"),
    ("colour", "shape", "background"),
    ("label",),
    ("shape", "background"),
    ("colour", "background"),
    ("colour",),
    ("shape",),
)
