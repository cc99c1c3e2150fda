"""A soak: clients that know what they stored, against servers that are killed and stopped.

``python -m tests.soak`` runs it; pytest only tests its judge, :mod:`tests.soak.model`.
"""
