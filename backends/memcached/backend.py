"""The memcached backend: one server or a weighted pool.

All is done over connections of our own, by the text protocol; with a login by pylibmc, over
the binary one. Every operation is one command of the protocol, atomic on the server. Two that
memcached lacks are made of ``gets`` and ``cas``, which is as atomic: a conditional delete
stores, with ``cas``, an entry that is already expired; reading and deleting is the same after
a ``gets``. Over the binary protocol ``touch`` is made so too.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, cast

from backends.base import MISSING, Backend, Found, Item, Missing, count_from
from backends.capabilities import Capability, Limits, Traits
from backends.endpoints import Endpoint, key_where
from backends.errors import (
    BackendError,
    BehindProxy,
    Failed,
    InvalidKey,
    InvalidOption,
    NotAnInteger,
    Unavailable,
    Unsupported,
)
from backends.memcached import statistics, stores
from backends.memcached.discovery import SEVERAL_ADDRESSES
from backends.memcached.errors import BEHIND_PROXY, CLIENT_ERROR, NOT_FOUND, CommandFailed, failure
from backends.memcached.expiry import EXPIRED, expiry
from backends.memcached.member import Member
from backends.memcached.options import OPTIONS, Server
from backends.memcached.outcomes import NOT_A_NUMBER
from backends.memcached.performing import KEYS_A_COMMAND, Performing
from backends.memcached.pool import Members
from backends.memcached.reader import size_of
from backends.memcached.statistics import SECTIONS
from backends.memcached.target import target
from backends.operations import Delete, Operation
from backends.probe import Probe, expect
from backends.statistics import ServerStatistics
from backends.tls import Tls

log = logging.getLogger(__name__)

# How often a change is tried against others' changes of the same key.
ATTEMPTS: Final = 32


# How long what was learned of the servers' settings counts.
LEARNED_SECONDS: Final = 5.0
# The server's clock ticks once a second, and a little late on a busy machine.
FLUSHED_SECONDS: Final = 1.2
WITHOUT_CAS: Final = "a server of it runs without CAS (its option -C)"


class MemcachedBackend(Backend):
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
    service_type = "cache_memcached"
    options = OPTIONS
    traits = Traits(
        title="Memcached",
        description="A cache on memcached: one server, or a weighted pool of several.",
        needs="a memcached server; for SASL `cacheapi[memcached]`",
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
        forbidden_in_key=re.compile(r"[\x00-\x20\x7f]"),
        forbidden_name="white space or control characters",
        min_count=0,
        max_count=2**64 - 1,
        max_increment=2**31 - 1,
    )

    stats_sections = SECTIONS
    lost_behind_proxy = frozenset({Capability.STATS, Capability.REMAINING_TTL})
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
        super().__init__(prefix=prefix)
        self._target = target(
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
        self._binary = self._target.sasl is not None
        if self._binary:
            self.capabilities -= {Capability.REMAINING_TTL}
        self._learn_at = 0.0
        self._with_cas = {Capability.COMPARE_AND_SET, Capability.GET_AND_DELETE}
        if self._binary:
            self._with_cas |= {Capability.TOUCH}
        # With a login each store is a round trip of pylibmc's.
        self.sets_many_at_once = not self._binary
        self.performs_at_once = not self._binary
        self._pool = self._target.pool(persistent_id)
        if prefix:
            try:
                self.check_key(prefix)
            except InvalidKey as error:
                raise InvalidOption(f"MEMCACHED_PREFIX: {error}") from error

    @property
    def _members(self) -> Members:
        try:
            return self._pool.members()
        except CommandFailed as error:
            raise failure(error, self.label, sent=False) from error

    # Reading

    def get(self, key: str) -> bytes | Missing:
        return self.get_many([key]).get(key, MISSING)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        return cast("dict[str, bytes]", self._read(list(keys), None))

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        """Return values and errors; a proxy refuses all that it was asked for together.

        It does so where one of its servers is down, so then each key is asked for alone.
        """
        names = list(dict.fromkeys(keys))
        try:
            return self._read(names, most)
        except Failed as error:
            if not error.apart or len(names) < 2:
                raise
        found: dict[str, bytes | BackendError] = {}
        for name in names:
            try:
                found |= self._read([name], most)
            except Failed as error:
                if not error.apart:
                    raise
                found[name] = error
        return found

    def _read(self, keys: Iterable[str], most: int | None) -> dict[str, bytes | BackendError]:
        names = {self._stored(key): key for key in keys}
        stored = list(names)
        found: dict[str, bytes | BackendError] = {}
        left = math.inf if most is None else most
        for start in range(0, len(stored), KEYS_A_COMMAND):
            values = self._members.read_many(stored[start : start + KEYS_A_COMMAND], left)
            found.update((names[key], value) for key, value in values.items())
            if len(stored) > KEYS_A_COMMAND and most is not None:
                left -= size_of(values)
        return found

    def get_with_token(self, key: str) -> Found | Missing:
        found = self._members.read(self._stored(key))
        if found is not MISSING and not found.token.cas:
            # With -C the server numbers nothing. Of a pool, one such server is enough.
            self._learn(with_cas=False)
        self.require(Capability.COMPARE_AND_SET)
        return found

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return it in whole seconds, as the server counts.

        No command of the binary protocol says it, and so none where a login is needed.
        """
        if self._binary:
            raise self._unsupported(Capability.REMAINING_TTL)
        if self.in_front and time.monotonic() < self._learn_at:
            raise BehindProxy(self.label, "mg")
        stored = self._stored(key)
        try:
            left: int | None = self._members.run(
                stored, lambda client: client.remaining_ttl(stored), repeatable=True
            )
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return MISSING
            if error.code == BEHIND_PROXY:
                self._learn_at = time.monotonic() + LEARNED_SECONDS
                raise self._found_behind(BehindProxy(self.label, error.text)) from error
            raise Unsupported(
                self.label, Capability.REMAINING_TTL, "the server is older than 1.6"
            ) from error
        return left

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        if self._binary:
            stored = self._stored(key)
            self._command(key, lambda client: client.set(stored, value, expiry(ttl)), True)
            return
        (outcome,) = self.set_many([Item(key, value, ttl)])
        if outcome is not True:
            raise outcome

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        if self._binary:
            return super().set_many(items)
        try:
            members = self._members
        except BackendError as error:
            return [error] * len(items)
        return members.change_many(stores.pack(self.prefix, items))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        return super().delete_many(keys) if self._binary else self.perform(list(map(Delete, keys)))

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations; with a login one after the other."""
        if self._binary:
            return super().perform(operations)
        try:
            members = self._members
        except BackendError as error:
            return [error] * len(operations)
        return Performing(self, members, operations).run()

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.add(stored, value, expiry(ttl)))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.replace(stored, value, expiry(ttl)), True)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        return self._compare(key, value, token, expiry(ttl))

    def delete(self, key: str) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.delete(stored))

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._compare(key, b"", token, EXPIRED)

    def get_and_delete(self, key: str) -> bytes | Missing:
        return self._change(
            key,
            lambda found: self.compare_and_delete(key, found.token),
            Capability.GET_AND_DELETE,
        )

    def touch(self, key: str, ttl: float | None) -> bool:
        if not self._binary:
            stored = self._stored(key)
            return self._command(key, lambda client: client.touch(stored, expiry(ttl)), True)
        # Over the binary protocol libmemcached waits for a second reply that never comes.
        changed = self._change(
            key,
            lambda found: self.compare_and_set(key, found.value, found.token, ttl),
            Capability.TOUCH,
        )
        return changed is not MISSING

    def increment(self, key: str, delta: int) -> int | Missing:
        """Count up, or down to 0 and no further (protocol.txt, "Increment/Decrement").

        The value is looked at first. The server would count on ``7 dwarfs`` and begin again
        at 0 after 2^64-1; and over the binary protocol libmemcached takes its refusal for a
        broken connection. The count itself is one command of the server.
        """
        value = self.get(key)
        if value is MISSING:
            return MISSING
        count_from(value, delta, self.limits)
        return self.count(key, delta)

    def count(self, key: str, delta: int) -> int | Missing:
        """Count on a value that is known to be a number in range."""
        stored = self._stored(key)
        try:
            number: int = self._members.run(stored, lambda client: client.count(stored, delta))
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return MISSING
            if error.code == CLIENT_ERROR:
                raise NotAnInteger(NOT_A_NUMBER) from error
            raise failure(error, self.label, sent=False) from error
        return number

    def prove(self, key: str) -> None:
        """Have the server of a key answer; it counts that nowhere as a hit or a miss."""
        try:
            self._members.run(self._stored(key), lambda client: client.prove(), repeatable=True)
        except CommandFailed as error:
            raise failure(error, self.label, sent=False) from error

    def flush(self) -> None:
        if self.prefix:
            raise Unsupported(
                self.label,
                Capability.FLUSH_PREFIX,
                "it flushes whole servers, and MEMCACHED_PREFIX says that others use them too",
            )
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

    def learn_capabilities(self) -> None:
        # Anybody who may use the service may ask what it can do.
        if time.monotonic() >= self._learn_at:
            self._learn_at = time.monotonic() + LEARNED_SECONDS
            with contextlib.suppress(BehindProxy):
                self.stats()

    def learn_once(self) -> None:
        """Learn what the servers' settings take away, unless this process has."""
        if not self._learn_at:
            self.learn_capabilities()

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

    def _compare(self, key: str, value: bytes, token: Any, exptime: int) -> bool:
        self.require(Capability.COMPARE_AND_SET)
        stored = self._stored(key)
        return self._command(
            key,
            lambda client: client.cas(stored, value, token.cas, exptime),
            only=token.member,
        )

    def _command(
        self,
        key: str,
        command: Callable[[Any], bool],
        repeatable: bool = False,
        only: Member | None = None,
    ) -> bool:
        """Run a command that says yes or no."""
        try:
            return self._members.run(self._stored(key), command, repeatable, only)
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return False
            raise failure(error, self.label, sent=False) from error

    def _change(
        self, key: str, change: Callable[[Found], bool], capability: Capability
    ) -> bytes | Missing:
        """Do a change that depends on what is stored; return what was stored before it.

        :param capability: which one this is.
        """
        try:
            for _ in range(ATTEMPTS):
                found = self.get_with_token(key)
                if found is MISSING:
                    return MISSING
                if change(found):
                    return found.value
        except Unsupported as error:
            raise Unsupported(self.label, capability, WITHOUT_CAS) from error
        raise Unavailable("The value kept changing meanwhile; nothing was done.")

    def _learn(self, *, with_cas: bool) -> None:
        """Note whether the servers number what they store: a server's -C takes flags away."""
        if with_cas:
            self.capabilities |= self._with_cas
        else:
            self.capabilities -= self._with_cas

    def require(self, capability: Capability) -> None:
        """Raise, where the servers number nothing, for what needs their numbers."""
        if capability not in self.capabilities:
            raise Unsupported(self.label, capability, WITHOUT_CAS)


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
