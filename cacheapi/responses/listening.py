"""Who wants to know how an origin does, and what is purged."""

from __future__ import annotations

from typing import Final

# What a purge is about.
URL: Final = "url"
TAG: Final = "tag"
ALL: Final = "all"


class Listener:
    """Is told of one service, within its event loop: it may not block. This one does nothing."""

    def answered(self, method: str, target: str, status: int, seconds: float) -> None:
        """Note that the head of an origin's answer came, after so long."""

    def failed(
        self, method: str, target: str, status: int, message: str, seconds: float | None
    ) -> None:
        """Note that an origin gave no whole answer.

        :param status: 502 or 504.
        :param seconds: until it failed; ``None``: its head had come, and was told of.
        """

    def purged(self, scope: str) -> None:
        """Note a purge, of :data:`URL`, :data:`TAG` or :data:`ALL`."""
