"""relevance.py and selectors/similarity.py: planted scores and embeddings with known clips, and a tiny open_clip."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notes import sentences
from PIL import Image

from kframes_plugin import KFrames, SelectorError
from kframes_plugin.clips.from_scores import PROBABILITY, RelevanceRule, clips_from_scores
from kframes_plugin.selectors.similarity import SimilaritySelector
from kframes_plugin.types import Candidates, Frame


def spans(scores, **options) -> list[tuple[float, float, str]]:
    """Clips of scores a second apart, from .5 s on: candidate i stands for [i, i + 1)."""
    times = [i + 0.5 for i in range(len(scores))]
    clips = clips_from_scores(scores, times, float(len(scores)), **options)
    return [(clip.start, clip.end, clip.priority) for clip in clips]


def steps(*parts: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(count, level) for count, level in parts])


def test_a_plateau_is_one_clip():
    assert spans(steps((20, 0.2), (6, 0.3), (30, 0.2))) == [(20, 26, "P1")]


def test_one_spike_is_one_candidate():
    assert spans(steps((20, 0.2), (1, 0.3), (30, 0.2))) == [(20, 21, "P1")]


def test_two_far_peaks_best_first():
    scores = steps((20, 0.2), (4, 0.27), (50, 0.2), (5, 0.3), (20, 0.2))
    assert spans(scores) == [(74, 79, "P1"), (20, 24, "P2")]
    first, second = clips_from_scores(scores, np.arange(99) + 0.5, 99.0, word="similarity")
    assert first.score == 1.0
    assert second.score == pytest.approx(0.7)
    assert first.reason == "similarity peaks at 74.5 s (0.300)"


def test_a_clip_at_either_end_reaches_the_end():
    times = [4.0, 8.0, 12.0, 16.0, 20.0]
    clips = clips_from_scores([0.9, 0.1, 0.1, 0.1, 0.9], times, 25.0)
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 6.0), (18.0, 25.0)]


@pytest.mark.parametrize("seed", range(5))
def test_a_plateau_in_noise(seed):
    rng = np.random.default_rng(seed)
    scores = steps((100, 0.2), (20, 0.28), (136, 0.2)) + rng.normal(0, 0.015, 256)
    ((start, end, priority),) = spans(scores)
    assert abs(start - 100) <= 2
    assert abs(end - 120) <= 2
    assert priority == "P1"


def test_planted_noisy_scores_as_measured():
    """Mean IoU of the spans on 60 noisy videos with 1-3 clips; smoothing and a threshold reach .56 on such."""
    rng, overlaps = np.random.default_rng(0), []
    for _ in range(60):
        truth = np.zeros(128, bool)
        for _ in range(rng.integers(1, 4)):
            start = rng.integers(0, 110)
            truth[start : start + rng.integers(4, 16)] = True
        scores = 0.2 + 0.08 * (truth + rng.normal(0, 0.2, 128))
        found = np.zeros(128, bool)
        for start, end, _ in spans(scores):
            found[int(start) : int(end)] = True
        overlaps.append((truth & found).sum() / (truth | found).sum())
    assert np.mean(overlaps) > 0.85


def test_most_of_the_video_can_be_the_clip():
    assert spans(steps((20, 0.2), (70, 0.3), (10, 0.2))) == [(20, 90, "P1")]


@pytest.mark.parametrize("scores", [[], [0.3], [0.3] * 50, [0.3, 0.3 + 1e-9] * 20])
def test_where_nothing_stands_out_there_is_no_clip(scores):
    assert spans(scores) == []


def test_scores_that_are_probabilities_are_taken_as_they_are():
    assert spans([0.9], rule=PROBABILITY) == [(0, 1, "P1")]
    assert spans([0.3] * 9, rule=PROBABILITY) == []
    assert spans([0.97] * 9, rule=PROBABILITY) == [(0, 9, "P1")]
    assert spans([0.02, 0.97, 0.9, 0.1], rule=PROBABILITY) == [(1, 3, "P1")]
    assert spans(steps((9, 0.05), (4, 0.6), (9, 0.02)), rule=PROBABILITY) == [(9, 13, "P2")]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_must_be_finite_and_one_a_candidate(bad):
    with pytest.raises(ValueError, match="scores must be finite; 1 of 3 are not"):
        spans([0.1, bad, 0.2])
    with pytest.raises(ValueError, match=r"scores must have shape \(2,\), one for each time; got \(3,\)"):
        clips_from_scores([1, 2, 3], [0.0, 1.0], 2.0)


def test_a_rule_must_make_sense():
    with pytest.raises(ValueError, match=r"0 < p2 <= p1 <= 1; got p1=0\.5, p2=0\.6"):
        RelevanceRule(p1=0.5)
    with pytest.raises(ValueError, match="floor must be below ceiling"):
        RelevanceRule(floor=1.0, ceiling=0.0)


@given(scores=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60), absolute=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_scores_give_clips_that_are_in_order_and_apart(scores, absolute):
    times = [2.0 * i + 1 for i in range(len(scores))]
    duration = 2.0 * len(scores)
    rule = PROBABILITY if absolute else RelevanceRule()
    clips = clips_from_scores(scores, times, duration, rule=rule)
    assert clips == clips_from_scores(scores, times, duration, rule=rule)
    assert [clip.score for clip in clips] == sorted((clip.score for clip in clips), reverse=True)
    in_time = sorted(clips, key=lambda clip: clip.start)
    assert all(0 <= clip.start < clip.end <= duration for clip in clips)
    assert all(a.end < b.start for a, b in pairwise(in_time))


# -- the selector, with a model of one's own: a picture's colour is its embedding ---------------------------------

WORDS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


class Colours:
    """Embeds a picture by its middle pixel and a word by its colour; counts its calls."""

    def __init__(self) -> None:
        self.image_batches: list[int] = []
        self.texts: list[str] = []

    def images(self, pictures: list[Image.Image]) -> np.ndarray:
        self.image_batches.append(len(pictures))
        return np.array([picture.getpixel((4, 4)) for picture in pictures], np.float32) + 10

    def text(self, text: str) -> np.ndarray:
        self.texts.append(text)
        return np.array(WORDS.get(text, (1, 1, 1)), np.float32)

    def selector(self, **options) -> SimilaritySelector:
        return SimilaritySelector(self.images, self.text, **options)


def video(*colours: tuple[str, int]) -> Candidates:
    pictures = [Image.new("RGB", (8, 8), colour) for colour, count in colours for _ in range(count)]
    frames = [Frame(2.0 * i + 1, 2.0, picture) for i, picture in enumerate(pictures)]
    return Candidates(frames, 2.0 * len(frames))


def test_the_clips_are_where_the_picture_is_like_the_query():
    frames = video(("gray", 20), ("red", 5), ("gray", 10), ("blue", 4), ("gray", 8), ("red", 3))
    clips = Colours().selector()(frames, "red")
    assert [(clip.start, clip.end, clip.priority) for clip in clips] == [(40, 50, "P1"), (94, 100, "P1")]
    assert clips[0].reason == "similarity peaks at 41.0 s (0.999)"
    assert clips[0].score == pytest.approx(1.0)
    assert [(clip.start, clip.end) for clip in Colours().selector()(frames, "blue")] == [(70, 78)]


def test_a_second_query_embeds_only_its_text():
    model, frames = Colours(), video(("gray", 20), ("red", 5))
    selector = model.selector(batch_size=10)
    first, again = selector(frames, "red"), selector(frames, "green")
    assert model.image_batches == [10, 10, 5]
    assert (first.cost.model_calls, first.cost.candidates) == (4, 25)
    assert again.cost.model_calls == 1
    assert selector(frames, "red") == first
    Colours().selector()(frames, "red")  # another selector keeps its own
    assert len(frames.cache) == 2
    selector(list(frames), "red")  # plain frames: nowhere to keep anything
    assert model.image_batches == [10, 10, 5, 10, 10, 5]


def test_nothing_stands_out():
    answer = Colours().selector()(video(("gray", 12)), "red")
    assert answer == []
    assert sentences(answer.notes) == ("no candidate frame stands out for the query (similarity 0.577 to 0.577)",)


def test_one_frame():
    assert Colours().selector()(video(("red", 1)), "red") == []


def test_a_template_and_a_text_that_is_too_long():
    model = Colours()
    answer = model.selector(template="a {} {thing}", is_cut=lambda text: True)(video(("red", 3)), "red {x}")
    assert model.texts == ["a red {x} {thing}"]
    assert sentences(answer.notes)[0] == "the query is longer than the model reads; its end was not used"
    with pytest.raises(ValueError, match="template must have"):
        model.selector(template="a photo")
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        model.selector(batch_size=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_embeddings_must_be_numbers(value):
    def broken(pictures: list[Image.Image]) -> np.ndarray:
        rows = np.ones((len(pictures), 3))
        rows[1] = value
        return rows

    with pytest.raises(
        SelectorError, match="1 of 4 embeddings of the candidate frames are not finite or all zero; use"
    ):
        SimilaritySelector(broken, Colours().text)(video(("red", 4)), "red")
    with pytest.raises(SelectorError, match="1 of 1 embeddings of the query are not finite"):
        SimilaritySelector(Colours().images, lambda text: np.full(3, value))(video(("red", 4)), "red")


def test_embeddings_must_fit_together():
    with pytest.raises(SelectorError, match="must have the same width; got 3 and 2"):
        SimilaritySelector(Colours().images, lambda text: np.ones(2))(video(("red", 4)), "red")
    with pytest.raises(SelectorError, match=r"must return \(n, d\), one row per picture; got \(2, 3\)"):
        SimilaritySelector(lambda pictures: np.ones((2, 3)), Colours().text)(video(("red", 4)), "red")


def test_it_drives_a_selection():
    selector = Colours().selector(candidates=12)
    frames = video(("gray", 30), ("red", 6))
    selection = KFrames(selector, strategy="focused").select(list(frames), "red", 3)
    assert all(frame.image.getpixel((0, 0)) == (255, 0, 0) for frame in selection.frames)
    assert selection.cost.model_calls == 2


# -- open_clip -----------------------------------------------------------------------------------------------------

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """Directory of a tiny open_clip model with random weights: open_clip_config.json and safetensors."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny_clip")
    model = open_clip.CLIP(**TINY)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    settings = {"model_cfg": TINY, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return folder


def drawn(count: int = 40) -> Candidates:
    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(rng.integers(0, 256, (36, 64, 3), np.uint8)) for _ in range(2)]
    frames = [Frame(float(i), 1.0, pictures[20 <= i < 26]) for i in range(count)]
    return Candidates(frames, float(count))


