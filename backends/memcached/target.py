"""Which memcached: the settings brought together, checked, and the pool that they mean."""

from __future__ import annotations

import dataclasses
import functools
import re
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from backends.endpoints import place_of
from backends.errors import DriverMissing, InvalidOption
from backends.memcached.discovery import Discovered, Fixed, by_config, by_name
from backends.memcached.member import Connect
from backends.memcached.opening import Login, Opening
from backends.memcached.options import Server
from backends.memcached.pool import Members
from backends.memcached.ring import Ring, as_libmemcached, even
from backends.memcached.text import TextClient
from backends.tls import Tls

_HAS_SPACE: Final = re.compile(r"\s")

_shared: dict[tuple[str, Target], Fixed | Discovered] = {}
_shared_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Target:
    """The servers, and how they are talked to.

    :ivar servers: those of the settings; one without a port uses ``port``.
    :ivar ketama_compatible: place keys as libmemcached's other clients do.
    :ivar login: for SASL or by text, as ``auth`` says.
    :ivar tls: ``None``: without.
    :ivar discovery: how more servers are found than those given: ``off``, ``dns``, ``config``.
    :ivar timeout: bound on connecting and on each reply, in seconds.
    """

    servers: tuple[Server, ...]
    port: int
    ketama_compatible: bool
    login: Login | None
    auth: str
    tls: Tls | None
    discovery: str
    timeout: float

    @property
    def sasl(self) -> Login | None:
        """The login of the binary protocol; ``None``: all goes by text."""
        return self.login if self.auth == "sasl" else None

    @functools.cached_property
    def opening(self) -> Opening:
        """How connections are opened that are our own."""
        return Opening(self.tls, None if self.auth == "sasl" else self.login)

    @property
    def places(self) -> frozenset[str]:
        """Where its keys are, as :meth:`backends.base.Backend.places` says it."""
        return frozenset(
            f"memcached {server.host}"
            if server.is_path
            else f"memcached {place_of(server.host, server.port or self.port)}"
            for server in self.servers
        )

    def pool(self, persistent_id: str | None) -> Fixed | Discovered:
        """Return the pool; that of the same id and settings is one in a process.

        :raises DriverMissing: a login needs pylibmc.
        """
        connect = self._connect()

        def make(found: Sequence[Server], known: Members | None = None) -> Members:
            addresses = [server.address(self.port) for server in found]
            return Members(addresses, self._ring(found), connect, self.timeout, known=known)

        finding = {
            "dns": partial(by_name, self.servers, self.port, self.timeout),
            "config": partial(by_config, self.servers, self.port, self.opening, self.timeout),
        }
        find = finding.get(self.discovery)
        made = Discovered(find, make) if find else Fixed(make(self.servers), self.servers)
        if persistent_id is None:
            return made
        with _shared_lock:
            return _shared.setdefault((persistent_id, self), made)

    def _connect(self) -> Connect:
        """Return what makes a client of an address."""
        timeout, opening = self.timeout, self.opening
        if self.sasl is None:
            return lambda address, on_silence: TextClient(address, timeout, on_silence, opening)
        try:
            from backends.memcached.sasl import SaslClient
        except ImportError as error:
            raise DriverMissing(
                "MEMCACHED_USERNAME: a login with SASL needs pylibmc: pip install "
                "pylibmc (or take MEMCACHED_AUTH=text)"
            ) from error
        username, password = self.sasl
        return lambda address, on_silence: SaslClient(
            address, timeout, username, password, on_silence
        )

    def _ring(self, servers: Sequence[Server]) -> Ring | None:
        if len(servers) == 1:
            return None
        weights = [server.weight for server in servers]
        digests = as_libmemcached(weights) if self.ketama_compatible else even(weights)
        return Ring([server.name(self.port) for server in servers], digests)


def target(
    *,
    servers: tuple[Server, ...],
    port: int,
    ketama_compatible: bool,
    username: str | None,
    password: str | None,
    auth: str,
    tls: Tls | None,
    discovery: str,
    timeout_ms: int,
) -> Target:
    """Bring the settings together.

    :raises InvalidOption: they contradict one another.
    """
    if (username is None) != (password is None):
        raise InvalidOption(
            "MEMCACHED_USERNAME and MEMCACHED_PASSWORD: set both of them, or neither."
        )
    login = None if username is None or password is None else Login(username, password)
    made = Target(servers, port, ketama_compatible, login, auth, tls, discovery, timeout_ms / 1000)
    _check(made)
    return made


def _check(made: Target) -> None:
    addresses = {server.address(made.port).lower() for server in made.servers}
    if len(addresses) < len(made.servers):
        raise InvalidOption(
            "MEMCACHED_HOST: a server is listed twice, with its port and without it."
        )
    by_path = any(server.is_path for server in made.servers)
    if made.discovery == "config" and made.sasl is not None:
        raise InvalidOption(
            "MEMCACHED_DISCOVERY=config asks by text, so not with MEMCACHED_AUTH=sasl."
        )
    if made.discovery != "off" and by_path:
        raise InvalidOption("MEMCACHED_DISCOVERY: a Unix socket is one server.")
    if made.sasl is not None and (made.tls is not None or by_path):
        raise InvalidOption(
            "MEMCACHED_AUTH=sasl goes by TCP without TLS; take MEMCACHED_AUTH=text and "
            "memcached's -Y."
        )
    if made.auth == "text" and made.login and any(map(_HAS_SPACE.search, made.login)):
        raise InvalidOption(
            "MEMCACHED_USERNAME and MEMCACHED_PASSWORD: for a login by text, memcached takes "
            "neither with white space in it."
        )
    if made.tls is not None and (made.tls.cert is None) != (made.tls.key is None):
        raise InvalidOption(
            "MEMCACHED_TLS_CERT and MEMCACHED_TLS_KEY: set both of them, or neither."
        )
