"""One change of the database, as everything that changes it makes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cacheapi.registry.database.errors import DatabaseFailed
from cacheapi.registry.database.store import Change
from cacheapi.registry.errors import RegistryUnavailable
from cacheapi.registry.live import Registry

log = logging.getLogger(__name__)


@contextmanager
def change(registry: Registry) -> Iterator[Change]:
    """Change rows, all or nothing; afterwards they are in force in all processes here.

    :raises RegistryUnavailable: the database cannot be reached.
    """
    try:
        with registry.store.change() as transaction:
            yield transaction
    except DatabaseFailed as error:
        log.error("A change of services or API keys failed: %s", error)
        raise RegistryUnavailable from error
    registry.refresh()
    registry.colleagues.tell(registry.number)
