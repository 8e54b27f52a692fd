"""A page in the browser to try kframes on a video: ``kframes demo``."""

from kframes_demo.page import build_demo, launch

__all__ = ["build_demo", "launch"]
