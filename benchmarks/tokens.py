"""How many tokens k selected frames cost, by model family and style.

    python benchmarks/tokens.py [-k 8] [--size 1280x720] [--processor ID_OR_DIRECTORY ...] [--out OUT.json]

Without --processor, the families' own processors of transformers are built here with the picture sizes that their
published checkpoints use (written below), so no network is needed. Vision tokens are then exact; the text that a
style adds is given in characters, since every family has its own tokenizer (about four characters a token). With
--processor, the token count of the whole prompt is exact too.

The frames: k of a 100-second video in two clips, one frame a second. The style that ``prepare`` takes is marked, and
styles that do not tell the family the true time of every frame are marked too: cheap, but wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kframes_transformers import STYLES, prepare, style_of
from PIL import Image

from kframes_plugin import Clip, Frame, KFrames
from kframes_plugin.prompt.styles import takes_video

QUESTION = "When is the goal scored?"
TEMPLATE = (
    "{% for item in messages[0]['content'] %}{% if item['type'] == 'image' %}IMAGE{% elif item['type'] == 'video' %}"
    "VIDEO{% else %}{{ item['text'] }}{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        family: name of the family or processor.
        style: how the frames are given; see ``kframes_plugin/prompt/styles.py``.
        chosen: whether ``prepare`` takes this style by itself.
        times: whether the family is told the true time of every frame, and no two frames are fused into one.
        vision: image and video tokens.
        text: characters of text that the style and the processor add, marks not counted.
        total: tokens of the whole prompt with the family's own tokenizer; None for the ones built here.
    """

    family: str
    style: str
    chosen: bool
    times: bool
    vision: int
    text: int
    total: int | None


def main() -> None:
    """Print the table as Markdown; write JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", type=int, default=8, help="frames (default 8)")
    parser.add_argument("--size", default="1280x720", help="size of the frames, pixels (default 1280x720)")
    parser.add_argument("--processor", action="append", default=[], help="a processor of the hub or a directory")
    parser.add_argument("--out", type=Path, help="write the table as JSON too")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    rows = list(table(arguments.k, (width, height), arguments.processor))
    print(f"k = {arguments.k}, frames of {arguments.size}, transformers {version('transformers')}\n")
    print("| family | style | true times | vision tokens | a frame | characters of text | tokens in all |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        style = f"**{row.style}**" if row.chosen else row.style
        counts = [row.vision, f"{row.vision / arguments.k:.0f}", row.text, "" if row.total is None else row.total]
        times = "yes" if row.times else "no"
        print(f"| {row.family} | {style} | {times} | {' | '.join(map(str, counts))} |")
    if arguments.out:
        about = {"k": arguments.k, "size": arguments.size, "transformers": version("transformers")}
        arguments.out.write_text(json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def table(k: int, size: tuple[int, int], names: list[str]) -> Iterator[Row]:
    """A row for every family (or named processor) and every style that it can read."""
    frames = [Frame(float(t), 1.0, Image.new("RGB", size, (t, 99, 200))) for t in range(100)]
    spans = [Clip(20, 20 + (k + 1) // 2), Clip(60, 60 + max(1, k // 2))]
    kframes = KFrames(lambda *_: spans, strategy="focused", candidates=100)
    content = [{"type": "video", "video": frames}, {"type": "text", "text": QUESTION}]
    for name, processor in processors(names):
        for style in STYLES:
            if style != "interleaved" and not takes_video(processor):
                continue
            prepared = prepare([{"role": "user", "content": content}], processor, kframes, k, style=style)  # type: ignore[arg-type]
            ids = processor.apply_chat_template(
                prepared.messages,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs=prepared.processor_kwargs,
            )["input_ids"][0]
            ids = list(map(int, ids))
            vision = sum(token in vision_ids(processor) for token in ids)
            text = len(processor.tokenizer.decode(ids, skip_special_tokens=True).replace(QUESTION, "").strip())
            own = style_of(processor)
            yield Row(name, style, style == own, tells_times(style, own), vision, text, len(ids) if names else None)


def tells_times(style: str, own: str) -> bool:
    """Whether a style is right for a family whose own style is ``own``."""
    if style == "native":
        return own == "native"  # the others write no times, or those of pairs
    if style == "pairs":
        return own in ("native", "pairs")
    if style == "preamble":
        return own not in ("pairs", "clips")  # these fuse the frames, whatever the sentence says
    return True


def vision_ids(processor: Any) -> set[int]:
    """Ids of the tokens that stand for pictures."""
    words = processor.tokenizer
    image = getattr(words, "image_token", None) or processor.image_token
    tokens = {image, getattr(processor, "video_token", None) or image}
    return {int(words.convert_tokens_to_ids(token)) for token in tokens}


def processors(names: list[str]) -> Iterator[tuple[str, Any]]:
    """The named processors, or one of every family."""
    if names:
        from transformers import AutoProcessor

        yield from ((name, AutoProcessor.from_pretrained(name)) for name in names)
        return
    for name, build in FAMILIES.items():
        yield name, build()


# ------------------------------------------------------------------- processors with the sizes of published checkpoints


def words(*marks: str, **named: str) -> Any:
    """A byte-level tokenizer with a family's marks as special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {byte: number for number, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    core = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens(["<pad>", *marks, *named.values()])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", extra_special_tokens=named)


