"""Random and spoiled bytes for every reader of other programs' forms.

``python -m tests.fuzz`` runs it for a while; pytest gives the same readers fewer examples.
"""
