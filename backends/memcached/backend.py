"""The memcached backend: one server or a weighted pool.

All is done over connections of our own, by the text protocol; with a login by pylibmc, over
the binary one. What is done with keys stands in :mod:`backends.memcached.keys`; here are the
settings, and what concerns whole servers.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from backends.capabilities import Capability, Limits, Traits
from backends.endpoints import Endpoint, key_where
from backends.errors import BackendError, BehindProxy, InvalidKey, InvalidOption, Unsupported
from backends.memcached import analyzing, statistics
from backends.memcached.comparing import Known, joined, known_of
from backends.memcached.discovery import SEVERAL_ADDRESSES
from backends.memcached.encoded import NAME, ODD
from backends.memcached.errors import BEHIND_PROXY, CommandFailed, failure
from backends.memcached.keys import LEARNED_SECONDS, KeyCommands
from backends.memcached.options import OPTIONS, SERVICE_TYPE, Server
from backends.memcached.performing import KEYS_A_COMMAND
from backends.memcached.statistics import SECTIONS
from backends.memcached.target import target
from backends.portions import Portion
from backends.probe import Probe, expect
from backends.statistics import ServerStatistics
from backends.tls import Tls

log = logging.getLogger(__name__)

# The server's clock ticks once a second, and a little late on a busy machine.
FLUSHED_SECONDS: Final = 1.2


class MemcachedBackend(KeyCommands):
    """A cache on memcached.

    :param servers: the pool; one without a port uses ``port``.
    :param ketama_compatible: place keys as libmemcached's other clients do.
    :param username: with ``password``; for SASL, which takes the binary protocol, or for a login
        by text, as ``auth`` says.
    :param tls: speak TLS, with what ``tls_ca``, ``tls_cert``, ``tls_key`` and ``tls_verify`` say.
    :param discovery: how more servers are found than those given: ``off``, ``dns``, ``config``.
    :param persistent_id: backends with the same id and settings share their
        connections in a process.
    :param timeout_ms: bound on connecting and on each reply, in milliseconds.
    """

    driver = "memcached"
    label = "memcached"
    service_name = "memcache"
    service_type = SERVICE_TYPE
    options = OPTIONS
    traits = Traits(
        title="Memcached",
        description="A cache on memcached: one server, or a weighted pool of several.",
        needs="a memcached server; for SASL the package `pylibmc`",
        shared_by="all machines",
        eviction="memcached's own LRU",
        persistence="values are gone",
        replication="none; a pool's dead server costs its keys",
        data_types="JSON values, as strings",
        max_value="1 MB, memcached's `-I`",
    )
    capabilities = frozenset(Capability) - {
        Capability.LIST_KEYS,
        Capability.FLUSH_PREFIX,
        Capability.PERSISTENT,
    }
    limits = Limits(
        max_key_bytes=250,
        min_count=0,
        # It counts to 2^64-1, but refuses a number from 2^63 on if an earlier value has left a "-"
        # behind it in the server's memory.
        max_count=2**63 - 1,
        max_increment=2**31 - 1,
    )

    stats_sections = SECTIONS
    lost_behind_proxy = frozenset({Capability.STATS, Capability.REMAINING_TTL, Capability.ANALYZE})
    keeps_flags = True

    def __init__(
        self,
        *,
        servers: tuple[Server, ...],
        port: int = 11211,
        ketama_compatible: bool = False,
        username: str | None = None,
        password: str | None = None,
        auth: str = "sasl",
        discovery: str = "off",
        tls: bool = False,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        tls_verify: bool = True,
        persistent_id: str | None = None,
        prefix: str = "",
        timeout_ms: int = 250,
    ) -> None:
        where = target(
            servers=servers,
            port=port,
            ketama_compatible=ketama_compatible,
            username=username,
            password=password,
            auth=auth,
            tls=Tls(tls_ca, tls_cert, tls_key, tls_verify) if tls else None,
            discovery=discovery,
            timeout_ms=timeout_ms,
        )
        super().__init__(where, prefix, persistent_id)
        if prefix:
            try:
                self.check_key(prefix)
                if ODD.search(prefix):
                    raise InvalidKey(f"It may not contain {NAME}.")
            except InvalidKey as error:
                raise InvalidOption(f"MEMCACHED_PREFIX: {error}") from error

    def known(self, values: Mapping[str, bytes | None]) -> Known | None:
        if self._binary or ODD.search("".join(values)):
            return None
        return known_of({self._stored(key): value for key, value in values.items()})

    def get_changed(self, known: Sequence[Known]) -> Mapping[str, bytes | BackendError] | None:
        together = joined(known)
        if together is None or len(together) > KEYS_A_COMMAND:
            return self.get_each({self._key(key): None for one in known for key in one})
        read = self._members.compare_many(together)
        return None if read is None else {self._key(key): value for key, value in read.items()}

    def _key(self, stored: bytes) -> str:
        return stored.decode()[len(self.prefix) :]

    def prove(self, key: str) -> None:
        """Have the server of a key answer; it counts that nowhere as a hit or a miss."""
        try:
            self._members.run(self._stored(key), lambda client: client.prove(), repeatable=True)
        except CommandFailed as error:
            raise failure(error, self.label, sent=False) from error

    def flush_refusal(self) -> Unsupported | None:
        if not self.prefix:
            return None
        return Unsupported(
            self.label,
            Capability.FLUSH_PREFIX,
            f"it flushes whole servers, and the prefix {self.prefix!r} says that others use "
            "them too; to delete many keys at once, store them with a tag, and delete by that tag",
        )

    def flush(self) -> None:
        refusal = self.flush_refusal()
        if refusal is not None:
            raise refusal
        failures = self._members.run_on_each(lambda client: client.flush())
        for failed in failures:
            why = failed.__cause__
            if isinstance(why, CommandFailed) and why.code == BEHIND_PROXY:
                raise self._found_behind(BehindProxy(self.label, why.text)) from why
        if failures:
            raise type(failures[0])(
                f"{' '.join(map(str, failures))} What is stored there may be served again when "
                "it is back; flush again then.",
                failures[0].cause,
            ) from failures[0]
        with contextlib.suppress(BehindProxy):
            self.stats()
        if Capability.COMPARE_AND_SET not in self.capabilities:
            # Without CAS the server tells old from new by the second alone, and takes for old
            # what is stored until its clock ticks: whoever is told that it is flushed may store.
            log.warning("memcached runs with -C: what is stored within a second of a flush is lost")
            time.sleep(FLUSHED_SECONDS)

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        try:
            found = statistics.read(
                self._members.addresses,
                self._target.timeout,
                self._target.sasl,
                self._target.opening,
                section,
            )
        except BehindProxy as error:
            self._learn_at = time.monotonic() + LEARNED_SECONDS
            raise self._found_behind(error) from error
        self._found_open()
        said = [server.signs.cas for server in found if server.signs.cas is not None]
        if said:
            self._learn(with_cas=all(said))
        return found

    def analyze(self, most: int) -> Iterator[Portion]:
        """Look through what ``lru_crawler metadump`` tells; the binary protocol has none."""
        if self._binary:
            raise self._unsupported(Capability.ANALYZE)
        target = self._target
        return analyzing.portions(
            self.stats(), target.opening, target.timeout, self.prefix.encode(), most
        )

    def learn_capabilities(self) -> None:
        # Anybody who may use the service may ask what it can do.
        if time.monotonic() >= self._learn_at:
            self._learn_at = time.monotonic() + LEARNED_SECONDS
            with contextlib.suppress(BehindProxy):
                self.stats()

    def probe(self, key: str) -> Probe:
        return _Probe(self, key)

    def endpoints(self) -> list[Endpoint]:
        """Return the servers of the pool, each with a key that is at home there."""
        try:
            members = self._members
        except BackendError:
            # The trial says why.
            return []

        def is_at(index: int) -> Callable[[str], bool]:
            return lambda key: members.home(self._stored(key)) == index

        found = []
        for index, address in enumerate(members.addresses):
            host, _, port = address.rpartition(":")
            by_path = address.startswith("/")
            found.append(
                Endpoint(
                    address,
                    None if by_path else (host.strip("[]"), int(port)),
                    path=address if by_path else None,
                    tls=self._target.tls.context if self._target.tls else None,
                    key=key_where(is_at(index)),
                    timeout=self._target.timeout,
                    several=SEVERAL_ADDRESSES,
                )
            )
        return found

    def places(self) -> frozenset[str]:
        return self._target.places

    def close(self) -> None:
        self._pool.close()


class _Probe(Probe):
    """Steps that memcached counts neither as a hit nor as a miss."""

    backend: MemcachedBackend

    def connect(self) -> None:
        self.backend.prove(self.key)

    def read(self) -> None:
        # A count of nothing tells a number without reading it.
        expect(self.backend.count(self.key, 0) == int(self.value))

    def delete(self) -> None:
        expect(self.backend.delete(self.key))
        expect(not self.backend.delete(self.key))
        # So each process knows soon after its start, when readiness looks.
        self.backend.learn_capabilities()
