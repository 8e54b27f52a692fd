"""Every published selector on the same candidates with the same scores, and kframes, on held-out SynthScenes videos.

picks.py      the frames that everyone takes for one query
measure.py    one video: scores, clips, picks, metrics, answers, reasons
summary.py    records -> means with intervals, paired differences
tables.py     results.json -> markdown
__main__.py   the command
"""
