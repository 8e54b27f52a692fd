"""A headless Chromium for tests of pages: skips where it or Playwright is not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A browser of Playwright's synchronous kind, the system's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, as of `apt install chromium`")
    with playwright.sync_playwright() as running:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


def find_axe_trouble(page: Any) -> list[str]:
    """What axe-core finds on a page that is serious or critical: rule and elements."""
    pytest.importorskip("axe_playwright_python", reason="needs: pip install axe-playwright-python")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8") + ";0")
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{item['id']}: {[node['html'][:120] for node in item['nodes'][:3]]}"
        for item in found
        if item["impact"] in ("serious", "critical")
    ]


def wait_until(page: Any, expression: str, seconds: float = 20) -> None:
    """Wait until an expression is true; the page's policy forbids what Playwright's own wait does."""
    for _ in range(round(seconds * 20)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not so within {seconds} s: {expression}")


def page_url(path: Path) -> str:
    """Of a file."""
    return path.resolve().as_uri()
