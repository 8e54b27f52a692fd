"""The five ways to give a model selected frames with their true times, and which family reads which.

Chosen by what the processors of transformers 5.23 do with frames at 1, 30, 60 and 99 s (a test prints the prompts):

* native: one video with metadata; the processor writes the time of every frame itself.
* pairs: the same, every frame twice: the family fuses frames in pairs and would give two far ones one time.
* clips: one short video a key clip, its times as text before it; the family cannot say uneven times of one video.
* preamble: the times of all frames in one sentence, then one video; the family writes no times at all.
* interleaved: time as text, then the frame as an image, for every frame. Right everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

from kframes_plugin.output.messages import clip_of, video_metadata
from kframes_plugin.selection import Selection
from kframes_plugin.types import Clip, Frame

Style = Literal["auto", "native", "pairs", "clips", "preamble", "interleaved"]
Block = dict[str, Any]
Written = tuple[list[Block], list[dict[str, Any]]]  # chat blocks, and the metadata of the videos among them

FUSED = 0.5  # seconds: frames no further apart may share one pair; Qwen-VL itself samples at 2 frames a second
UNEVEN = 0.25  # share by which two steps may differ and still be called one rate

# By the name of the processor's class, so that nothing but the model's own module is imported.
FAMILIES: dict[str, Style] = {
    "SmolVLMProcessor": "native",
    "Gemma4Processor": "native",
    "Gemma4UnifiedProcessor": "native",
    "VideoLlama3Processor": "native",
    "Qwen3VLProcessor": "pairs",
    "Glm4vProcessor": "pairs",
    "Glm46VProcessor": "pairs",
    "Qwen2_5_VLProcessor": "clips",
    "Qwen2VLProcessor": "clips",
    "LlavaOnevisionProcessor": "preamble",
    "LlavaNextVideoProcessor": "preamble",
    "InternVLProcessor": "preamble",
}


def style_of(processor: Any) -> Style:
    """The style that a processor's family reads right: interleaved for every family not in the table.

    Interleaved too where the chat template has no place for a video.
    """
    for kind in type(processor).__mro__:
        if (style := FAMILIES.get(kind.__name__)) is not None:
            return style if takes_video(processor) else "interleaved"
    return "interleaved"


def takes_video(processor: Any) -> bool:
    """Whether a processor and its chat template have a place for videos."""
    template = getattr(processor, "chat_template", None)
    own = any(kind.__name__ == "SmolVLMProcessor" for kind in type(processor).__mro__)  # brings its own for videos
    return getattr(processor, "video_processor", None) is not None and (own or "video" in str(template))


def native(selection: Selection) -> Written:
    """One video with the true time of every frame."""
    return [_video(selection.images)], [selection.video_metadata()]


def pairs(selection: Selection) -> Written:
    """One video with every frame twice, so that each pair has one true time.

    Tokens are as many as for the same frames as images. These families share one budget of pixels over a video, so with
    many frames (Qwen3-VL: beyond some 24 million pixels in all) the frames get smaller.
    """
    twice = [image for image in selection.images for _ in range(2)]
    return [_video(twice)], [selection.video_metadata(repeat=2)]


def preamble(selection: Selection) -> Written:
    """The times in a sentence, then one video."""
    times = ", ".join(f"{time:.1f} s" for time in selection.timestamps)
    few = "this frame is" if len(selection.frames) == 1 else f"these {len(selection.frames)} frames are"
    text = f"The video lasts {selection.duration:.1f} s; {few} at {times}.\n"
    return [_text(text), _video(selection.images)], [selection.video_metadata()]


def interleaved(selection: Selection) -> Written:
    """Time, image, time, image ..."""
    blocks: list[Block] = []
    for frame in selection.frames:
        blocks += [_text(f"{frame.timestamp:.1f} s:"), {"type": "image", "image": frame.image}]
    return blocks, []


def clips(selection: Selection) -> Written:
    """One video for every run of frames of one clip at an even rate, ``[30.0s-32.0s]`` before it.

    Its metadata has the run's own length, so that the step Qwen2.5-VL computes is the true one. Frames further apart
    than half a second are given twice, since the family fuses pairs.
    """
    blocks: list[Block] = []
    metadata: list[dict[str, Any]] = []
    for run in even_runs(selection.frames, selection.clips):
        step = run[1].timestamp - run[0].timestamp if len(run) > 1 else max(run[0].duration, 0.001)
        repeat = 1 if len(run) > 1 and step <= FUSED else 2
        first, last = run[0].timestamp, run[-1].timestamp
        label = f"[{first:.1f}s-{last:.1f}s]" if len(run) > 1 else f"[{first:.1f}s]"
        blocks += [_text(label), _video([frame.image for frame in run for _ in range(repeat)])]
        metadata.append(video_metadata(run, step * len(run), repeat=repeat))
    return blocks, metadata


def even_runs(frames: Sequence[Frame], key_clips: Sequence[Clip]) -> Iterator[list[Frame]]:
    """Frames in a row that lie in one clip and are equally far apart; a frame outside the clips is alone."""
    places = [clip_of(frame, key_clips) for frame in frames]
    gaps = [later.timestamp - frame.timestamp for frame, later in pairwise(frames)]
    run: list[int] = []
    for number, place in enumerate(places):
        fits = bool(run) and place is not None and place == places[run[-1]]
        if fits and len(run) > 1:
            fits = abs(gaps[number - 1] - gaps[run[0]]) <= UNEVEN * gaps[run[0]]
        if run and not fits:
            yield [frames[n] for n in run]
            run = []
        run.append(number)
    if run:
        yield [frames[n] for n in run]


STYLES: dict[str, Callable[[Selection], Written]] = {
    "native": native,
    "pairs": pairs,
    "clips": clips,
    "preamble": preamble,
    "interleaved": interleaved,
}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _video(images: list[Any]) -> Block:
    return {"type": "video", "video": images}
