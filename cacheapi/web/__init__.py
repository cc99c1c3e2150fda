"""HTTP to the cache service and back: views, schemas, reading requests, errors, rates.

A rule about keys, values or lifetimes is not made here but asked of ``caching``.
"""
