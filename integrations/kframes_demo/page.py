"""The page: a video, a query, a selector and k; the report in place; and a question to an answering model."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from kframes_plugin.answering import Answerer, answer_question
from kframes_plugin.errors import KFramesError
from kframes_plugin.keyframes import Progress
from kframes_plugin.kframes import KFrames
from kframes_plugin.selection import Selection
from kframes_plugin.selectors.models import describe, find_downloads, read_machine
from kframes_plugin.text import printable_lines

MOST = 64  # frames
BLIND = ("scenes", "uniform", "words")  # offered behind those that look at the query
READY = ("bundled", "here")  # states of models that need no download
HEIGHT = 1150  # of the report, pixels
HELLO = "<p style='opacity:.7;padding:2rem 0'>The report appears here: what was found, why, and the frames.</p>"
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # no font from the network


def build_demo(models: Sequence[str] | None = None, answerer: Answerer | None = None) -> gr.Blocks:
    """The page, to be launched or mounted.

    Args:
        models: selectors that can be chosen, the first one by default; None: those that this machine runs without a
            download.
        answerer: who answers questions; None: no question can be asked.
    """
    names = list_models() if models is None else list(models)
    demo = gr.Blocks(title="kframes", analytics_enabled=False)
    with demo:
        gr.Markdown("# kframes\nKey clips and keyframes of a long video, for your query.")
        chosen = gr.State()  # the Selection that is shown
        with gr.Row():
            video = gr.Video(label="Video", sources=["upload"], height=240, scale=1)
            with gr.Column(scale=1):
                query = gr.Textbox(label="What to look for", placeholder="a cup of coffee", autofocus=True)
                model = gr.Dropdown(names, value=names[0], label="Selector")
                k = gr.Slider(1, MOST, value=8, step=1, label="Number of frames (changing it calls no model)")
                look = gr.Button("Find frames", variant="primary")
        if (sample := find_sample()) is not None:
            queries = ("a cup of coffee", "a rocket")
            gr.Examples([[str(sample), text] for text in queries], [video, query], label="Try these")
        report = gr.HTML(HELLO, elem_id="report")
        download = gr.DownloadButton("Download the report", visible=False)
        shown = [chosen, report, download]
        asked: list[Any] = [video, query, model, k]
        look.click(select, asked, shown, api_name="select", concurrency_limit=1)
        query.submit(select, asked, shown, api_visibility="private", concurrency_limit=1)
        k.release(resample, [chosen, k], shown, api_visibility="private")
        if answerer is not None:
            _add_question(chosen, answerer)
    return demo


def launch(demo: gr.Blocks, *, port: int | None = None, host: str = "127.0.0.1", open_browser: bool = True) -> None:
    """Serve the page until the process is stopped.

    Args:
        demo: of :func:`build_demo`.
        port: of the server; None: the first free one from 7860 on.
        host: "127.0.0.1": this machine alone. Anybody who reaches the page can have videos decoded here.
        open_browser: open the page.
    """
    sample = find_sample()
    allowed = [str(sample)] if sample is not None else []
    demo.launch(server_name=host, server_port=port, inbrowser=open_browser, theme=THEME, allowed_paths=allowed)


def select(
    video: str | None,
    query: str,
    model: str,
    k: int,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Selection, str, Any]:
    """Select k frames of a video for a query.

    Returns:
        The selection, the report as HTML, and the report as a file.
    """
    if not video:
        raise gr.Error("Choose a video first.")
    if not query.strip():
        raise gr.Error("Describe in words what to look for.")
    try:
        return _show(_loaded(model).select(video, query, int(k), progress=_told(progress)))
    except (KFramesError, ValueError) as error:
        raise gr.Error(printable_lines(str(error))) from error


def resample(selection: Selection | None, k: int) -> tuple[Selection | None, str, Any]:
    """Another number of frames from the same clips: no model is called."""
    if selection is None:
        return None, HELLO, gr.DownloadButton(visible=False)
    try:
        return _show(selection.resample(int(k)))
    except KFramesError as error:
        raise gr.Error(printable_lines(str(error))) from error


def _add_question(chosen: gr.State, answerer: Answerer) -> None:
    """The part of the page that asks the answering model about the frames that are shown."""

    def ask(selection: Selection | None, question: str) -> tuple[str, str]:
        """Answer a question from the selected frames, and from as many frames spread evenly."""
        if selection is None:
            raise gr.Error("Find frames in a video first.")
        if not question.strip():
            raise gr.Error("Write a question.")
        try:
            answer = answer_question(selection, question, answerer, compare=True)
        except KFramesError as error:
            raise gr.Error(printable_lines(str(error))) from error
        even = answer.uniform.text if answer.uniform is not None else ""
        return f"{answer.text}\n\n{answer.rests_on()}", even

    with gr.Row():
        question = gr.Textbox(label=f"Ask {printable_lines(answerer.name)} about these frames", scale=3)
        go = gr.Button("Ask", scale=1)
    with gr.Row():
        answer = gr.Textbox(label="Answer, and the frames it is based on", lines=4)
        even = gr.Textbox(label="Answer from evenly spaced frames", lines=4)
    go.click(ask, [chosen, question], [answer, even], api_name="ask", concurrency_limit=1)


def list_models() -> list[str]:
    """The selectors that this machine runs without a download, the default one first."""
    known = describe(read_machine(), find_downloads())["models"]
    ready = [row["name"] for row in known if row["state"] in READY]
    return ["lite", *(name for name in ready if name not in ("lite", *BLIND)), *BLIND]


def find_sample() -> Path | None:
    """The sample film, where the examples lie beside the code."""
    path = Path(__file__).parents[2] / "examples" / "sample.mp4"
    return path if path.is_file() else None


@lru_cache(maxsize=2)
def _loaded(model: str) -> KFrames:
    return KFrames.from_pretrained(model)


def _told(progress: gr.Progress) -> Progress:
    return lambda step, done, total: progress((done, total), desc=step)


def _show(selection: Selection) -> tuple[Selection, str, Any]:
    """The selection, its report in a frame of its own, and the report to download."""
    file = selection.to_html(Path(tempfile.mkdtemp(prefix="kframes-")) / "report.html")
    page = html.escape(file.read_text(encoding="utf-8"))
    frame = (
        f'<iframe title="Report" sandbox="allow-scripts" srcdoc="{page}" '
        f'style="width:100%;height:{HEIGHT}px;border:0"></iframe>'
    )
    return selection, frame, gr.DownloadButton(value=str(file), visible=True)
