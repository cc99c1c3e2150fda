"""pylibmc made trustworthy: exact reads, known failures, raw bytes.

pylibmc reads a broken connection as a miss, inflates what is flagged as compressed before
anybody can look at it, and stores many values in as many round trips. So values are read
and overwritten not by it, but over a connection beside its own
(:mod:`backends.memcached.link`). Each command waits for its reply, so what one connection
has stored the other finds. A login needs the binary protocol; there values are read through
libmemcached itself, the library that pylibmc carries, on pylibmc's own connection: its
public calls tell whether a reply was whole (``memcached_last_error``) and give each value
as it is stored, whatever its flags say. All other commands are pylibmc's own methods, which
do report a failure.

One case libmemcached cannot tell: a server at its connection limit greets a new
connection with an error that reads like an empty reply. So a new connection, and one that
was idle, is tried with a harmless command first (:meth:`Client.probe`).
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import time
from collections.abc import Sequence
from typing import Any, Final

# The SASL library that pylibmc's ready-made files carry looks for its plugins where the
# system of their maker had them. It reads this once, when it is loaded.
os.environ.setdefault("SASL_PATH", ":".join(glob.glob("/usr/lib/*/sasl2")))

import _pylibmc
import pylibmc

from backends.memcached import reader
from backends.memcached.errors import NOT_FOUND, SUCCESS, CommandFailed
from backends.memcached.link import Link
from backends.memcached.meta import remaining_ttl
from backends.memcached.reader import Stored
from backends.memcached.stores import Batch

# A server closes a connection that was idle for a second or more, never sooner.
IDLE_SECONDS: Final = 0.5
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
    """Store bytes as they are, with flags if given; read nothing: that interprets flags."""

    def serialize(self, value: bytes | tuple[bytes, int]) -> tuple[bytes, int]:
        return value if isinstance(value, tuple) else (value, 0)


class Client:
    """The connections of one thread to one server: a failure of either ends both.

    :param server: ``host:port``.
    :param timeout: bound on connecting and on each reply, in seconds.
    """

    def __init__(
        self, server: str, timeout: float, username: str | None, password: str | None
    ) -> None:
        milliseconds = max(1, round(timeout * 1000))
        behaviors = {
            "tcp_nodelay": 1,
            "tcp_keepalive": 1,
            "cas": 1,
            "connect_timeout": milliseconds,
            # The only bound on a reply; receive_timeout and send_timeout do nothing.
            "_poll_timeout": milliseconds,
        }

        def connect() -> _RawClient:
            return _RawClient(
                [server],
                behaviors=behaviors,
                binary=username is not None,
                username=username,
                password=password,
            )

        self._connect = connect
        self._logs_in = username is not None
        self._link = None if self._logs_in else Link(server, timeout)
        # When the server last answered on pylibmc's connection.
        self._proven_at = 0.0
        self.reset()

    def probe(self) -> None:
        """Prove pylibmc's connection, if it is new or was idle, by a count on an absent key.

        :raises CommandFailed: the server does not answer.
        """
        if time.monotonic() - self._proven_at < IDLE_SECONDS:
            return
        if self._logs_in:
            # libmemcached 1.0 reads the server's list of mechanisms onto the stack and does not
            # end it: what happens to lie there can make "PLAIN" an unknown word.
            _clear_stack(_Zeros())
        try:
            self._pylibmc.incr(PROBE_KEY, 0)
        except pylibmc.Error as error:
            failed = CommandFailed(self._code_of(error))
            if not failed.answered:
                raise failed from error
        self._proven_at = time.monotonic()

    def reset(self) -> None:
        """Forget the connections, and that the server was down, so that its return is noticed."""
        if self._link is not None:
            self._link.close()
        # A new client: closing the old one's connection does not always clear what it knows.
        self._pylibmc = self._connect()
        self._handle = _handle(self._pylibmc)
        self._proven_at = 0.0

    def read_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what the server has of different keys; one is absent only if it said so.

        :raises CommandFailed: the reply was not whole.
        """
        if self._link is not None:
            return reader.read_many(self._link, keys)
        return {key: stored.value for key, stored in self._read_logged_in(keys).items()}

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key, as :meth:`read_many` does."""
        if self._link is not None:
            return reader.read(self._link, key)
        return self._read_logged_in([key]).get(key)

    def remaining_ttl(self, key: bytes) -> int | None:
        """Return the seconds that a value has left; ``None`` for ever.

        :raises CommandFailed: the server has no such key, or does not know the command; or
            the reply was not whole.
        """
        assert self._link is not None
        return remaining_ttl(self._link, key)

    def _read_logged_in(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        self.probe()
        count = len(keys)
        array = (ctypes.c_char_p * count)(*keys)
        lengths = (_size * count)(*map(len, keys))
        found: dict[bytes, Stored] = {}
        code = _code()
        _mget(self._handle, array, lengths, count)
        while result := _fetch_result(self._handle, None, ctypes.byref(code)):
            key = ctypes.string_at(_result_key(result), _result_key_length(result))
            length = _result_length(result)
            value = ctypes.string_at(_result_value(result), length) if length else b""
            found[key] = Stored(value, _result_flags(result), _result_cas(result))
            _result_free(result)
        error = _last_error(self._handle)
        if error not in (SUCCESS, NOT_FOUND):
            raise CommandFailed(error, reading=True)
        self._proven_at = time.monotonic()
        return found

    def store_many(self, batch: Batch) -> None:
        """Do stores, without a login only.

        :raises CommandFailed: not all replies came; the batch has those that did.
        """
        assert self._link is not None
        batch.run(self._link)

    def command(self, name: str, *arguments: Any) -> Any:
        """Run one of pylibmc's commands and return its result.

        :raises CommandFailed: with libmemcached's code.
        """
        self.probe()
        try:
            result = getattr(self._pylibmc, name)(*arguments)
        except pylibmc.Error as error:
            failed = CommandFailed(self._code_of(error), sent=True)
            if failed.answered:
                self._proven_at = time.monotonic()
            raise failed from error
        self._proven_at = time.monotonic()
        return result

    def close(self) -> None:
        """Close the connections."""
        if self._link is not None:
            self._link.close()
        self._pylibmc.disconnect_all()

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
