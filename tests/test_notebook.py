"""What a notebook shows: a selection, a clip, bars; short texts without one."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from kframes_plugin import Clip, KFrames

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"
CLIPS = [Clip(22 + i, 22.5 + i, "P1", f"<script>{i}</script>\x1b", 0.5) for i in range(11)]


def test_a_selection_is_its_sheet_and_its_clips() -> None:
    selection = KFrames(lambda frames, query: CLIPS, candidates=16).select(SAMPLE, "a <b>cup</b>", 6)
    shown = selection._repr_html_()
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "a &lt;b&gt;cup&lt;/b&gt;" in shown
    assert "Found 11 P1 clips: 0:05.5 of 1:30.0" in shown
    assert shown.count("<b>P1</b>") == 8
    assert "and 3 more clips" in shown
    url = re.search(r'src="data:image/jpeg;base64,([^"]*)"', shown)[1]
    with Image.open(io.BytesIO(base64.b64decode(url))) as sheet:
        assert sheet.width == 4 * 248 + 8
    assert repr(selection) == "Selection('sample.mp4', 'a <b>cup</b>', k=6, 'focused', 11 clips, 6 frames)"


def test_a_clip_says_what_it_is() -> None:
    shown = Clip(61, 74.5, "P1", "a <goal>", 0.931)._repr_html_()
    assert shown == "<div><b>P1</b> 1:01.0 – 1:14.5, score 0.93: a &lt;goal&gt;</div>"
    assert Clip(61, 74.5, "P2")._repr_html_() == "<div><b>P2</b> 1:01.0 – 1:14.5</div>"


def test_progress_may_be_bars(capsys: pytest.CaptureFixture[str]) -> None:
    kframes = KFrames(lambda frames, query: [], candidates=16)
    selection = kframes.select(SAMPLE, "a cup", 3, progress=True)
    shown = capsys.readouterr().err
    assert "candidates" in shown
    assert "keyframes" in shown
    assert kframes.select(SAMPLE, "a cup", 3, progress=False) == selection
    assert "candidates" not in capsys.readouterr().err
