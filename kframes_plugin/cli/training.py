"""Commands of the training package, which is loaded when they are called: eval, peakclips, candidates."""

from __future__ import annotations

import importlib
from typing import Any

import typer

from kframes_plugin import KFramesError
from kframes_plugin.cli.app import TRAIN, app

HANDED_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


@app.command("eval", rich_help_panel=TRAIN, **HANDED_ON)
def evaluate(context: typer.Context) -> None:
    """Measure selectors on your own data; see `kframes eval --help`."""
    _hand_on(context, "kframes_training.evaluation.cli", "evaluate", "train")


@app.command(rich_help_panel=TRAIN, **HANDED_ON)
def peakclips(context: typer.Context) -> None:
    """Label your own videos: `peakclips build VIDEOS --annotator ... --out DIR`, `peakclips check DIR`."""
    _hand_on(context, "kframes_training.sources.peakclips.cli", "annotate", "annotate")


@app.command(rich_help_panel=TRAIN, **HANDED_ON)
def candidates(context: typer.Context) -> None:
    """Decode candidate frames once, before training: `candidates VIDEOS --out FOLDER`."""
    _hand_on(context, "kframes_training.stages.candidates", "decode for training", "train")


def _hand_on(context: typer.Context, module: str, verb: str, extra: str) -> None:
    """Give the arguments to another room's commands, which are loaded only now."""
    try:
        importlib.import_module(module).app(context.args, prog_name=f"kframes {context.info_name}")
    except ModuleNotFoundError as error:
        raise KFramesError(f"cannot {verb}: {error}; run: pip install 'kframes[{extra}]'") from error
