"""Measuring selectors: clips against the truth, answers from k frames, honest intervals.

clips.py        spans: union, overlap, IoU
metrics.py      scores of the clips of one query
statistics.py   bootstrap over videos, paired differences, McNemar
baselines.py    uniform, scenes, random clips, oracle clips
reader.py       a nano checkpoint on all queries of a video at once
answering.py    k frames -> the frozen answerer's choice
contenders.py   who is compared, and the ablations
exam.py         what is asked about a held-out video, and the truth
videos.py       held-out videos as real files
bench.py        all contenders on one video
running.py      all videos, on several cores; resuming.py: a stopped run goes on
latency.py      seconds of one query as a user waits for it
summary.py      records -> numbers with intervals; report.py: results.json
tables.py       results.json -> markdown
synthscenes.py  the command: held-out SynthScenes videos, decoded from real files
"""
