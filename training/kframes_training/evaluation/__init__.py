"""Measuring: the quality of clips."""
