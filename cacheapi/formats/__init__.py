"""The forms in which other programs store values: pure readers and writers.

They know no backend, no HTTP and no JSON text. Bytes go in, and what comes out is plain:
``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, and ``dict`` with texts for keys.
Nothing is instantiated, unpickled, or inflated without a bound.
"""
