"""Selectors: one algorithm a file, each a callable ``(frames, query) -> clips``. Any file here can be deleted alone."""
