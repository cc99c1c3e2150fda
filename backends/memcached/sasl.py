"""pylibmc made trustworthy, for a login: exact reads, known failures, raw bytes.

A login needs SASL, and with it the binary protocol: that is pylibmc's part. It reads a broken
connection as a miss, and inflates what is flagged as compressed before anybody can look at
it. So values are read through libmemcached itself, the library that pylibmc carries, on
pylibmc's own connection: its public calls tell whether a reply was whole
(``memcached_last_error``) and give each value as it is stored, whatever its flags say. All
other commands are pylibmc's own methods, which do report a failure.

Two cases libmemcached cannot tell. A server at its connection limit greets a new connection
with an error that reads like an empty reply: so a new connection, and one that was idle, is
tried with a harmless command first (:meth:`SaslClient.probe`). And a server that takes no
logins, or other ones, looks like a broken one: so that is asked by text.
"""

from __future__ import annotations

import ctypes
import glob
import math
import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

# The SASL library that pylibmc's ready-made files carry looks for its plugins where the
# system of their maker had them. It reads this once, when it is loaded.
os.environ.setdefault("SASL_PATH", ":".join(glob.glob("/usr/lib/*/sasl2")))

import _pylibmc
import pylibmc

from backends.base import flags_of, with_flags
from backends.errors import NotRead
from backends.memcached.errors import (
    AUTHENTICATION,
    AUTHENTICATION_FAILURE,
    CONNECTION_FAILURE,
    NO_IPV6,
    NOT_FOUND,
    OUT_OF_MEMORY_STORING,
    SUCCESS,
    CommandFailed,
)
from backends.memcached.link import IDLE_SECONDS, why_no_login
from backends.memcached.opening import open_socket
from backends.memcached.reader import Read, Stored

# What the first failure on a new connection says for certain.
_SURE: Final = {NOT_FOUND, AUTHENTICATION_FAILURE, CONNECTION_FAILURE}
PROBE_KEY: Final = b"cacheapi:probe"

_library = ctypes.CDLL(_pylibmc.__file__)
_pointer, _size, _code = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    return function


_server_count = _function("memcached_server_count", ctypes.c_uint32, _pointer)
_last_error = _function("memcached_last_error", _code, _pointer)
_mget = _function(
    "memcached_mget",
    _code,
    _pointer,
    ctypes.POINTER(ctypes.c_char_p),
    ctypes.POINTER(_size),
    _size,
)
_fetch_result = _function(
    "memcached_fetch_result", _pointer, _pointer, _pointer, ctypes.POINTER(_code)
)
_result_free = _function("memcached_result_free", None, _pointer)
_result_key = _function("memcached_result_key_value", _pointer, _pointer)
_result_key_length = _function("memcached_result_key_length", _size, _pointer)
_result_value = _function("memcached_result_value", _pointer, _pointer)
_result_length = _function("memcached_result_length", _size, _pointer)
_result_flags = _function("memcached_result_flags", ctypes.c_uint32, _pointer)
_result_cas = _function("memcached_result_cas", ctypes.c_uint64, _pointer)


class _Zeros(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_char * 32768),)


# It takes no argument; that it is given one leaves zeros on the stack.
_clear_stack = _function("memcached_lib_version", None, _Zeros)


class _RawClient(pylibmc.Client):  # type: ignore[misc]
    """Store bytes as they are, with their flags; read nothing: that interprets flags."""

    def serialize(self, value: bytes) -> tuple[bytes, int]:
        return bytes(value), flags_of(value)


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

        def connect(address: str) -> _RawClient:
            return _RawClient(
                [address],
                behaviors=behaviors,
                binary=True,
                username=username,
                password=password,
            )

        self._connect = connect
        self._client: _RawClient | None = None
        self._handle = 0
        # When the server last answered.
        self._proven_at = 0.0

    def prove(self) -> None:
        """Have the server answer, by a count on an absent key, which is no hit and no miss.

        :raises CommandFailed: it does not, or refuses the login.
        """
        # libmemcached 1.0 reads the server's list of mechanisms onto the stack and does not
        # end it: what happens to lie there can make "PLAIN" an unknown word.
        _clear_stack(_Zeros())
        opening = self._client is None
        client = self._opened()
        try:
            client.incr(PROBE_KEY, 0)
        except pylibmc.Error as error:
            failed = CommandFailed(self._code_of(error))
            if opening and failed.code not in _SURE:
                failed = why_no_login(self._server, self._timeout) or failed
            if not failed.answered:
                raise failed from error
        self._proven_at = time.monotonic()

    def probe(self) -> _RawClient:
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

    def _opened(self, part: float = 1) -> _RawClient:
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
            self._handle = _handle(self._client)
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
        read.update((key, NotRead("The value was not read.")) for key in left)
        return read

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key, as :meth:`read_many` does."""
        found, _ = self._read([key], math.inf)
        return found.get(key)

    def _read(self, keys: Sequence[bytes], most: float) -> tuple[dict[bytes, Stored], list[bytes]]:
        """Return what the server has; and the keys whose values were more than enough.

        libmemcached takes the whole reply, one value after the other: those are thrown away.
        """
        self.probe()
        count = len(keys)
        array = (ctypes.c_char_p * count)(*keys)
        lengths = (_size * count)(*map(len, keys))
        found: dict[bytes, Stored] = {}
        left: list[bytes] = []
        size = 0
        code = _code()
        _mget(self._handle, array, lengths, count)
        while result := _fetch_result(self._handle, None, ctypes.byref(code)):
            key = ctypes.string_at(_result_key(result), _result_key_length(result))
            length = _result_length(result)
            if size > most:
                left.append(key)
            else:
                value = ctypes.string_at(_result_value(result), length) if length else b""
                found[key] = Stored(value, _result_flags(result), _result_cas(result))
                size += length
            _result_free(result)
        error = _last_error(self._handle)
        if error not in (SUCCESS, NOT_FOUND):
            raise CommandFailed(error, reading=True)
        self._proven_at = time.monotonic()
        return found, left

    def set(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store, overwriting.

        :raises CommandFailed: the server is full, among others; pylibmc gives ``False`` for that.
        """
        if not self._command("set", key, value, exptime):
            raise self._full()
        return True

    def add(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is absent; return whether it was."""
        if self._command("add", key, value, exptime):
            return True
        if self._read_anew(key) is None:
            raise self._full()
        return False

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
        except pylibmc.Error as error:
            failed = CommandFailed(self._code_of(error), sent=True)
            if failed.answered:
                self._proven_at = time.monotonic()
            raise failed from error
        self._proven_at = time.monotonic()
        return result

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.disconnect_all()

    def _code_of(self, error: pylibmc.Error) -> int:
        if match := re.match(r"error (\d+) ", str(error)):
            return int(match[1])
        code = getattr(error, "retcode", None) or _last_error(self._handle)
        return int(code)


def _handle(client: pylibmc.Client) -> int:
    """Return libmemcached's ``memcached_st *`` of a pylibmc client.

    It is the first field of the C object, after what every Python object has.
    """
    field = id(client) + object.__basicsize__
    handle = ctypes.c_void_p.from_address(field).value
    if handle is None or _server_count(handle) != 1:
        raise RuntimeError(f"pylibmc {pylibmc.__version__} is laid out in an unknown way")
    return handle
