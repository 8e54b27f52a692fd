"""Measuring selectors: clips and frames against the truth, answers from k frames, honest intervals.

cli.py              ``kframes eval``; measure() is the one way from data and a plan to a report
load.py             names of selectors, a scorer, an answerer -> a plan
loop.py             the one loop: videos, selectors, queries; shards; processes.py: several at once
store.py            what is measured stays on disk: a killed run continues
candidates.py       one opened video and its candidates
selectors.py        selectors by name, on the same candidates; remembered.py: each asked once
scorers.py          scores of candidate frames; answerers.py: k frames and a question -> an option
report.py           rows -> failures, means with intervals, differences, costs; provenance.py: how they were made
tables.py           a report -> markdown, CSV, LaTeX
statistics.py       bootstrap over videos, paired differences, McNemar; the mean of every metric
studies/            the printed measurements: items, selectors and tables
data/               readers of the files that people download, of their own, and drawn videos
baselines/          published selectors over frame scores, one algorithm a file
metrics/            clips, KFS-Bench, LV-Haystack, answers, conformance: one family a file
selection_files.py  anybody's selections from a file; truth_files.py: the truth; scoring.py: the one against the other
"""
