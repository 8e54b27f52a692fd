"""The demo: its page as a person and as a program use it, on a real server on loopback, offline."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", exc_type=ImportError)

from browser import open_browser
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from kframes_demo import build_demo
from kframes_demo.page import THEME, list_models
from typer.testing import CliRunner

from kframes_plugin.answering import Answerer
from kframes_plugin.chat.client import Reply
from kframes_plugin.cli import app
from kframes_plugin.types import Cost

pytestmark = pytest.mark.filterwarnings("ignore")  # of gradio and its packages
SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"


class Counting(Answerer):
    """Says how many frames it sees, and what it is asked."""

    name = "a model that counts"

    def answer(self, messages: Any, on_text: Any = None) -> Reply:
        content = messages[0]["content"]
        frames = sum(item["type"] == "image" for item in content)
        return Reply(f"{frames} frames: {content[-1]['text']}", False, Cost(model_calls=1))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    demo = build_demo(["lite", "scenes"], Counting())
    demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, theme=THEME, allowed_paths=[str(SAMPLE)])
    yield demo.local_url
    demo.close()
    gc.collect()  # loops that gradio leaves open, while its warnings are ignored


def test_by_program(url: str) -> None:
    client = Client(url, verbose=False)
    assert {"/select", "/ask"} <= client.view_api(return_format="dict")["named_endpoints"].keys()
    report, file = client.predict(handle_file(SAMPLE), "a cup of coffee", "lite", 8, api_name="/select")
    assert 'sandbox="allow-scripts"' in report
    assert "a cup of coffee" in report
    path = Path(file["value"] if isinstance(file, dict) else file)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    answer, even = client.predict("How many?", api_name="/ask")
    assert answer.startswith("8 frames: How many?\n\n8 frames, ")
    assert even == "8 frames: How many?"


def test_what_is_wrong_is_said(url: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    client = Client(url, verbose=False)
    for video, query, why in (
        (handle_file(broken), "a cup", "not a video"),
        (None, "a cup", "Choose a video first."),
        (handle_file(SAMPLE), " ", "Describe in words what to look for."),
    ):
        with pytest.raises(AppError, match=why):
            client.predict(video, query, "scenes", 8, api_name="/select")
    with pytest.raises(AppError, match="Find frames in a video first"):
        Client(url, verbose=False).predict("Who?", api_name="/ask")


def test_by_hand(url: str) -> None:
    """Upload, look, read the report, another k, ask; nothing comes from elsewhere."""
    with open_browser() as browser, browser.new_page() as page:
        elsewhere: list[str] = []
        page.on("request", lambda request: elsewhere.append(request.url))
        page.goto(url)
        page.set_input_files("input[type=file]", str(SAMPLE))
        page.get_by_label("What to look for").first.fill("a cup of coffee")
        page.get_by_role("button", name="Find frames", exact=True).click()
        report = page.frame_locator("iframe[title=Report]")
        report.locator("h1").wait_for(timeout=120_000)
        assert report.locator("h1").inner_text() == "a cup of coffee"
        assert report.locator("#frames figure").count() == 8
        page.get_by_label(re.compile("Ask a model that counts")).fill("How many?")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.wait_for_function("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('8 frames: '))")
        assert page.get_by_role("button", name="Download the report").is_visible()
        local = ("http://127.0.0.1", "data:", "blob:", "about:")
        assert [address for address in elsewhere if not address.startswith(local)] == []


def test_models_without_a_download() -> None:
    names = list_models()
    assert names[0] == "lite"
    assert names[-3:] == ["scenes", "uniform", "words"]
    assert len(set(names)) == len(names)


def test_the_command_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kframes_demo", None)
    done = CliRunner().invoke(app, ["demo"])
    assert "run: pip install 'kframes[demo]'" in str(done.exception)
    assert CliRunner().invoke(app, ["demo", "--port", "0"]).exit_code == 2