def test_a_tiny_open_clip_end_to_end(tiny, caplog):
    import open_clip
    import torch

    selector = SimilaritySelector.from_pretrained(str(tiny), device="cpu", batch_size=16)
    assert selector.frame_size == 64
    assert not caplog.records  # open_clip's warning that there are no weights would be wrong
    frames = drawn()
    answer = selector(frames, "a dog in the snow")
    assert answer.cost.model_calls == 4
    # the same cosines by open_clip's own way
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tiny}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny}")(["a dog in the snow"])
    with torch.inference_mode():
        images = model.eval().encode_image(torch.stack([preprocess(frame.image) for frame in frames]), normalize=True)
        expected = (images @ model.encode_text(tokens, normalize=True)[0]).numpy()
    kept = frames.cache[selector] @ (lambda v: v / np.linalg.norm(v))(selector.embed_text("a dog in the snow"))
    assert np.allclose(kept, expected, atol=1e-5)
    wanted = [(19.5, 25.5)] if expected[20] > expected[0] else [(0.0, 19.5), (25.5, 40.0)]
    assert sorted((clip.start, clip.end) for clip in answer) == wanted
    assert answer == SimilaritySelector.from_pretrained(f"local-dir:{tiny}", device="cpu")(drawn(), "a dog in the snow")


