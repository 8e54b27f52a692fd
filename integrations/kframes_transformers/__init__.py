"""kframes before any transformers model that answers: the selected frames in the form its processor reads right.

>>> from kframes_transformers import prepare, wrap  # doctest: +SKIP
>>> messages, processor_kwargs, selections = prepare(messages, processor, kf, k=8)  # doctest: +SKIP
>>> pipe = pipeline("image-text-to-text", model, processor=wrap(processor, kf, k=8))  # doctest: +SKIP
>>> pipe = pipeline("video-text-to-text", model, selector=kf, k=8)  # doctest: +SKIP

Importing it registers the task "video-text-to-text".
"""

import transformers  # noqa: F401 - the gate: without the host there is no integration

from kframes_plugin.prompt.styles import STYLES, style_of
from kframes_transformers.pipeline import VideoTextToTextPipeline, register
from kframes_transformers.prepare import Prepared, prepare
from kframes_transformers.wrapping import unwrap, wrap

register()

__all__ = ["STYLES", "Prepared", "VideoTextToTextPipeline", "prepare", "register", "style_of", "unwrap", "wrap"]
