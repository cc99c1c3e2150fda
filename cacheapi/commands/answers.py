"""What is stored of a service in front of an HTTP API, to be purged from this machine."""

from __future__ import annotations

from collections.abc import Sequence

from cacheapi.caching.service import CacheService
from cacheapi.responses.remote import Remote
from cacheapi.responses.store import Store


class Answers:
    """The stored answers of such a service.

    :param cache: the service that stores them.
    """

    def __init__(self, remote: Remote, cache: CacheService) -> None:
        self.name = remote.name
        self.type = remote.type
        self._store = Store(remote.name, cache.backend, remote.config.counts)

    def purge(self, tags: Sequence[str]) -> None:
        """Make gone what carries one of some tags; without any, all."""
        if tags:
            self._store.purge_tags(tags)
        else:
            self._store.purge_all()
