"""Selection: saving, loading, messages, and its pictures."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from drawn_film import SAMPLE
from PIL import Image

from kframes_plugin import Clip, KFrames, KFramesError, Prediction, Selection
from kframes_plugin.output.contact_sheet import contact_sheet
from kframes_plugin.output.messages import clock
from kframes_plugin.output.timeline import timeline_svg

CLIPS = [Clip(12, 18, "P1", "a green <square> & sand", 0.9), Clip(36, 42, "P2", "a black square $x$")]


@pytest.fixture(scope="module")
def selection() -> Selection:
    kframes = KFrames(lambda frames, query: Prediction(CLIPS, notes=["repaired"]), candidates=32)
    return kframes.select(SAMPLE, "a <b>square</b> for $5 视频", 9)


def test_save_and_load_give_the_same_selection(selection, tmp_path):
    folder = selection.save(tmp_path / "été 视频")
    loaded = Selection.load(folder)
    assert loaded.to_dict() == selection.to_dict()
    assert loaded.timestamps == selection.timestamps
    for ours, theirs in zip(selection.images, loaded.images, strict=True):
        assert np.abs(np.asarray(ours, np.int16) - np.asarray(theirs, np.int16)).mean() < 3, "JPEG, quality 95"
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 10
    assert names[0].startswith("frame_0001_")


def test_a_loaded_selection_resamples(selection, tmp_path):
    loaded = Selection.load(selection.save(tmp_path))
    assert loaded.resample(k=5).timestamps == selection.resample(k=5).timestamps
    assert len(loaded.resample(k=40).frames) == 40


def test_load_refuses_what_it_does_not_know(selection, tmp_path):
    with pytest.raises(KFramesError, match="no selection can be read here"):
        Selection.load(tmp_path / "nothing")
    folder = selection.save(tmp_path / "changed")
    file = folder / "selection.json"
    file.write_text(
        file.read_text(encoding="utf-8").replace("kframes.selection/2", "kframes.selection/99"), encoding="utf-8"
    )
    with pytest.raises(KFramesError, match=r"not have the schema kframes\.selection/2"):
        Selection.load(folder)


def test_load_reads_no_file_outside_its_folder(selection, tmp_path):
    folder = selection.save(tmp_path / "saved")
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.jpg")
    plain = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
    plain["frames"][0]["file"] = "../secret.jpg"
    (folder / "selection.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(KFramesError, match=r"secret\.jpg"):
        Selection.load(folder)


def test_to_dict_is_plain_json(selection):
    plain = selection.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["schema"] == "kframes.selection/2"
    assert plain["clips"][0] == {"start": 12, "end": 18, "priority": "P1", "reason": CLIPS[0].reason, "score": 0.9}


def test_messages_put_each_time_before_its_frame(selection):
    (message,) = selection.to_messages("How many corners?")
    content = message["content"]
    assert [part["type"] for part in content] == ["text", "image"] * 9 + ["text"]
    assert content[0]["text"] == f"{selection.timestamps[0]:.1f} s:"
    assert content[1]["image"] is selection.images[0]
    assert content[-1]["text"] == "How many corners?"
    assert selection.to_messages()[0]["content"][-1]["text"] == selection.query


def test_reasons_are_in_messages_only_when_asked_for(selection):
    assert "sand" not in str(selection.to_messages("?"))
    assert "12.0-18.0 s (P1): a green <square> & sand" in str(selection.to_messages("?", reasons=True))


def test_timeline_shows_all_four_rows(selection):
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", timeline_svg(selection))
    rows = ["keyframes (9)", "clips (2)", f"scenes ({len(selection.scenes)})", "candidates (32)"]
    assert [text for text in texts if text in rows] == rows
    assert "0:00.0" in texts
    picture = selection.timeline()
    assert picture.size == (2000, 464)
    for clip in selection.clips:
        middle = round(2 * (130 + (clip.start + clip.end) / 2 * 836 / selection.duration))
        colours = {picture.getpixel((x, 2 * (44 + 38 + 10))) for x in range(middle - 6, middle + 7)}
        assert {"P1": (0xD5, 0x5E, 0x00), "P2": (0x56, 0xB4, 0xE9)}[clip.priority] in colours


def test_contact_sheet_has_every_frame(selection):
    sheet = selection.contact_sheet(columns=4, width=160)
    assert sheet.width == 4 * 168 + 8
    assert sheet.height == 3 * (120 + 24 + 8) + 8
    pixels = np.asarray(sheet).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 100
    with pytest.raises(ValueError, match="columns >= 1 and width >= 32; got 0 and 320"):
        contact_sheet(selection, 0)


def test_html_is_one_sound_page_with_everything_escaped(selection, tmp_path):
    page = selection.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    reader = _Tags()
    reader.feed(page)
    assert not reader.open, f"left open: {reader.open}"
    assert reader.images == 9 + 1, "the frames, and the viewer's empty one"
    assert "a green &lt;square&gt; &amp; sand" in page
    assert "a &lt;b&gt;square&lt;/b&gt; for $5 视频" in page
    assert "repaired" in page
    assert not [source for source in reader.sources if not source.startswith("data:")], "nothing from outside"
    assert reader.scripts == 3, "data, allocation, page"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images = self.scripts = 0
        self.sources: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        self.scripts += tag == "script"
        if tag == "img":
            self.images += 1
        self.sources += [value for name, value in attrs if name == "src"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (12.46, "0:12.5"), (59.96, "1:00.0"), (4000, "1:06:40.0")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_openai_messages_hold_small_jpegs(selection):
    (message,) = selection.to_openai("How many corners?", long_side=64, quality=50)
    assert json.loads(json.dumps(message)) == message
    assert [part["type"] for part in message["content"]] == ["text", "image_url"] * 9 + ["text"]
    kind, data = message["content"][1]["image_url"]["url"].split(",", 1)
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, max(image.size)) == ("JPEG", 64)
    assert max(selection.images[0].size) > 64, "the selection is not changed"
    with pytest.raises(ValueError, match=r"quality in 1\.\.95; got 768 and 99"):
        selection.to_openai(quality=99)


def test_video_metadata_says_the_true_times_on_a_grid_of_milliseconds(selection):
    metadata = selection.video_metadata()
    assert set(metadata) == {"total_num_frames", "fps", "duration", "frames_indices"}
    assert [index / metadata["fps"] for index in metadata["frames_indices"]] == pytest.approx(
        selection.timestamps, abs=5e-4
    )
    assert metadata["total_num_frames"] / metadata["fps"] == pytest.approx(metadata["duration"], abs=1e-3)
    assert selection.video_metadata(repeat=2)["frames_indices"][::2] == metadata["frames_indices"]
    with pytest.raises(ValueError, match="repeat must be at least 1; got 0"):
        selection.video_metadata(repeat=0)


def test_vllm_gets_frames_and_metadata(selection):
    ((pictures, metadata),) = selection.to_vllm(repeat=2)["video"]
    width, height = selection.images[0].size
    assert (pictures.shape, pictures.dtype) == ((18, height, width, 3), np.uint8)
    assert (pictures[0] == pictures[1]).all()
    assert metadata.pop("do_sample_frames") is False
    assert metadata == selection.video_metadata(repeat=2)
