"""How a video is opened, checked when it is said: see :class:`~kframes_plugin.video.OpenVideo` for what each means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from kframes_plugin.text import quoted
from kframes_plugin.video.decoder import MAX_DECODED, Limits
from kframes_plugin.video.sources import check_hosts

MAX_PIXELS = 8192 * 8192  # 8K (7680 x 4320) is half of it
MAX_DURATION = 24 * 3600.0  # seconds
MAX_STREAMS = 64
KEPT_BYTES = 256 * 2**20  # of decoded pictures: 64 of 1280 x 720, or 512 candidates of 448 x 252
MAX_BYTES = 2 << 30  # two hours of 1080p at 2 Mbit/s are 1.8 GB
TIMEOUT, TOTAL_TIMEOUT = 20.0, 600.0  # seconds
MAX_MEMORY = 4 << 30  # bytes: 1,165 pictures of 1280 x 720
DECODERS = ("pyav", "decord")
_LEAST = {"max_pixels": 1, "max_streams": 1, "max_bytes": 1, "kept_bytes": 0, "max_decoded": 1, "max_memory": 1}


@dataclass(frozen=True)
class VideoOptions:
    """The keyword arguments of :class:`~kframes_plugin.video.OpenVideo`.

    Raises:
        TypeError, ValueError: a value that cannot be, with the rule.
    """

    decoder: str = "pyav"
    max_pixels: int = MAX_PIXELS
    max_duration: float = MAX_DURATION
    max_streams: int = MAX_STREAMS
    allow_urls: bool | tuple[str, ...] = False
    kept_bytes: int = KEPT_BYTES
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT
    total_timeout: float = TOTAL_TIMEOUT
    max_decoded: int = MAX_DECODED
    max_memory: int = MAX_MEMORY

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise ValueError(f'decoder must be "pyav" or "decord"; got {quoted(self.decoder)}')
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name} must be a whole number; got {quoted(value)}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}; got {value}")
        for name in ("max_duration", "timeout", "total_timeout"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0 or math.isnan(value):
                raise ValueError(f"{name} must be seconds > 0; got {quoted(value)}")
        object.__setattr__(self, "allow_urls", check_hosts(self.allow_urls))

    @classmethod
    def read(cls, given: Mapping[str, Any] | None) -> Self:
        """The options of ``video_options=``.

        Raises:
            TypeError, ValueError: no mapping, an unknown name, or a value that cannot be.
        """
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"video_options must be a mapping of names to values; got {quoted(given)}")
        known = [item.name for item in fields(cls)]
        for name in given or {}:
            if name not in known:
                raise ValueError(f"video_options has no {quoted(name)}; known are {', '.join(known)}")
        return cls(**(given or {}))

    def as_arguments(self) -> dict[str, Any]:
        """The same as keyword arguments."""
        return asdict(self)

    @property
    def limits(self) -> Limits:
        """What a file may claim."""
        return Limits(
            pixels=self.max_pixels, duration=self.max_duration, streams=self.max_streams, decoded=self.max_decoded
        )
