"""The report as a file: what it holds, its size, its policy; without a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kframes_plugin import Clip, Frame, KFrames, Prediction, Selection
from kframes_plugin.output.report.film import relevance_curve
from kframes_plugin.output.report.page import tell_found
from kframes_plugin.video import OpenVideo

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"
CLIPS = [Clip(22, 28, "P1", "a cup", 0.9), Clip(74, 79, "P2", "a spoon")]


def select(k: int = 8, clips: Any = CLIPS, **given: Any) -> Selection:
    return KFrames(lambda frames, query: Prediction(clips), candidates=64, **given).select(SAMPLE, "a cup", k)


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB")


def test_the_policy_allows_our_scripts_and_style_by_hash_and_nothing_else(tmp_path: Path) -> None:
    text = select().to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    inline = re.findall(r"<script>(.*?)</script>|<style>(.*?)</style>", text, re.S)
    assert len(inline) == 3
    for script, style in inline:
        digest = base64.b64encode(hashlib.sha256((script or style).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not re.search(r"\son\w+=|\sstyle=", re.sub(r"<script.*?</script>", "", text, flags=re.S))


def test_pictures_of_a_short_video_are_those_of_every_k(tmp_path: Path) -> None:
    selection = select()
    data = data_of(selection.to_html(tmp_path / "report.html"))
    held = dict(data["pictures"])
    shown = {
        time for strategy in (None, "uniform") for k in (5, 64) for time in selection.resample(k, strategy).timestamps
    }
    assert shown - set(selection.timestamps) <= set(held)
    assert not set(selection.timestamps) & set(held), "those of its own k are in the page already"
    times = sorted(held)[::60]
    with OpenVideo(SAMPLE) as video:
        for time, frame in zip(times, video.frames_at(times, size=176), strict=True):
            ours, theirs = (np.asarray(image, np.int16) for image in (picture(held[time]), frame.image))
            assert np.abs(ours - theirs).mean() < 12, f"the frame at {time} s"


def test_an_open_video_gives_the_pictures_that_it_keeps() -> None:
    with OpenVideo(SAMPLE) as video:
        candidates = video.candidates(15, size=448)
        times = [frame.timestamp for frame in candidates]
        video.frames_at(times[:1], size=176)
        before = video.frames_decoded
        kept = video.kept_pictures([*times, 1.234])
        assert video.frames_decoded == before
        assert list(kept) == times
        assert {picture.width for picture in kept.values()} == {448}, "the largest of each"


def test_costly_videos_get_fewer_pictures(tmp_path: Path) -> None:
    """One I-frame in ten minutes: decoding all frames of every k would take minutes."""
    import av

    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=8, options={"g": "9999", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for number in range(4800):
            shade = np.full((36, 64, 3), number * 5 % 256, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(shade)))
        output.mux(stream.encode(None))
    selection = KFrames(lambda frames, query: CLIPS, candidates=4, exact=True).select(path, "a cup", 4)
    few = data_of(selection.to_html(tmp_path / "few.html"))["pictures"]
    assert len(few) > 600, "small pictures are cheap: the budget is in pixels"
    from kframes_plugin.output.report import pictures

    with OpenVideo(path) as video:
        times = [float(time) for time in video.timestamps[::100]]
        assert pictures._affordable(times, video) == times
        large = _LargeVideo(video)
        paid = pictures._affordable(times, large)
        assert paid == times[: len(paid)]
        assert max(paid) * 8 <= pictures.BUDGET / 9


class _LargeVideo:
    """The index of a video, as if it were of 4K."""

    width, height = 3840, 2160

    def __init__(self, video: OpenVideo) -> None:
        self.timestamps, self.is_i_frame, self.needed = video.timestamps, video.is_i_frame, video.needed
        self.path = video.path


@pytest.mark.parametrize("k", [64, pytest.param(300, marks=pytest.mark.slow)])
def test_a_page_of_many_frames_stays_small(k: int, tmp_path: Path) -> None:
    page = select(k).to_html(tmp_path / "report.html")
    assert page.stat().st_size < 5_000_000
    assert page.read_text(encoding="utf-8").count("<figure>") == k


def test_given_frames_have_a_report_with_a_slider(tmp_path: Path) -> None:
    shades = [Frame(float(i), 1.0, Image.new("RGB", (32, 18), (i, i, i))) for i in range(100)]
    kframes = KFrames(lambda frames, query: [Clip(10, 30)], candidates=16)
    with kframes.open(shades) as session:
        data = data_of(session.select("grey", 4).to_html(tmp_path / "report.html"))
        assert data["film"]["clock"] == {"ticks": 1, "gaps": [1, 99]}
        assert data["video"] == ""
        assert len(data["pictures"]) == len(shades) - 4


def test_another_video_in_its_place_is_not_shown(tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(SAMPLE.read_bytes())
    selection = replace(select(), video=str(other), source="")
    assert "clock" in data_of(selection.to_html(tmp_path / "same.html"))["film"]
    moved = replace(selection, frames=(replace(selection.frames[0], timestamp=1.0), *selection.frames[1:]))
    page = moved.to_html(tmp_path / "other.html")
    assert "clock" not in data_of(page)["film"]
    assert "no longer has the frames of this selection" in page.read_text(encoding="utf-8")


def test_long_lists_of_clips_are_folded(tmp_path: Path) -> None:
    clips = [Clip(i, i + 0.5, "P1", f"reason {i}") for i in range(30)]
    text = select(clips=clips).to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<summary>22 more clips</summary>" in text
    assert (
        text.index("<figure>")
        < text.index("reason 0</span>")
        < text.index("<details><summary>22")
        < text.index("reason 9<")
    )


def test_what_was_found_is_one_line() -> None:
    assert tell_found(select()) == ("Found 1 P1 clip and 1 P2 clip: 0:11.0 of 1:30.0. 8 of the 8 frames lie in them.")
    unsure = [Clip(22, 28, "P2", "", 0.3), Clip(30, 31, "P2", "", 0.1)]
    assert tell_found(select(1, unsure)) == (
        "Found 2 P2 clips: 0:07.0 of 1:30.0. 1 of the 1 frame lies in them. "
        "The selector is unsure: its best score is 0.30."
    )
    assert tell_found(select(3, [])) == (
        "Nothing in the video clearly answers the query. The 3 frames are spread over the video."
    )


def test_the_curve_is_the_best_score_at_each_time() -> None:
    clips = [Clip(2, 6, score=0.5), Clip(4, 8, "P2", score=0.7), Clip(8, 9, score=0.7), Clip(12, 20, score=0.1)]
    assert relevance_curve(clips, 15.0) == [(0.0, 2, 0.0), (2, 4, 0.5), (4, 9, 0.7), (9, 12, 0.0), (12, 15.0, 0.1)]
    assert relevance_curve([Clip(1, 2)], 5.0) == []
