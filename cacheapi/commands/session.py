"""What commands work on: a service of this machine, or one elsewhere that ``--url`` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cacheapi.caching.service import CacheService
from cacheapi.commands import here
from cacheapi.commands.options import remote
from cacheapi.registry.contents import Author

if TYPE_CHECKING:
    from cacheapi.commands.answers import Answers
    from cacheapi.commands.elsewhere import Elsewhere
    from cacheapi.commands.remote_cache import RemoteCache

if TYPE_CHECKING:
    Cache = CacheService | RemoteCache
else:
    # Elsewhere's is imported only where it is asked for.
    Cache = CacheService


def elsewhere() -> Elsewhere | None:
    """Return the service that ``--url`` names, if any."""
    given = remote()
    if given is None:
        return None
    from cacheapi.commands.elsewhere import Elsewhere
    from cacheapi.commands.given_key import read_key

    return Elsewhere(given.url, read_key(given.key, given.key_from))


@contextmanager
def cache(name: str) -> Iterator[Cache]:
    """Give a service to work on, here or elsewhere; see :func:`~cacheapi.commands.here.service`."""
    with authored(name) as (opened, _):
        yield opened


@contextmanager
def authored(name: str) -> Iterator[tuple[Cache, Author | None]]:
    """Do as :func:`cache`, and give who does what is to be noted, unless that is done elsewhere."""
    place = elsewhere()
    if place is None:
        with here.authored_service(name) as opened:
            yield opened
        return
    from cacheapi.commands.remote_cache import RemoteCache

    with closing(place):
        yield RemoteCache(place, name), None


@contextmanager
def emptied(name: str) -> Iterator[tuple[Cache | Answers, Author | None]]:
    """Do as :func:`authored`, and give what stores of a service in front of an API too."""
    if elsewhere() is not None:
        with authored(name) as opened:
            yield opened
        return
    with here.emptied(name) as found:
        yield found


def sharing(target: Cache) -> list[str]:
    """Return what there is to say of services that share keys with one, a sentence each.

    None where that cannot be found out, as for the API key of no administrator.
    """
    if isinstance(target, CacheService):
        return here.sharing(target.name)
    return target.sharing()
