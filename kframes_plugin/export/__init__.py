"""Take a selection elsewhere: clips as MP4, GIF or WebP, tables, timelines of editors, chapters, labels."""

from kframes_plugin.export.write import export

__all__ = ["export"]
