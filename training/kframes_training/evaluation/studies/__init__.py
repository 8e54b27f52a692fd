"""Measurements that are printed: each file is a list of items, selectors and tables, all through the one loop.

synthscenes.py  clips of the bundled nano (or checkpoints) on held-out drawn videos
contest.py      published selectors and kframes on the same candidates, scores and features
reasons.py      of the contest: are the reasons true
latency.py      seconds that a user waits for one query
footage.py      real clips, and haystacks assembled from them
conformance.py  exactly k? every selector on hard scores, without a video
"""
