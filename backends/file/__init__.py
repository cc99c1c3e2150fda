"""The embedded default: entries in a SQLite file that all processes of a machine share.

What belongs here knows SQLite; nothing else does.
"""
