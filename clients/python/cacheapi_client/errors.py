"""What is raised: always for mistakes, and for a cache that is away only if asked."""

from __future__ import annotations


class CacheError(Exception):
    """The cache gave no answer, or refused.

    :ivar status: of the answer; 0 if there was none.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class InvalidKey(ValueError):
    """A key that no cache takes, or no URL carries."""
