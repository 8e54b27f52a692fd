"""Geometry of spans: what lies inside."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kframes_plugin.clips.geometry import inside

seconds = st.integers(0, 40).map(lambda n: n / 4)
spans = st.lists(st.tuples(seconds, seconds).map(lambda pair: (min(pair), max(pair))), max_size=8)


@settings(max_examples=300, deadline=None)
@given(times=st.lists(seconds, max_size=30), spans=spans)
def test_inside_is_what_every_span_says(times, spans):
    expected = [any(start <= time < end for start, end in spans) for time in times]
    assert inside(times, spans).tolist() == expected


def test_inside_at_the_ends():
    """Half-open: the start belongs to the span, the end does not."""
    assert inside([0.9, 1.0, 1.9, 2.0], [(1, 2)]).tolist() == [False, True, True, False]
    assert inside(np.zeros(0), [(0, 1)]).tolist() == []
    assert inside([1.0], []).tolist() == [False]


def test_ten_hours_and_a_thousand_spans_take_little_memory():
    """Frames times spans took 6.7 s and 900 MB."""
    times = np.arange(10 * 3600 * 30) / 30
    mask = inside(times, [(i * 36.0, i * 36.0 + 9.0) for i in range(1000)])
    assert mask.mean() == 0.25
