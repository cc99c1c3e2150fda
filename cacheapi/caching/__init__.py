"""The domain: what a cache does with keys, values, lifetimes and conditions.

Pure of HTTP and of Flask; what asks a server for bytes is a backend's.
"""
