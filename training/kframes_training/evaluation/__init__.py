"""Measuring selectors: clips and frames against the truth, answers from k frames, honest intervals.

cli.py              ``kframes eval``
data/               readers of the files that people download, and of their own
run/                selectors and an answerer on such a file, resumable
baselines/          published selectors over frame scores, one algorithm a file
metrics/            clips, KFS-Bench, LV-Haystack, answers, conformance: one family a file
statistics.py       bootstrap over videos, paired differences, McNemar
clips.py            spans: union, overlap, IoU
selection_files.py  anybody's selections from a file; truth_files.py: the truth; scoring.py: the one against the other
conformance.py      the command: every selector on hard scores
contest/            the command: published selectors and kframes on the same SynthScenes candidates and scores
reasons.py          are the reasons true
reader.py           a nano checkpoint on all queries of a video at once
answering.py        k frames -> the frozen answerer's choice
reference_clips.py  uniform, scenes, random clips, oracle clips
contenders.py       who is compared, and the ablations
exam.py             what is asked about a held-out video, and the truth
videos.py           held-out videos as real files
bench.py            all contenders on one video
running.py          all videos, on several cores; resuming.py: a stopped run goes on
latency.py          seconds of one query as a user waits for it
summary.py          records -> numbers with intervals; report.py: results.json; provenance.py: how it was made
tables.py           results.json -> markdown
synthscenes.py      the command: held-out SynthScenes videos, decoded from real files
"""
