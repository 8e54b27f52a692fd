"""PeakClips: query-conditioned clip labels from your own videos, with any language model, local or remote.

scenes -> captions -> chapters -> video caption -> queries -> relevance 1-5 -> refinement -> P1/P2 clips -> rows

pipeline.annotate(source, ...)   one video, step by step (steps.py, each a function of plain rows)
building.build(videos, out, ...) many videos, resumable, on one machine or on Ray; behind ``kframes peakclips build``
checking.check(folder)           statistics and quality of what was built; behind ``kframes peakclips check``
stages/film_rows.py             makes what the trainers take of it

The prompts are in prompts.py, all of them; what a table holds is in rows.py.
"""
