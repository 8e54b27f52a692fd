"""The clips as a task of Label Studio with predictions, for its tags ``Video`` and ``TimelineLabels``."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from kframes_plugin.export.media import Media
from kframes_plugin.selection import Selection
from kframes_plugin.text import printable
from kframes_plugin.types import Clip
from kframes_plugin.video.sources import is_url

FROM, TO = "clips", "video"  # names of the two tags


def label_studio(selection: Selection, media: Media) -> str:
    """A list of one task, to be imported: a region a clip with its priority as label, score and reason.

    Label Studio counts frames from 1, and the end of a region is its last frame. ``data.fps`` is for
    ``<Video frameRate="$fps">``; ``data.video`` is the video's URL, or its name in the folder of local files.
    """
    local = f"/data/local-files/?d={quote(media.name, errors='surrogateescape')}"
    prediction: dict[str, Any] = {
        "model_version": f"kframes {selection.selector.get('name', '')}".strip(),
        "result": [_region(number, clip, media) for number, clip in enumerate(selection.clips, 1)],
    }
    if scores := [clip.score for clip in selection.clips if clip.score is not None]:
        prediction["score"] = max(scores)
    task = {
        "data": {
            "video": media.path if is_url(media.path) else local,
            "fps": float(media.rate),
            "query": printable(selection.query),
        },
        "predictions": [prediction],
    }
    return json.dumps([task], indent=1) + "\n"


def _region(number: int, clip: Clip, media: Media) -> dict[str, Any]:
    first, last = media.span(clip)
    region: dict[str, Any] = {
        "id": f"clip-{number}",
        "from_name": FROM,
        "to_name": TO,
        "type": "timelinelabels",
        "value": {"ranges": [{"start": first + 1, "end": last}], "timelinelabels": [clip.priority]},
        "meta": {"text": [printable(clip.reason)]},
    }
    return region if clip.score is None else region | {"score": clip.score}
