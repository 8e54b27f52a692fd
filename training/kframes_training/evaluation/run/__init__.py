"""``kframes eval``: selectors and an answerer on files of one's own (the SynthScenes command is synthscenes.py, running.py).

look.py        one opened video and what was made of it
selectors.py   names -> selectors
scorers.py     scores of candidate frames for the selectors over scores
answerers.py   k frames and a question -> an option
store.py       what is done stays on disk, so that a run can be stopped at any moment
loop.py        all items, all selectors, all k
report.py      what was found -> results with intervals; tables.py: as markdown
"""