def template(image: str, video: str = "") -> str:
    """The part of a chat template that writes pictures."""
    return TEMPLATE.replace("IMAGE", image).replace("VIDEO", video) if video else TEMPLATE.replace("IMAGE", image)


QWEN = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
QWEN_TEMPLATE = template("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>")


def qwen2_5_vl() -> Any:
    import transformers as t

    size = {"shortest_edge": 3136, "longest_edge": 12845056}
    return t.Qwen2_5_VLProcessor(
        t.Qwen2VLImageProcessor(size=size), words(*QWEN), t.Qwen2VLVideoProcessor(size=size), QWEN_TEMPLATE
    )


def qwen3_vl() -> Any:
    import transformers as t

    images = t.Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 65536, "longest_edge": 16777216})
    videos = t.Qwen3VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 25165824})
    return t.Qwen3VLProcessor(images, words(*QWEN), videos, QWEN_TEMPLATE)


def glm46v() -> Any:
    import transformers as t

    marks = [f"<|{mark}_of_{kind}|>" for kind in ("image", "video") for mark in ("begin", "end")]
    named = words(*marks, image_token="<|image|>", video_token="<|video|>")
    layout = template("<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>")
    return t.Glm46VProcessor(t.Glm46VImageProcessor(), named, t.Glm46VVideoProcessor(), layout)


def smolvlm2() -> Any:
    import transformers as t

    marks = words("<fake_token_around_image>", "<image>", "<video>", "<end_of_utterance>", "<global-img>")
    marks.add_special_tokens(
        {"extra_special_tokens": [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]}
    )
    edge = {"longest_edge": 384}
    sampling = {"max_frames": 64, "fps": 1, "video_size": edge}
    images = t.SmolVLMImageProcessor(size={"longest_edge": 1536}, max_image_size=edge)
    videos = t.SmolVLMVideoProcessor(size=edge, max_image_size=edge, video_sampling=sampling)
    return t.SmolVLMProcessor(images, marks, videos, image_seq_len=81, chat_template=template("<image>", "<video>"))


def llava_onevision() -> Any:
    import transformers as t

    return t.LlavaOnevisionProcessor(
        t.LlavaOnevisionImageProcessor(),
        words("<image>", "<video>"),
        t.LlavaOnevisionVideoProcessor(),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
        chat_template=template("<image>\n", "<video>\n"),
    )


def internvl3() -> Any:
    import transformers as t

    named = words(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>"
    )
    square = {"height": 448, "width": 448}
    return t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=square),
        named,
        t.InternVLVideoProcessor(size=square),
        image_seq_length=256,
        chat_template=template("<IMG_CONTEXT>\n", "<video>\n"),
    )


def gemma3() -> Any:
    import transformers as t

    named = words(image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>")
    images = t.Gemma3ImageProcessor(size={"height": 896, "width": 896})
    return t.Gemma3Processor(images, named, image_seq_length=256, chat_template=template("<start_of_image>"))


def gemma4() -> Any:
    import transformers as t

    marks = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
    marks |= {"audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"}
    named = words("<|video|>", **marks)
    return t.Gemma4Processor(
        t.Gemma4AudioFeatureExtractor(),
        t.Gemma4ImageProcessor(),
        named,
        t.Gemma4VideoProcessor(),
        chat_template=template("<|image|>", "<|video|>"),
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "Qwen2.5-VL": qwen2_5_vl,
    "Qwen3-VL": qwen3_vl,
    "GLM-4.6V": glm46v,
    "SmolVLM2 2.2B": smolvlm2,
    "LLaVA-OneVision": llava_onevision,
    "InternVL3": internvl3,
    "Gemma 3": gemma3,
    "Gemma 4": gemma4,
}

if __name__ == "__main__":
    main()
