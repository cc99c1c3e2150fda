"""pylibmc made trustworthy, for a login: exact reads, known failures, raw bytes.

A login needs SASL, and with it the binary protocol: that is pylibmc's part. It reads a broken
connection as a miss, and inflates what is flagged as compressed before anybody can look at
it. So values are read through libmemcached itself, on pylibmc's own connection
(:mod:`backends.memcached.libmemcached`). All other commands are pylibmc's own methods, which
do report a failure.

Two cases libmemcached cannot tell. A server at its connection limit greets a new connection
with an error that reads like an empty reply: so a new connection, and one that was idle, is
tried with a harmless command first (:meth:`SaslClient.probe`). And a server that takes no
logins, or other ones, looks like a broken one: so that is asked by text.
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from backends.base import with_flags
from backends.errors import NotRead
from backends.memcached import libmemcached
from backends.memcached.errors import (
    AUTHENTICATION,
    AUTHENTICATION_FAILURE,
    CONNECTION_FAILURE,
    NO_IPV6,
    NOT_FOUND,
    OUT_OF_MEMORY_STORING,
    CommandFailed,
)
from backends.memcached.libmemcached import (
    Error,
    RawClient,
    clear_stack,
    handle_of,
    last_error,
    last_error_message,
)
from backends.memcached.link import IDLE_SECONDS, why_no_login
from backends.memcached.opening import open_socket
from backends.memcached.reader import Read, Stored

# What the first failure on a new connection says for certain.
_SURE: Final = {NOT_FOUND, AUTHENTICATION_FAILURE, CONNECTION_FAILURE}
PROBE_KEY: Final = b"cacheapi:probe"


class SaslClient:
    """The connection of one thread to one server, with a login.

    :param server: ``host:port``.
    :param timeout: bound on connecting and on each reply, in seconds.
    :param on_silence: as of :class:`~backends.memcached.link.Link`.
    """

    def __init__(
        self,
        server: str,
        timeout: float,
        username: str,
        password: str,
        on_silence: Callable[[], None] | None = None,
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._on_silence = on_silence
        milliseconds = max(1, round(timeout * 1000))
        behaviors = {
            "tcp_nodelay": 1,
            "tcp_keepalive": 1,
            "cas": 1,
            "connect_timeout": milliseconds,
            # The only bound on a reply; receive_timeout and send_timeout do nothing.
            "_poll_timeout": milliseconds,
        }

        def connect(address: str) -> RawClient:
            return RawClient(
                [address],
                behaviors=behaviors,
                binary=True,
                username=username,
                password=password,
            )

        self._connect = connect
        self._client: RawClient | None = None
        self._handle = 0
        # When the server last answered.
        self._proven_at = 0.0

    def prove(self) -> None:
        """Have the server answer, by a count on an absent key, which is no hit and no miss.

        :raises CommandFailed: it does not, or refuses the login.
        """
        # libmemcached 1.0 reads the server's list of mechanisms onto the stack and does not
        # end it: what happens to lie there can make "PLAIN" an unknown word.
        clear_stack()
        opening = self._client is None
        client = self._opened()
        try:
            client.incr(PROBE_KEY, 0)
        except Error as error:
            failed = self._failed(error)
            if opening and failed.code not in _SURE:
                failed = why_no_login(self._server, self._timeout) or failed
            if not failed.answered:
                raise failed from error
        self._proven_at = time.monotonic()

    def probe(self) -> RawClient:
        """Return pylibmc's client, proven if it is new or was idle.

        :raises CommandFailed: as of :meth:`prove`.
        """
        if self._client is None:
            self.prove()
        elif time.monotonic() - self._proven_at >= IDLE_SECONDS:
            self._prove_idle()
        return self._opened()

    def _prove_idle(self) -> None:
        """Have the server answer on this connection, or else on a fresh one, within the limit."""
        self._wait(0.5)
        try:
            self.prove()
        except CommandFailed as error:
            if error.code in AUTHENTICATION:
                raise
            if self._on_silence is not None:
                self._on_silence()
            self.reset()
            self._opened(0.5)
            self._wait(0.5)
            self.prove()
        finally:
            if self._client is not None:
                self._wait(1)

    def _wait(self, part: float) -> None:
        """Wait for replies, from now on, for a part of the time limit only."""
        milliseconds = max(1, round(self._timeout * part * 1000))
        self._opened().set_behaviors({"_poll_timeout": milliseconds})

    def _opened(self, part: float = 1) -> RawClient:
        """Return pylibmc's client; libmemcached would look the name up itself, without a bound.

        :param part: of the time limit, for a new one to find the server.
        :raises CommandFailed: nothing takes connections there.
        """
        if self._client is None:
            with open_socket(self._server, self._timeout * part) as connection:
                if connection.family != socket.AF_INET:
                    raise CommandFailed(NO_IPV6)
                host, port = connection.getpeername()
            # A new client: closing the old one's connection does not always clear what it knows.
            self._client = self._connect(f"{host}:{port}")
            self._handle = handle_of(self._client)
        return self._client

    def reset(self) -> None:
        """Forget the connection, and that the server was down, so that its return is noticed."""
        self.close()
        self._client = None
        self._proven_at = 0.0

    def read_many(self, keys: Sequence[bytes], most: float = math.inf) -> Read:
        """Return what the server has of different keys, as :class:`Client` says.

        :raises CommandFailed: the reply was not whole.
        """
        found, left = self._read(keys, most)
        read: Read = {key: with_flags(stored.value, stored.flags) for key, stored in found.items()}
        read.update((key, NotRead()) for key in left)
        return read

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key, as :meth:`read_many` does."""
        found, _ = self._read([key], math.inf)
        return found.get(key)

    def _read(self, keys: Sequence[bytes], most: float) -> tuple[dict[bytes, Stored], list[bytes]]:
        self.probe()
        found = libmemcached.read(self._handle, keys, most)
        self._proven_at = time.monotonic()
        return found

    def set(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store, overwriting.

        :raises CommandFailed: the server is full, among others; pylibmc gives ``False`` for that.
        """
        if not self._command("set", key, value, exptime):
            raise self._full()
        return True

    def add(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is absent; return whether it was."""
        for _ in range(2):
            if self._command("add", key, value, exptime):
                return True
            if self._read_anew(key) is not None:
                return False
            # What was there may have ended meanwhile.
        raise self._full()

    def replace(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is there; return whether it was."""
        if not self._command("replace", key, value, exptime):
            raise self._full()
        return True

    def cas(self, key: bytes, value: bytes, cas: int, exptime: int) -> bool:
        """Store if the value's unique number is still ``cas``; return whether it was."""
        if self._command("cas", key, value, cas, exptime):
            return True
        stored = self._read_anew(key)
        if stored is not None and stored.cas == cas:
            raise self._full()
        return False

    def delete(self, key: bytes) -> bool:
        """Delete; return whether the key was there."""
        return bool(self._command("delete", key))

    def count(self, key: bytes, delta: int) -> int:
        """Count up or, with a negative ``delta``, down; return the new number."""
        return int(self._command("incr" if delta >= 0 else "decr", key, abs(delta)))

    def flush(self) -> None:
        """Delete all that the server has."""
        self._command("flush_all")

    def _read_anew(self, key: bytes) -> Stored | None:
        """Read after ``False``, which means no more than that nothing was stored.

        Where the server was full, the connection can be of no more use.
        """
        try:
            return self.read(key)
        except CommandFailed:
            self.reset()
            return self.read(key)

    def _full(self) -> CommandFailed:
        self.reset()
        return CommandFailed(OUT_OF_MEMORY_STORING)

    def _command(self, name: str, *arguments: Any) -> Any:
        """Run one of pylibmc's commands and return its result.

        :raises CommandFailed: with libmemcached's code.
        """
        client = self.probe()
        try:
            result = getattr(client, name)(*arguments)
        except Error as error:
            failed = self._failed(error, sent=True)
            if failed.answered:
                self._proven_at = time.monotonic()
            raise failed from error
        self._proven_at = time.monotonic()
        return result

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.disconnect_all()

    def _failed(self, error: Error, *, sent: bool = False) -> CommandFailed:
        match = re.match(r"error (\d+) ", str(error))
        code = match[1] if match else getattr(error, "retcode", 0) or last_error(self._handle)
        return CommandFailed(int(code), sent=sent, detail=last_error_message(self._handle))
