"""The memcached backend: one server or a weighted pool, through pylibmc.

Every operation is one command of the protocol, atomic on the server. Two that memcached
lacks are made of ``gets`` and ``cas``, which is as atomic: a conditional delete stores,
with ``cas``, an entry that is already expired; reading and deleting is the same after a
``gets``. Over the binary protocol, which SASL needs, ``touch`` is made so too.

A command that failed is sent again only if that cannot change its meaning.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from backends.base import MISSING, Backend, Found, Missing, count_from
from backends.capabilities import Capability, Limits
from backends.errors import (
    DriverMissing,
    InvalidKey,
    InvalidOption,
    NotAnInteger,
    Unavailable,
    Unsupported,
)
from backends.memcached_errors import CLIENT_ERROR, NEVER_SENT, NOT_FOUND, CommandFailed, failure
from backends.memcached_options import OPTIONS, Server
from backends.pool import Pool

if TYPE_CHECKING:
    from backends.memcached_client import Client, Stored

T = TypeVar("T")

# memcached's protocol.txt, "Expiration times"
LONGEST_RELATIVE: Final = 60 * 60 * 24 * 30
# Any absolute time before the server's start: the entry is expired when it is stored.
EXPIRED: Final = LONGEST_RELATIVE + 1
# The server keeps times in 32 bits with a sign; past that it would take one for the past.
LATEST: Final = 2**31 - 1
# How often a change is tried against others' changes of the same key.
ATTEMPTS: Final = 32

KEYS_A_COMMAND: Final = 500

_NOT_A_NUMBER: Final = "The stored value is not a whole number from 0 to 2^64-1."

_pools: dict[tuple[object, ...], Pool[Client]] = {}
_pools_lock = threading.Lock()


class MemcachedBackend(Backend):
    """A cache on memcached.

    :param servers: the pool; one without a port uses ``port``.
    :param username: for SASL, with ``password``; the binary protocol is used then.
    :param persistent_id: backends with the same id and settings share one connection pool
        in a process.
    :param timeout_ms: bound on connecting and on each reply, in milliseconds.
    """

    driver = "memcached"
    label = "memcached"
    service_name = "memcache"
    service_type = "cache_memcached"
    options = OPTIONS
    limits = Limits(
        max_key_bytes=250,
        forbidden_in_key=re.compile(r"[\x00-\x20\x7f]"),
        forbidden_name="white space or control characters",
        min_count=0,
        max_count=2**64 - 1,
        max_increment=2**31 - 1,
    )

    def __init__(
        self,
        *,
        servers: tuple[Server, ...],
        port: int = 11211,
        username: str | None = None,
        password: str | None = None,
        persistent_id: str | None = None,
        prefix: str = "",
        timeout_ms: int = 250,
    ) -> None:
        super().__init__(prefix=prefix)
        try:
            from backends.memcached_client import Client
        except ImportError as error:
            raise DriverMissing(
                "CACHE_DRIVER=memcached needs pylibmc: pip install 'cacheapi[memcached]'"
            ) from error
        self.capabilities = frozenset(Capability) - {
            Capability.LIST_KEYS,
            Capability.FLUSH_PREFIX,
            Capability.PERSISTENT,
        }
        addresses = [server.address(port) for server in servers]
        specs = [f"{server.address(port)}:{server.weight}" for server in servers]
        timeout = timeout_ms / 1000
        self._place = f"memcached at {', '.join(addresses)}"
        self._timeout = timeout
        self._pooled = len(servers) > 1
        self._binary = username is not None

        def connect() -> Client:
            return Client(specs, timeout, username, password)

        self._pool: Pool[Client] = Pool(connect, lambda client: client.close())
        if persistent_id is not None:
            settings = (persistent_id, *specs, timeout, username, password)
            with _pools_lock:
                self._pool = _pools.setdefault(settings, self._pool)
        self._check_options(password)

    def _check_options(self, password: str | None) -> None:
        if self._binary != (password is not None):
            raise InvalidOption(
                "MEMCACHED_USERNAME and MEMCACHED_PASSWORD: set both of them, or neither."
            )
        if self.prefix:
            try:
                self.check_key(self.prefix)
            except InvalidKey as error:
                raise InvalidOption(f"MEMCACHED_PREFIX: {error}") from error

    # Reading

    def get(self, key: str) -> bytes | Missing:
        found = self.get_with_token(key)
        return MISSING if found is MISSING else found.value

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        names = {self._stored(key): key for key in keys}
        stored = list(names)
        found: dict[str, bytes] = {}
        for start in range(0, len(stored), KEYS_A_COMMAND):
            values = self._read(stored[start : start + KEYS_A_COMMAND])
            found.update((names[key], value.value) for key, value in values.items())
        return found

    def get_with_token(self, key: str) -> Found | Missing:
        stored = self._stored(key)
        values = self._read([stored])
        return Found(*values[stored]) if stored in values else MISSING

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._command("set", key, value, _expiry(ttl), repeatable=True)

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._command("add", key, value, _expiry(ttl))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._command("replace", key, value, _expiry(ttl), repeatable=True)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        return self._command("cas", key, value, token, _expiry(ttl))

    def delete(self, key: str) -> bool:
        return self._command("delete", key)

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._command("cas", key, b"", token, EXPIRED)

    def get_and_delete(self, key: str) -> bytes | Missing:
        return self._change(key, lambda found: self.compare_and_delete(key, found.token))

    def touch(self, key: str, ttl: float | None) -> bool:
        if not self._binary:
            return self._command("touch", key, _expiry(ttl), repeatable=True)
        # Over the binary protocol libmemcached waits for a second reply that never comes.
        changed = self._change(
            key, lambda found: self.compare_and_set(key, found.value, found.token, ttl)
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
        name = "incr" if delta >= 0 else "decr"
        try:
            stored = self._stored(key)
            number: int = self._run(lambda client: client.command(name, stored, abs(delta)))
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return MISSING
            if error.code == CLIENT_ERROR:
                raise NotAnInteger(_NOT_A_NUMBER) from error
            raise failure(error.code, self._place, sent=False) from error
        return number

    def flush(self) -> None:
        if self.prefix:
            raise Unsupported(
                self.label,
                Capability.FLUSH_PREFIX,
                "it flushes whole servers, and MEMCACHED_PREFIX says that others use them too",
            )
        self._run(lambda client: client.command("flush_all"), repeatable=True)

    def close(self) -> None:
        self._pool.clear()

    # Commands, failures, repetition

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        return self._run(lambda client: client.read_many(keys), repeatable=True)

    def _command(self, name: str, key: str, *arguments: Any, repeatable: bool = False) -> bool:
        """Run a command that says yes or no."""
        stored = self._stored(key)
        try:
            return bool(
                self._run(lambda client: client.command(name, stored, *arguments), repeatable)
            )
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return False
            raise failure(error.code, self._place, sent=False) from error

    def _change(self, key: str, change: Callable[[Found], bool]) -> bytes | Missing:
        """Do a change that depends on what is stored; return what was stored before it."""
        for _ in range(ATTEMPTS):
            found = self.get_with_token(key)
            if found is MISSING:
                return MISSING
            if change(found):
                return found.value
        raise Unavailable("The value kept changing meanwhile; nothing was done.")

    def _run(self, command: Callable[[Client], T], repeatable: bool = False) -> T:
        """Run a command on a connection of this thread's own.

        :param repeatable: to run it twice means the same as to run it once.
        :raises CommandFailed: the server answered, with a refusal.
        :raises Failed: it did not.
        """
        client = self._pool.acquire()
        try:
            return self._attempt(client, command, repeatable)
        finally:
            self._pool.release(client)

    def _attempt(self, client: Client, command: Callable[[Client], T], repeatable: bool) -> T:
        started = time.monotonic()
        # In a pool, libmemcached takes up to three attempts to leave a dead server out.
        attempts = 4 if self._pooled else 2
        while True:
            attempts -= 1
            sent = False
            try:
                client.probe()
                sent = True
                result = command(client)
            except CommandFailed as error:
                if error.answered:
                    client.proven()
                    raise
                client.reset()
                harmless = repeatable or not sent or error.code in NEVER_SENT
                in_time = self._pooled or time.monotonic() - started < self._timeout / 2
                if not (attempts and harmless and in_time):
                    raise failure(error.code, self._place, sent=not harmless) from error
            else:
                client.proven()
                return result


def _expiry(ttl: float | None) -> int:
    """Return memcached's ``exptime`` for a lifetime in seconds."""
    if ttl is None:
        return 0
    if ttl <= 0:
        return EXPIRED
    seconds = math.ceil(ttl)
    if seconds <= LONGEST_RELATIVE:
        return seconds
    return min(math.ceil(time.time() + ttl), LATEST)
