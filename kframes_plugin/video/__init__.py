"""OpenVideo: the only door to the decoders."""

from kframes_plugin.video.open_video import OpenVideo

__all__ = ["OpenVideo"]
