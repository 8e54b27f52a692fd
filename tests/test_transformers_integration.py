"""What every family of models is given: its prompt, its pictures, and hosts that call the processor themselves."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import tiny_families
import torch
from kframes_transformers import STYLES, prepare, style_of, unwrap, wrap
from PIL import Image
from tiny_families import FAMILIES
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
from video_maker import every, make_video, read_number

from kframes_plugin import Clip, Frame, KFrames
from kframes_plugin.prompt.styles import even_runs

TIMES = [1.0, 30.0, 60.0, 99.0]
QUESTION = "What happens?"
# Frames 0.2 s apart; or a second at 20 frames, then two frames a second with jitter, then one every 3 s.
CONSTANT = every(200, 501)
VARIABLE = sorted(
    {*every(50, 41), *(500 * n + (n * 37) % 90 for n in range(6, 58)), *every(3000, 24, 30_000), 99_000, 100_000}
)

# Tokens in a row are written once with their number. One prompt for both videos: times come from the time stamps.
CLIP = "<|vision_start|><|video_pad|>*24<|vision_end|>"
QWEN = f"<|im_start|>user\n[1.0s]{CLIP}[30.0s]{CLIP}[60.0s]{CLIP}[99.0s]{CLIP}{QUESTION}<|im_end|>\n"
# transformers 5.23 leaves the template's own start and end around the frames of Qwen3-VL
PAIR = "<|vision_start|><|video_pad|>*20<|vision_end|>"
QWEN3 = (
    f"<|im_start|>user\n<|vision_start|><1.0 seconds>{PAIR}<30.0 seconds>{PAIR}<60.0 seconds>{PAIR}<99.0 seconds>{PAIR}"
    f"<|vision_end|>{QUESTION}<|im_end|>\n"
)
GLM = "<|begin_of_image|><|image|>*6<|end_of_image|>"
SMOL = "<fake_token_around_image><global-img><image>*4<fake_token_around_image>"
GEMMA = "<|image><|video|>*63<image|>"
SENTENCE = "The video lasts DURATION s; these 4 frames are at 1.0 s, 30.0 s, 60.0 s, 99.0 s.\n"
INTERN = "<img><IMG_CONTEXT>*4</img>\n"
SOFT = "\n\n<start_of_image><image_soft_token>*4<end_of_image>\n\n"
GOLDEN = {
    "qwen2_5_vl": QWEN,
    "qwen2_vl": QWEN,
    "qwen3_vl": QWEN3,
    "glm4v": f"<|im_start|>user\n<|begin_of_video|>{GLM}1{GLM}30{GLM}60{GLM}99<|end_of_video|>{QUESTION}<|im_end|>\n",
    "glm46v": f"<|im_start|>user\n<|begin_of_video|>{GLM}1.0 seconds{GLM}30.0 seconds{GLM}60.0 seconds{GLM}99.0 seconds"
    f"<|end_of_video|>{QUESTION}<|im_end|>\n",
    "smolvlm": "<|im_start|>User: You are provided the following series of four frames from a 0:01:40 [H:MM:SS] "
    f"video.\n\nFrame from 00:01:{SMOL}\nFrame from 00:30:{SMOL}\nFrame from 01:00:{SMOL}\nFrame from 01:39:{SMOL}\n\n"
    f"{QUESTION}<end_of_utterance>\n",
    "gemma4": f"<|im_start|>user\n\n00:01 {GEMMA} 00:30 {GEMMA} 01:00 {GEMMA} 01:39 {GEMMA}\n\n{QUESTION}<|im_end|>\n",
    "llava_onevision": f"<|im_start|>user\n{SENTENCE}<video>*17\n{QUESTION}<|im_end|>\n",
    "internvl": f"<|im_start|>user\n{SENTENCE}Frame1: {INTERN}Frame2: {INTERN}Frame3: {INTERN}Frame4: {INTERN}"
    f"{QUESTION}<|im_end|>\n",
    "gemma3": f"<|im_start|>user\n1.0 s:{SOFT}30.0 s:{SOFT}60.0 s:{SOFT}99.0 s:{SOFT}{QUESTION}<|im_end|>\n",
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """100 s of numbered frames, at a constant rate and at a variable one; both have frames at TIMES."""
    folder = tmp_path_factory.mktemp("videos")
    return {
        "constant": make_video(folder / "constant.mp4", CONSTANT, size=(160, 120)),
        "variable": make_video(folder / "variable.mkv", VARIABLE, size=(160, 120)),
    }


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: getattr(tiny_families, name)(root / name) for name in FAMILIES}


@pytest.fixture(scope="module")
def kf() -> KFrames:
    """Chooses a hundredth of a second at each of TIMES, whatever the query."""
    return KFrames(lambda frames, query: [Clip(time, time + 0.01) for time in TIMES], strategy="focused", candidates=8)


def chat(video: Any, question: str = QUESTION) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "video", "video": video}, {"type": "text", "text": question}]}]


def tokens(processor: Any, messages: Any, **options: Any) -> dict[str, Any]:
    return processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt", **options
    )


def squeezed(processor: Any, ids: torch.Tensor) -> str:
    """The prompt as text, with "<token>*n" for n equal tokens in a row (but not for a pair of closing marks)."""
    text = processor.tokenizer.decode(ids)
    return re.sub(r"(<[^<>]*>)\1{2,}", lambda run: f"{run[1]}*{len(run[0]) // len(run[1])}", text)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_of_every_family_has_the_true_times(checkpoints, videos, kf, family):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    assert style_of(processor) == FAMILIES[family]
    model = AutoModelForImageTextToText.from_pretrained(checkpoints[family])
    for kind, stamps in (("constant", CONSTANT), ("variable", VARIABLE)):
        messages, processor_kwargs, (selection,) = prepare(chat(str(videos[kind])), processor, kf, 4)
        assert selection.timestamps == pytest.approx(TIMES, abs=1e-6)
        assert [stamps[read_number(image)] for image in selection.images] == [1000, 30_000, 60_000, 99_000]
        inputs = tokens(processor, messages, processor_kwargs=processor_kwargs)
        text = squeezed(processor, inputs["input_ids"][0])
        print(f"\n{family}, {kind} rate, {inputs['input_ids'].shape[1]} tokens:\n{text}")
        assert text.startswith(GOLDEN[family].replace("DURATION", f"{selection.duration:.1f}"))
        assert selection.duration == pytest.approx(100.1, abs=0.15)
        assert_no_two_frames_fused(inputs)
        written = model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)
        assert written.shape[1] == inputs["input_ids"].shape[1] + 2


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_frame_and_odd_numbers_of_frames(checkpoints, videos, kf, family, k):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    model = AutoModelForImageTextToText.from_pretrained(checkpoints[family])
    messages, processor_kwargs, (selection,) = prepare(chat(str(videos["constant"])), processor, kf, k)
    assert len(selection.frames) == k
    inputs = tokens(processor, messages, processor_kwargs=processor_kwargs)
    model.generate(**inputs, max_new_tokens=1, do_sample=False)
    if "video_grid_thw" in inputs:
        assert int(inputs["video_grid_thw"][:, 0].sum()) == k


def assert_no_two_frames_fused(inputs: dict[str, Any]) -> None:
    """Families with temporal patches of two: both halves of every patch come from one frame."""
    if "video_grid_thw" in inputs:
        assert int(inputs["video_grid_thw"][:, 0].sum()) == 4
        patches = inputs["pixel_values_videos"]
        side = int((patches.shape[1] / 6) ** 0.5)
        halves = patches.view(len(patches), 3, 2, side, side)
        assert torch.equal(halves[:, :, 0], halves[:, :, 1])


def test_without_kframes_two_far_frames_are_fused(checkpoints, videos, kf):
    """Why pairs are needed: the same frames, correct metadata, and Qwen3-VL gives two frames one time between them."""
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    selection = kf.select(videos["constant"], QUESTION, 4)
    kwargs = {"do_sample_frames": False, "video_metadata": [selection.video_metadata()]}
    text = squeezed(processor, tokens(processor, chat(selection.images), processor_kwargs=kwargs)["input_ids"][0])
    assert re.findall(r"<([\d.]+) seconds>", text) == ["15.5", "79.5"]


@pytest.mark.parametrize("style", list(STYLES))
@pytest.mark.parametrize("family", ["qwen3_vl", "llava_onevision"])
def test_any_style_can_be_asked_for(checkpoints, videos, kf, family, style):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    messages, processor_kwargs, _ = prepare(chat(videos["constant"]), processor, kf, 4, style=style)
    text = squeezed(processor, tokens(processor, messages, processor_kwargs=processor_kwargs)["input_ids"][0])
    if style in ("clips", "preamble", "interleaved"):
        assert re.findall(r"\b(\d+\.\d) ?s[\]:,.]", text) == ["1.0", "30.0", "60.0", "99.0"]
    assert text.endswith(f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n")


def test_clips_at_two_frames_a_second_show_motion_in_pairs(checkpoints):
    """A run of frames half a second apart is one video: pairs of near frames, and the true step for M-RoPE."""
    processor = AutoProcessor.from_pretrained(checkpoints["qwen2_5_vl"])
    frames = [Frame(n / 2, 0.5, Image.new("RGB", (56, 56), (n % 256, 0, 99))) for n in range(200)]
    kf = KFrames(lambda frames, query: [Clip(10, 14), Clip(40, 60)], strategy="focused", candidates=200)
    messages, processor_kwargs, (selection,) = prepare(chat(frames), processor, kf, 12)
    runs = [[f.timestamp for f in run] for run in even_runs(selection.frames, selection.clips)]
    assert sum(map(len, runs)) == 12
    inputs = tokens(processor, messages, processor_kwargs=processor_kwargs)
    assert len(inputs["second_per_grid_ts"]) == len(runs)
    for run, second_per_grid in zip(runs, inputs["second_per_grid_ts"].tolist(), strict=True):
        step = run[1] - run[0] if len(run) > 1 else 0.5
        assert second_per_grid == pytest.approx(2 * step if len(run) > 1 and step <= 0.5 else step)


def test_runs_are_even_and_stay_in_one_clip():
    image = Image.new("RGB", (8, 8))
    frames = [Frame(t, 0.1, image) for t in (0.0, 5.0, 6.0, 7.0, 9.0, 20.0, 21.0, 30.0)]
    runs = [[f.timestamp for f in run] for run in even_runs(frames, [Clip(5, 10), Clip(20, 25)])]
    assert runs == [[0.0], [5.0, 6.0, 7.0], [9.0], [20.0, 21.0], [30.0]]


def test_every_video_of_a_chat_is_replaced_and_the_rest_is_kept(checkpoints, videos, kf):
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    picture = Image.new("RGB", (64, 64))
    asked: list[str] = []
    counting = KFrames(lambda frames, query: asked.append(query) or [Clip(1, 2)], candidates=4)
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "video", "path": str(videos["constant"])}, {"type": "text", "text": "A?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        {
            "role": "user",
            "content": [
                {"type": "image", "image": picture},
                {"type": "video", "url": str(videos["variable"])},
                {"type": "text", "text": "And here?"},
            ],
        },
    ]
    written, processor_kwargs, selections = prepare(messages, processor, counting, 3)
    assert asked == ["And here?", "And here?"], "the last text of the user is the query"
    assert [len(selection.frames) for selection in selections] == [3, 3]
    assert [len(m["frames_indices"]) for m in processor_kwargs["video_metadata"]] == [6, 6]
    assert written[0] is messages[0]
    assert [b["type"] for b in written[3]["content"]] == ["image", "video", "text"]
    assert messages[1]["content"][0]["path"] == str(videos["constant"]), "the caller's messages are not changed"
    assert tokens(processor, written, processor_kwargs=processor_kwargs)["video_grid_thw"][:, 0].tolist() == [3, 3]
    prepare(messages, processor, counting, 3, query="a goal")
    assert asked[2:] == ["a goal", "a goal"]


def test_a_chat_without_video_is_left_alone(checkpoints, kf):
    processor = AutoProcessor.from_pretrained(checkpoints["gemma3"])
    messages = [{"role": "user", "content": "Hello"}]
    assert prepare(messages, processor, kf) == (messages, {}, [])


def test_what_cannot_be_prepared_says_why(checkpoints, videos, kf):
    gemma = AutoProcessor.from_pretrained(checkpoints["gemma3"])
    with pytest.raises(ValueError, match=r"no place for videos, so style 'native' .* use style=\"interleaved\""):
        prepare(chat(videos["constant"]), gemma, kf, style="native")
    with pytest.raises(ValueError, match=r"style must be \"auto\" or one of native, .*; got 'video'"):
        prepare(chat(videos["constant"]), gemma, kf, style="video")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no text of the user that says what to look for; add one or pass query="):
        prepare([{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}], gemma, kf)
    with pytest.raises(ValueError, match="a video block must have one of video, path, url, video_url, base64; got"):
        prepare([{"role": "user", "content": [{"type": "video", "file": 1}, {"type": "text", "text": "?"}]}], gemma, kf)


def test_a_template_without_a_place_for_videos_gets_images(checkpoints):
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    processor.chat_template = processor.chat_template.replace("video", "clip")
    assert style_of(processor) == "interleaved"


# ------------------------------------------------------------------------------------------------ wrapped processors


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm", "gemma3"])
def test_a_wrapped_processor_gives_what_prepare_gives(checkpoints, videos, kf, family):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    wrapped = wrap(processor, kf, k=4)
    assert isinstance(wrapped, type(processor))
    messages, processor_kwargs, _ = prepare(chat(videos["variable"]), processor, kf, 4)
    ours, theirs = (
        tokens(wrapped, chat(videos["variable"])),
        tokens(processor, messages, processor_kwargs=processor_kwargs),
    )
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    batch = tokens(wrapped, [chat(videos["variable"]), chat(videos["constant"])])
    assert torch.equal(batch["input_ids"][0], ours["input_ids"][0]), "a batch: one flat list of metadata"
    with pytest.raises(ValueError, match="only with tokenize=True"):
        wrapped.apply_chat_template(chat(videos["variable"]))
    assert wrapped.apply_chat_template([{"role": "user", "content": "Hi"}]).startswith("<|im_start|>user\nHi")


def test_keys_of_a_video_block_and_a_number_of_frames_of_the_processor_are_followed(checkpoints, videos, kf):
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    messages = chat(str(videos["constant"]))
    messages[0]["content"][0] |= {"video_start": 1.0, "video_end": 9.0, "speed": 2}
    *_, (selection,) = prepare(messages, processor, kf, 4)
    assert selection.sampling.within == ((1, 9),)
    assert "keys-unread" in {note.code for note in selection.notes}
    written, kwargs, (three,) = prepare(messages, processor, kf, 3)
    ours = tokens(wrap(processor, kf, k=4), messages, processor_kwargs={"num_frames": 3})
    theirs = tokens(processor, written, processor_kwargs=kwargs)
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert len(three.frames) == 3


def test_a_wrapped_processor_saves_and_loads_as_the_plain_one(checkpoints, kf, tmp_path):
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    wrapped = wrap(wrap(processor, kf, k=4), kf, k=2)
    wrapped.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is type(processor)
    assert loaded.to_dict() == processor.to_dict() == wrapped.to_dict()
    assert loaded.chat_template == processor.chat_template
    assert type(unwrap(wrapped)) is type(processor)
    assert unwrap(processor) is processor


def test_a_wrapped_processor_pickles(checkpoints, videos):
    processor = AutoProcessor.from_pretrained(checkpoints["qwen3_vl"])
    wrapped = wrap(processor, KFrames.from_pretrained("uniform"), k=3)
    again = pickle.loads(pickle.dumps(wrapped))
    messages = chat(videos["constant"])
    assert torch.equal(tokens(again, messages)["input_ids"], tokens(wrapped, messages)["input_ids"])
    assert repr(again).startswith("Qwen3VLProcessor")


def test_image_text_to_text_with_a_wrapped_processor(checkpoints, videos, kf):
    folder = checkpoints["qwen3_vl"]
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    pipe = pipeline("image-text-to-text", model=model, processor=wrap(processor, kf, k=4))
    (answer,) = pipe(text=chat(str(videos["variable"])), max_new_tokens=4, return_full_text=False)
    messages, processor_kwargs, _ = prepare(chat(str(videos["variable"])), processor, kf, 4)
    inputs = tokens(processor, messages, processor_kwargs=processor_kwargs)
    written = model.generate(**inputs, max_new_tokens=4, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert answer["generated_text"] == processor.decode(written, skip_special_tokens=True)


# ------------------------------------------------------------------------------------------------ our own task


@pytest.fixture(scope="module")
def pipe(checkpoints, kf):
    return pipeline("video-text-to-text", model=str(checkpoints["qwen2_5_vl"]), selector=kf, k=4)


def test_video_text_to_text(pipe, videos):
    (answer,) = pipe(str(videos["constant"]), QUESTION, max_new_tokens=3, return_full_text=False)
    assert isinstance(answer["generated_text"], str)
    assert answer["selections"][0].timestamps == TIMES
    assert answer["input_text"][0]["content"][0]["video"] == str(videos["constant"])
    (again,) = pipe(str(videos["constant"]), QUESTION, k=2, strategy="uniform", max_new_tokens=3)
    assert len(again["selections"][0].frames) == 2
    assert again["selections"][0].strategy == "uniform"


def test_video_text_to_text_in_batches_and_chats(pipe, videos):
    two = pipe([str(videos["constant"]), videos["variable"]], [QUESTION, "Who?"], max_new_tokens=2)
    assert [answer["selections"][0].query for (answer,) in two] == [QUESTION, "Who?"]
    (answer,) = pipe(chat(str(videos["constant"])), max_new_tokens=2)
    assert answer["selections"][0].query == QUESTION
    (answer,) = pipe(text=[{"role": "user", "content": "Hello"}], max_new_tokens=2)
    assert answer["selections"] == []
    with pytest.raises(ValueError, match="pass the question too"):
        pipe(str(videos["constant"]))
    with pytest.raises(ValueError, match="one question for each video; got 1 for 2 videos"):
        pipe(["a.mp4", "b.mp4"], ["?"])


def test_the_selector_of_the_task_may_be_a_name_or_a_function(checkpoints, videos, pipe):
    (answer,) = pipe(str(videos["constant"]), QUESTION, selector="uniform", k=2, max_new_tokens=2)
    assert answer["selections"][0].clips[0].reason == "uniform: the whole video"
    (answer,) = pipe(str(videos["constant"]), QUESTION, selector=lambda f, q: [Clip(5, 6)], k=2, max_new_tokens=2)
    assert answer["selections"][0].clips == (Clip(5, 6),)
