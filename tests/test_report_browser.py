"""The report in headless Chromium: slider, frames, toggle, keyboard, video beside it, accessibility, no network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import find_axe_trouble, open_browser, page_url, wait_until

from kframes_plugin import Clip, KFrames, Prediction, Selection

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"
CLIPS = [Clip(22, 28, "P1", "a cup <b>", 0.9), Clip(74, 79, "P2", "a spoon", 0.6)]
NEAREST = [Clip(start, start + 6, "P1", "", score) for start, score in ((22, 0.4), (74, 0.2), (50, 0.1))]
SHOWN = "[...document.querySelectorAll('#frames figure')].map(figure => Number(figure.dataset.time))"
SET_K = "k => { const s = document.querySelector('#k'); s.value = k; s.dispatchEvent(new Event('input')); }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def selection() -> Selection:
    return KFrames(lambda frames, query: CLIPS, candidates=64).select(SAMPLE, "a cup of coffee", 8)


@pytest.fixture(scope="module")
def report(selection: Selection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return selection.to_html(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    with browser.new_page() as opened:
        opened.on("pageerror", lambda error: pytest.fail(str(error)))
        opened.on("console", lambda message: refuse_policy(message.text))
        opened.goto(page_url(report))
        yield opened


def refuse_policy(text: str) -> None:
    assert "Content Security Policy" not in text, text


@pytest.mark.slow
@pytest.mark.parametrize("nearest", [(), NEAREST], ids=["clips", "unsure"])
def test_the_slider_shows_pythons_frames_for_every_k(browser: Any, nearest: Any, tmp_path: Path) -> None:
    kframes = KFrames(lambda frames, query: Prediction([] if nearest else CLIPS, nearest=nearest), candidates=64)
    with kframes.open(SAMPLE) as session, browser.new_page() as page:
        selection = session.select("a cup of coffee", 8)
        page.goto(page_url(selection.to_html(tmp_path / "report.html")))
        for strategy in (None, "uniform"):
            if strategy == "uniform":
                page.locator(".modes label").nth(1).click()
            for k in range(1, 65):
                page.evaluate(SET_K, k)
                assert page.evaluate(SHOWN) == selection.resample(k, strategy=strategy).timestamps, f"{strategy} {k}"
        assert page.locator(".absent").count() == 0, "the page holds the pictures of a short video"


def test_a_click_on_a_frame_tells_all_of_it(page: Any, selection: Selection) -> None:
    page.locator("#frames button").first.click()
    viewer = page.locator("#viewer")
    assert viewer.is_visible()
    words = viewer.inner_text()
    assert "0:22.0 to 0:28.0, score 0.90" in words
    assert "a cup <b>" in words
    assert "Frame 1 of 8" in words
    assert page.evaluate("document.querySelector('#viewer img').naturalWidth") == selection.images[0].width
    page.keyboard.press("ArrowRight")
    assert "Frame 2 of 8" in viewer.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "Frame 1 of 8" in viewer.inner_text()
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    page.keyboard.press("ArrowRight")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("Frame 2 at "), "the focus comes back to the frame, and arrows move it"


def test_the_slider_goes_by_keyboard_and_the_tally_follows(page: Any, selection: Selection) -> None:
    page.locator("#k").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#count").inner_text() == "9"
    assert page.locator("#frames figure").count() == 9
    page.keyboard.press("Home")
    assert page.evaluate(SHOWN) == selection.resample(1).timestamps
    page.evaluate(SET_K, 8)
    assert page.locator("#tally").inner_text() == "In the clips: kframes 8 of 8, uniform 1 of 8"
    page.locator(".modes label").nth(1).click()
    assert page.evaluate(SHOWN) == selection.resample(8, "uniform").timestamps
    assert page.locator("#frames .tag.none").count() == 7


def test_a_clip_shows_its_frame_and_the_strip_its_nearest(page: Any) -> None:
    page.locator("[data-clip='1']").click()
    assert "a spoon" in page.locator("#viewer").inner_text()
    page.keyboard.press("Escape")
    svg = page.locator("#film svg")
    place = {"x": 84 + (svg.bounding_box()["width"] - 90) * 25 / 90, "y": 10}
    svg.hover(position=place)
    assert page.locator(".peek").inner_text().strip().endswith("clip 1, P1")
    svg.click(position=place)
    assert "a cup" in page.locator("#viewer").inner_text()


def test_the_page_asks_nobody_but_the_video_beside_it(browser: Any, report: Path) -> None:
    with browser.new_page() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_url(report))
        page.wait_for_timeout(200)
    folder = page_url(report.parent)
    assert {url for url in asked if not url.startswith("data:")} == {f"{folder}/report.html", f"{folder}/sample.mp4"}


@pytest.mark.parametrize("kind", ["whole", "broken", "missing"])
def test_a_video_beside_the_page_plays_from_the_clip(
    browser: Any, selection: Selection, tmp_path: Path, kind: str
) -> None:
    report = selection.to_html(tmp_path / "report.html")
    if kind == "whole":
        shutil.copy(SAMPLE, tmp_path)
    elif kind == "broken":
        (tmp_path / "sample.mp4").write_bytes(SAMPLE.read_bytes()[:4000])
    with browser.new_page() as page:
        page.goto(page_url(report))
        button = page.locator("[data-clip='0']")
        if kind != "whole":
            page.wait_for_timeout(300)
            assert button.inner_text() == "Show"
            button.click()
            assert page.locator("#viewer img").is_visible()
            assert not page.locator("[data-play]").is_visible()
            return
        wait_until(page, "document.querySelector('[data-clip]').textContent === 'Play'")
        button.click()
        wait_until(page, "document.querySelector('video').currentTime > 22.05")
        assert page.evaluate("document.querySelector('video').currentTime") < 28
        page.keyboard.press("Escape")
        wait_until(page, "document.querySelector('video').paused")


def test_a_report_without_its_video_shows_its_own_frames(browser: Any, selection: Selection, tmp_path: Path) -> None:
    gone = replace(selection, video="gone.mp4", source="")
    with browser.new_page() as page:
        page.goto(page_url(gone.to_html(tmp_path / "report.html")))
        assert not page.locator("#controls").is_visible()
        assert page.evaluate(SHOWN) == selection.timestamps
        assert "the report shows only k = 8" in page.locator(".notes").inner_text()
        page.locator("#frames button").nth(2).click()
        assert "Frame 3 of 8" in page.locator("#viewer").inner_text()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_serious(browser: Any, report: Path, look: str) -> None:
    wide = {"width": 390, "height": 844} if look == "phone" else {"width": 1280, "height": 900}
    with browser.new_page(viewport=wide, color_scheme="dark" if look == "dark" else "light") as page:
        page.goto(page_url(report))
        assert find_axe_trouble(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= wide["width"], "nothing sticks out"
        page.locator("summary").last.click()
        page.locator("#frames button").first.click()
        assert find_axe_trouble(page) == []