def test_only_the_words_that_are_read_count(tiny):
    selector = SimilaritySelector.from_pretrained(str(tiny), device="cpu")
    assert sentences(selector(drawn(), "dog " * 30).notes)[0].startswith("the query is longer than the model reads")
    assert selector.is_cut is not None
    assert not selector.is_cut("dog " * 14)  # 14 words and two marks fill the 16 tokens
    assert selector.is_cut("dog " * 15)
    assert not selector.is_cut("dog")


def test_what_is_said_is_joined_with_what_it_sees(tiny):
    kframes = KFrames.from_pretrained(f"openclip:{tiny}", device="cpu", candidates=40)
    lines = [(3.0, 5.0, "We harvest the honey in July."), (30.0, 33.0, "The bridge has six arches.")]
    asked = {"transcript": lines, "k": 4}
    found = kframes.select(list(drawn()), "how many arches does the bridge have?", **asked)
    assert (found.clips[0].start, found.clips[0].end) == (30.0, 33.0)
    assert found.clips[0].reason.startswith('said at 30 s: "The bridge has six arches."')
    assert all(0 < clip.score <= 1 for clip in found.clips)
    alone = kframes.select(list(drawn()), "a dog in the snow", k=4)
    assert kframes.select(list(drawn()), "a dog in the snow", **asked).clips == alone.clips


