"""Metrics for Prometheus: what was asked and answered, and what the servers say of themselves.

Requests are counted in plain numbers, :mod:`~cacheapi.observing.metrics.tally`. Under several
processes each hands its own over to the others in files of the format that prometheus_client
has for that, :mod:`~cacheapi.observing.metrics.files`. Who asks for ``/metrics`` gets the sum,
:mod:`~cacheapi.observing.metrics.meter`.
"""
