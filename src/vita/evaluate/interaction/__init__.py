"""Measuring what nobody else measures: when to answer, when to stay silent, when to stop.

states.py        the state token: confusion, decision threshold (state_cases.py)
live.py          a live conversation on virtual time, by the model or a baseline
duplex_bench.py  Full-Duplex-Bench v1, v1.5: `vita eval duplex` (layout.py, duplex_scores.py, duplex_data.py, judge.py)
long.py          false and missed interruptions on long recordings (long_data.py)
load.py          latency of a Realtime address under load
speech_segments.py  where somebody speaks in a recording
"""
