"""Where Redis listens: a server, the sentinels and their master, or the masters of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import redis

from backends.endpoints import Endpoint, key_where, trial_key
from backends.redis.errors import Broken
from backends.redis.options import Address, Target
from backends.redis.routes import Route
from backends.tls import Tls

SOCKET: Final = "Unix socket"


def endpoints(target: Target, route: Route, stored: Callable[[str], bytes]) -> list[Endpoint]:
    """Return the servers.

    Those of a cluster are the configured ones where no node tells the others.

    :param stored: makes of a caller's key the one that the server knows.
    """
    if target.path is not None:
        return [Endpoint(SOCKET, None, target.path, key=trial_key(), timeout=target.timeout)]
    sentinels = [
        _endpoint(target, address, None, target.sentinel_tls) for address in target.sentinels
    ]
    try:
        shards = route.shards()
    except (Broken, redis.RedisError):
        route.learn()
        return sentinels or [
            _endpoint(target, address, None, target.tls) for address in target.hosts
        ]
    found = []
    for shard in shards:
        address = shard.address
        assert address is not None
        alone = len(shards) == 1
        key = trial_key() if alone else key_where(_is_at(route, address, stored))
        found.append(_endpoint(target, address, key, target.tls))
    return sentinels + found


def _is_at(route: Route, address: Address, stored: Callable[[str], bytes]) -> Callable[[str], bool]:
    return lambda key: route.address_of(stored(key)) == address


def _endpoint(target: Target, address: Address, key: str | None, tls: bool) -> Endpoint:
    assert address.port is not None
    return Endpoint(
        str(address),
        (address.host, address.port),
        tls=Tls(target.tls_ca, target.tls_cert, target.tls_key, target.tls_verify).context
        if tls
        else None,
        key=key,
        timeout=target.timeout,
    )
