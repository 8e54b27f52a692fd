"""The ways to give a model frames with their true times, and which family of processors reads which. Pure.

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

from kframes_plugin.clips.geometry import clip_of
from kframes_plugin.types import Clip, Frame

Style = Literal["auto", "native", "pairs", "clips", "preamble", "interleaved"]
Block = dict[str, Any]
Written = tuple[list[Block], list[dict[str, Any]]]  # chat blocks, and the metadata of the videos among them

MILLISECONDS = 1000.0
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


def video_metadata(frames: Sequence[Frame], duration: float, *, repeat: int = 1) -> dict[str, Any]:
    """Metadata of frames passed as one video: the fields of ``transformers.video_utils.VideoMetadata``.

    Processors take the time of a frame to be ``frames_indices[i] / fps``. With an average frame rate that is wrong
    for a video of variable rate (true 1.667 s, computed 3.683 s), so the grid is a frame a millisecond.

    Args:
        frames: the frames in time order, at least one.
        duration: length of what they stand for, seconds: the whole video, or one clip.
        repeat: how often every frame is passed, >= 1. Two for models that fuse frames in pairs (Qwen-VL, GLM-V).

    Returns:
        ``total_num_frames`` (milliseconds), ``fps`` (1000.0), ``duration`` (seconds), ``frames_indices``
        (milliseconds from the start of the video).

    Raises:
        ValueError: repeat < 1, no frames.
    """
    if repeat < 1:
        raise ValueError(f"repeat must be at least 1; got {repeat}")
    if not frames:
        raise ValueError("there are no frames, so there is no video to describe")
    return {
        "total_num_frames": max(1, round(duration * MILLISECONDS)),
        "fps": MILLISECONDS,
        "duration": duration,
        "frames_indices": [round(f.timestamp * MILLISECONDS) for f in frames for _ in range(repeat)],
    }


def native(frames: Sequence[Frame], duration: float, key_clips: Sequence[Clip] = ()) -> Written:
    """One video with the true time of every frame."""
    return [_video(frames)], [video_metadata(frames, duration)]


def pairs(frames: Sequence[Frame], duration: float, key_clips: Sequence[Clip] = ()) -> Written:
    """One video with every frame twice, so that each pair has one true time.

    Tokens are as many as for the same frames as images. These families share one budget of pixels over a video, so with
    many frames (Qwen3-VL: beyond some 24 million pixels in all) the frames get smaller.
    """
    return [_video(frames, 2)], [video_metadata(frames, duration, repeat=2)]


def preamble(frames: Sequence[Frame], duration: float, key_clips: Sequence[Clip] = ()) -> Written:
    """The times in a sentence, then one video."""
    times = ", ".join(f"{frame.timestamp:.1f} s" for frame in frames)
    few = "this frame is" if len(frames) == 1 else f"these {len(frames)} frames are"
    text = f"The video lasts {duration:.1f} s; {few} at {times}.\n"
    return [_text(text), _video(frames)], [video_metadata(frames, duration)]


def interleaved(frames: Sequence[Frame], duration: float, key_clips: Sequence[Clip] = ()) -> Written:
    """Time, image, time, image ..."""
    blocks: list[Block] = []
    for frame in frames:
        blocks += [_text(f"{frame.timestamp:.1f} s:"), {"type": "image", "image": frame.image}]
    return blocks, []


def clips(frames: Sequence[Frame], duration: float, key_clips: Sequence[Clip] = ()) -> Written:
    """One video for every run of frames of one clip at an even rate, ``[30.0s-32.0s]`` before it.

    Its metadata has the run's own length, so that the step Qwen2.5-VL computes is the true one. Frames further apart
    than half a second are given twice, since the family fuses pairs.
    """
    blocks: list[Block] = []
    metadata: list[dict[str, Any]] = []
    for run in even_runs(frames, key_clips):
        step = run[1].timestamp - run[0].timestamp if len(run) > 1 else max(run[0].duration, 0.001)
        repeat = 1 if len(run) > 1 and step <= FUSED else 2
        first, last = run[0].timestamp, run[-1].timestamp
        label = f"[{first:.1f}s-{last:.1f}s]" if len(run) > 1 else f"[{first:.1f}s]"
        blocks += [_text(label), _video(run, repeat)]
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


# frames in time order, length of the video in seconds, key clips best first -> chat blocks and metadata
STYLES: dict[str, Callable[[Sequence[Frame], float, Sequence[Clip]], Written]] = {
    "native": native,
    "pairs": pairs,
    "clips": clips,
    "preamble": preamble,
    "interleaved": interleaved,
}


def show_candidates(frames: Sequence[Frame], duration: float, style: Style, mark: Callable[[float], str]) -> Written:
    """Give the candidates of a whole video as native video, for a model that is to find clips in it.

    As the style of the family, with two differences. Families that fuse frames in pairs (styles "pairs" and "clips")
    get two different frames in a pair where these lie at most half a second apart, as such models were trained, and one
    frame twice elsewhere. In style "clips" every pair is a video of its own, since nothing is known of clips yet.

    Args:
        frames: candidates in time order, at least one.
        duration: length of the video, seconds.
        style: of the family; see :func:`style_of`.
        mark: seconds -> the text that says the time of a pair, for style "clips"; the time is that of its first frame.

    Raises:
        ValueError: a style without videos.
    """
    if style == "pairs":
        both = [frame for pair in fuse(frames) for frame in pair]
        return [_video(both)], [video_metadata(both, duration)]
    if style == "clips":
        blocks: list[Block] = []
        metadata: list[dict[str, Any]] = []
        for first, second in fuse(frames):
            step = second.timestamp - first.timestamp if second is not first else max(first.duration, 0.001)
            blocks += [_text(mark(first.timestamp)), _video([first, second])]
            metadata.append(video_metadata([first, second], 2 * step))
        return blocks, metadata
    if style not in ("native", "preamble"):
        raise ValueError(f"style {style!r} has no videos")
    return STYLES[style](frames, duration, ())


def fuse(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """The pairs that a family with temporal patches of two sees: neighbours at most half a second apart, or one twice.

    Every frame is in one pair.
    """
    fused: list[tuple[Frame, Frame]] = []
    waiting = list(reversed(frames))
    while waiting:
        first = waiting.pop()
        near = bool(waiting) and waiting[-1].timestamp - first.timestamp <= FUSED
        fused.append((first, waiting.pop() if near else first))
    return fused


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _video(frames: Sequence[Frame], repeat: int = 1) -> Block:
    return {"type": "video", "video": [frame.image for frame in frames for _ in range(repeat)]}
