"""What watches the service: metrics, traces, logs, statistics, samples, advice, readiness.

It never changes an entry, and whatever is watched works without it.
"""
