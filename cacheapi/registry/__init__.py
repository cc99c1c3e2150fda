"""Which services and API keys there are, from three sources, and who may do what.

The environment gives the system cache and the first administrators, a file declares
services (:mod:`~cacheapi.registry.declared`), the database has what was made over the API
(:mod:`~cacheapi.registry.administration`). :mod:`~cacheapi.registry.live` brings them
together in a :class:`~cacheapi.registry.snapshot.Snapshot` that never changes, and swaps it
for the next one when something did: whoever serves a request asks that, and waits for
nothing.
"""
