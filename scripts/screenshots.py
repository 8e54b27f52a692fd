#!/usr/bin/env python3
"""Make the pictures of docs/pictures from real runs on examples/sample.mp4, whose photographs may be redistributed.

    python scripts/screenshots.py          # needs Chromium and `pip install playwright`

They are: the report in light, in dark, with a frame open and on a phone; a selection as a notebook shows it; and the
frames of uniform sampling beside those of lite, for README.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from kframes_plugin import KFrames, Selection
from kframes_plugin.output.messages import clock

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
QUERY = "a cup of coffee"
WIDE = {"width": 1180, "height": 900}
GROUND, INK, QUIET, FOUND = "#fbfaf8", "#1d1c1a", "#66625c", "#c24e00"
NOTEBOOK = "<!doctype html><meta charset=utf-8><body style='font:15px system-ui;margin:24px;max-width:1000px'>"


def main() -> None:
    """Select once, and take all pictures of that."""
    PICTURES.mkdir(exist_ok=True)
    with KFrames.from_pretrained().open(ROOT / "examples" / "sample.mp4") as video:
        selection = video.select(QUERY, k=8)
        compare(selection.resample(8, "uniform"), selection).save(PICTURES / "compare.webp", quality=82)
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            report = selection.to_html(Path(folder) / "report.html")
            notebook = Path(folder) / "notebook.html"
            notebook.write_text(NOTEBOOK + selection._repr_html_(), encoding="utf-8")
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=[] if os.geteuid() else ["--no-sandbox"])
            take(browser, report, "report-light", viewport=WIDE)
            take(browser, report, "report-dark", k=24, viewport=WIDE, color_scheme="dark")
            take(browser, report, "report-frame", click=True, viewport=WIDE)
            phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
            take(browser, report, "report-phone", **phone, is_mobile=True)
            take(browser, notebook, "notebook", viewport={"width": 1060, "height": 490})
            browser.close()


def take(browser: Any, page: Path, name: str, *, k: int | None = None, click: bool = False, **look: Any) -> None:
    """One picture of a page: the whole of it, on a phone or with a frame open what is seen at first."""
    context = browser.new_context(**look)
    tab = context.new_page()
    tab.goto(page.as_uri())
    if k is not None:
        tab.locator("#k").fill(str(k))
        tab.evaluate("document.activeElement.blur()")
    if click:
        tab.locator("#frames button").first.click()
    whole = not click and not look.get("is_mobile")
    with Image.open(io.BytesIO(tab.screenshot(full_page=whole))) as picture:
        picture.convert("RGB").save(PICTURES / f"{name}.webp", quality=82)
    context.close()


def compare(uniform: Selection, found: Selection) -> Image.Image:
    """The frames of both, row by row, each above its time; those inside the true spans are framed."""
    rows_of_truth = json.loads((ROOT / "examples" / "sample.json").read_text(encoding="utf-8"))["queries"]
    truth = next(row["clips"] for row in rows_of_truth if row["query"] == QUERY)
    columns, width, gap, band, head = 4, 292, 10, 26, 44
    first = found.images[0]
    height = round(width * first.height / first.width)
    rows = -(-len(found.frames) // columns)
    block = head + rows * (height + band + gap)
    sheet = Image.new("RGB", (columns * (width + gap) + 2 * gap, 2 * block + 3 * gap), GROUND)
    pen = ImageDraw.Draw(sheet)
    large, small = (ImageFont.load_default(size=size) for size in (22, 15))
    for place, (selection, name) in enumerate(((uniform, "Spread evenly"), (found, "kframes with lite"))):
        top = gap + place * (block + gap)
        inside = [any(start <= frame.timestamp < end for start, end in truth) for frame in selection.frames]
        verb = "shows" if sum(inside) == 1 else "show"
        title = f"{name}: {sum(inside)} of {len(inside)} frames {verb} {QUERY}"
        pen.text((gap + 4, top + 6), title, INK, large)
        for number, (frame, hit) in enumerate(zip(selection.frames, inside, strict=True)):
            left = gap + number % columns * (width + gap) + 4
            upper = top + head + number // columns * (height + band + gap)
            picture = frame.image.resize((width, height))
            if hit:
                pen.rectangle((left - 4, upper - 4, left + width + 3, upper + height + 3), FOUND)
            sheet.paste(picture, (left, upper))
            pen.text((left, upper + height + 5), clock(frame.timestamp), FOUND if hit else QUIET, small)
    return sheet


if __name__ == "__main__":
    main()