def test_its_scores_are_the_cosines_that_make_its_clips(tiny):
    selector, frames = SimilaritySelector.from_pretrained(str(tiny), device="cpu"), drawn()
    scores = selector.scores(frames, "a dog")
    assert clips_from_scores(scores, range(40), 40.0, rule=selector.rule, word="similarity") == selector(
        frames, "a dog"
    )
    assert selector(frames, "a dog").cost.model_calls == 1, "pictures were embedded for the scores"


def test_a_name_of_kframes_leads_to_it(tiny):
    selection = KFrames.from_pretrained(f"openclip:{tiny}", device="cpu", candidates=40).select(
        list(drawn()), "a dog", 4
    )
    assert len(selection.frames) == 4
    assert selection.clips


def test_low_precision(tiny):
    similarity = [
        SimilaritySelector.from_pretrained(str(tiny), device="cpu", dtype=dtype)._image_features(drawn(2))[0]
        for dtype in ("float32", "bfloat16", "float16")
    ]
    assert np.allclose(similarity[0], similarity[1], atol=0.02)
    assert np.allclose(similarity[0], similarity[2], atol=0.003)
    with pytest.raises(ValueError, match="dtype must be one of auto, float32, bfloat16, float16; got 'int8'"):
        SimilaritySelector.from_pretrained(str(tiny), dtype="int8")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("ViT-B-23/openai", "has no architecture 'ViT-B-23'; near to it: ViT-B-32"),
        ("zzzzz", r"has no architecture 'zzzzz'; see open_clip.list_models\(\)"),
        ("ViT-B-32/laion9b", "ViT-B-32 has no weights 'laion9b'; write ARCH/TAG with one of openai, "),
        ("ViT-B-32", "ViT-B-32 has no weights ''; write ARCH/TAG"),
        ("ViT-B-32//nowhere/w.safetensors", "there is no file /nowhere/w.safetensors; check the path"),
        ("ViT-B-32/old/w.pt", "w.pt may hold code; convert it once"),
        ("local-dir:/nowhere", "/nowhere has no open_clip_config.json"),
    ],
)
def test_names_that_cannot_be_loaded(name, match):
    with pytest.raises(SelectorError, match=match):
        SimilaritySelector.from_pretrained(name, device="cpu")


def test_pickled_weights_are_never_loaded(tiny, tmp_path):
    (tmp_path / "open_clip_config.json").write_text((tiny / "open_clip_config.json").read_text())
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(SelectorError, match=r"has no \.safetensors file"):
        SimilaritySelector.from_pretrained(str(tmp_path), device="cpu")
    # open_clip itself would take the .bin beside this file, by its name
    (tmp_path / "weights.safetensors").write_bytes((tiny / "weights.safetensors").read_bytes())
    assert SimilaritySelector.from_pretrained(str(tmp_path), device="cpu")(drawn(), "a dog") is not None


def test_damaged_weights(tiny, tmp_path):
    (tmp_path / "open_clip_config.json").write_text((tiny / "open_clip_config.json").read_text())
    (tmp_path / "weights.safetensors").write_bytes((tiny / "weights.safetensors").read_bytes()[:1000])
    with pytest.raises(SelectorError, match="cannot load the open_clip model"):
        SimilaritySelector.from_pretrained(str(tmp_path), device="cpu")


def test_weights_that_are_not_here_and_no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SelectorError, match=r"is not in the local cache and the hub cannot be reached; .*hf download"):
        SimilaritySelector.from_pretrained("ViT-B-32/datacomp_s_s13m_b4k", device="cpu")
