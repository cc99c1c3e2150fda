"""Where a backend's servers listen, for who looks step by step into what is wrong with one."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import ssl

# How the keys of probes start.
TRIAL: Final = "cacheapi:trial:"
# Of a pool, a server of little weight has few keys.
TRIES: Final = 20_000

_THIS_MACHINE: Final = frozenset({"localhost", "::1", "localhost.localdomain"})


class Endpoint(NamedTuple):
    """A server's place.

    :ivar server: its name, as in its statistics.
    :ivar address: host and port; ``None`` where ``path`` says where it is.
    :ivar path: of its Unix socket.
    :ivar tls: makes what a TLS connection to it needs; ``None``: it speaks without.
    :ivar key: one that it would have, for a trial; ``None``: it has no keys, or none was found.
    :ivar timeout: how long it is waited for, in seconds.
    :ivar several: what to do where its name has several addresses of one kind; empty: that is well.
    """

    server: str
    address: tuple[str, int] | None
    path: str | None = None
    tls: Callable[[], ssl.SSLContext] | None = None
    key: str | None = None
    timeout: float = 1.0
    several: str = ""


def place_of(host: str, port: int | None) -> str:
    """Return one name for the ways to write an address of this machine."""
    name = host.strip("[]").lower().rstrip(".")
    return f"{'127.0.0.1' if name in _THIS_MACHINE else name}:{port}"


def trial_key() -> str:
    """Return a key that nobody else uses."""
    return f"{TRIAL}{secrets.token_hex(8)}"


def key_where(is_there: Callable[[str], bool]) -> str | None:
    """Return a key of a trial that is where it should be, ``None`` if none was found."""
    for _ in range(TRIES):
        key = trial_key()
        if is_there(key):
            return key
    return None
