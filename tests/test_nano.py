"""nano, the bundled model: it is found, it says what it is, it finds what is in the sample, and it is fast."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from drawn_film import QUERIES, SAMPLE
from notes import sentences

from kframes_plugin import KFrames, SelectorError
from kframes_plugin.selectors.load import NANO, NANO_NOTE
from kframes_plugin.selectors.mllm import MLLMSelector

ROOT = Path(__file__).parents[1]
TRUTH = {row["query"]: row["clips"] for row in QUERIES}
needs_weights = pytest.mark.skipif(
    not (NANO / "model.safetensors").is_file(), reason=f"nano has no weights yet: {NANO / 'model.safetensors'}"
)
MAX_BYTES = 16_000_000


def test_without_weights_it_says_what_to_do(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "kframes_plugin", tmp_path / "kframes_plugin", ignore=ignored)
    code = "from kframes_plugin import KFrames; KFrames.from_pretrained('nano')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("kframes_plugin.errors.SelectorError: the bundled model nano has no weights"), done.stderr
    assert str(tmp_path) in last
    assert "training/recipes/nano.sh" in last


@pytest.fixture(scope="module")
def nano() -> KFrames:
    return KFrames.from_pretrained("nano", device="cpu")


def overlap(clips: list[list[float]], other: list[list[float]]) -> float:
    """Intersection over union of two lists of disjoint spans, seconds over seconds."""
    both = sum(max(0.0, min(b, d) - max(a, c)) for a, b in clips for c, d in other)
    return both / (sum(b - a for a, b in [*clips, *other]) - both)


@needs_weights
class TestWeights:
    def test_it_says_what_it_knows(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="kframes"):
            kframes = KFrames.from_pretrained("nano")
        assert isinstance(kframes.selector, MLLMSelector)
        assert [record.getMessage() for record in caplog.records] == [NANO_NOTE]
        assert "synthetic scenes" in NANO_NOTE
        assert len(kframes.select(SAMPLE, "a green cross", k=2).frames) == 2

    def test_the_package_holds_all_of_it(self) -> None:
        assert (NANO / "model.safetensors").stat().st_size <= MAX_BYTES
        names = {path.name for path in NANO.iterdir()}
        assert {"config.json", "kframes.json", "tokenizer.json", "processor_config.json", "README.md"} <= names

    @pytest.mark.parametrize("prediction", ["text", "scores", "both"])
    def test_it_finds_what_the_sample_shows(self, prediction: str) -> None:
        kframes = KFrames.from_pretrained("nano", device="cpu", prediction=prediction)
        scores = {}
        with kframes.open(SAMPLE) as video:
            for query, clips in TRUTH.items():
                found = [[clip.start, clip.end] for clip in video.select(query, 8).clips]
                scores[query] = overlap(found, clips) if found and clips else float(found == clips)
        assert scores["find the pink circle"] > 0.5, scores
        assert np.mean(list(scores.values())) > 0.6, scores

    @pytest.mark.parametrize("prediction", ["text", "scores", "both"])
    def test_all_queries_at_once_find_what_each_finds_alone(self, prediction: str) -> None:
        selector = MLLMSelector.from_pretrained(NANO, device="cpu", prediction=prediction)
        queries = [*TRUTH, "where do we see the elephant?"]
        with KFrames(selector).open(SAMPLE) as video:
            frames = video.candidates()
            found = selector.predict_all(frames, queries)
            for query, together in zip(queries, found, strict=True):
                alone = selector(frames, query)
                assert [replace(clip, score=None) for clip in together] == [replace(clip, score=None) for clip in alone]
                assert together.cost == alone.cost
                assert [note.code for note in together.notes] == [note.code for note in alone.notes]

    def test_it_abstains(self, nano: KFrames) -> None:
        selection = nano.select(SAMPLE, "where do we see the elephant?", 8)
        assert selection.clips == ()
        assert selection.cost.model_calls == 0
        assert "'elephant'" in sentences(selection.notes)[0]
        assert len(selection.frames) == 8

    def test_sentences_are_read_like_the_lower_case_of_training(self, nano: KFrames) -> None:
        with nano.open(SAMPLE) as video:
            assert video.select("Find the Pink Circle", 4).clips == video.select("find the pink circle", 4).clips


@pytest.fixture(scope="module")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of 1280 x 720, 25 frames a second, an I-frame every 250: 20 s encoded once, again and again."""
    path, count = tmp_path_factory.mktemp("video") / "ten.mp4", 500
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1280, 720, "yuv420p", 250
        packets = [packet for number in range(count) for packet in stream.encode(_moving(number))]
        packets += stream.encode()
        for turn in range(600 * 25 // count):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.stream, again.time_base, again.is_keyframe = stream, packet.time_base, packet.is_keyframe
                shift = round(turn * count / 25 / packet.time_base)
                again.pts, again.dts = packet.pts + shift, packet.dts + shift
                container.mux(again)
    return path


def _moving(number: int) -> av.VideoFrame:
    """A bright bar that crosses a noisy ground; the ground changes every ten seconds."""
    luma = np.full((1080, 1280), 128, np.uint8)  # yuv420p in one array: Y above, U and V below
    luma[:720] = np.random.default_rng(number // 250).integers(40, 120, (720, 1280))
    luma[:720, number * 4 % 1200 :][:, :80] = 230
    frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, 25)
    return frame


@needs_weights
@pytest.mark.slow
class TestSpeed:
    """Purpose 7 of nano, on two cores: a cold start under 15 s, another query on the open video under 1 s."""

    def test_cold_start(self, ten_minutes: Path) -> None:
        start = time.perf_counter()
        command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "select", str(ten_minutes)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run(
            [*command, "find the pink circle"], check=True, capture_output=True, timeout=120, env=environment
        )
        took = time.perf_counter() - start
        assert took < 15, took

    def test_second_query(self, nano: KFrames, ten_minutes: Path) -> None:
        with nano.open(ten_minutes) as video:
            video.select("a red circle", 8)
            took = []
            for query in ("a green cross", "what colour is the ring?", "find the pink circle"):
                start = time.perf_counter()
                video.select(query, 8)
                took.append(time.perf_counter() - start)
        assert max(took) < 1, took


def test_a_prediction_is_for_models_that_have_one() -> None:
    for model in ("uniform", "scenes", "openclip:ViT-B-32/x", "http://127.0.0.1:1/v1#m"):
        with pytest.raises(ValueError, match=r"prediction='scores' is for models .*leave prediction out"):
            KFrames.from_pretrained(model, prediction="scores")
    with pytest.raises(SelectorError, match="no such directory"):
        KFrames.from_pretrained("./nano", prediction="scores")  # a path, not the bundled model
