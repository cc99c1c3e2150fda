"""libmemcached, the library that pylibmc carries, called by itself where pylibmc hides something.

Its public calls tell whether a reply was whole (``memcached_last_error``) and give each value
as it is stored, whatever its flags say. This is the one module that loads pylibmc.
"""

from __future__ import annotations

import ctypes
import glob
import os
from collections.abc import Sequence
from typing import Any

# The SASL library that pylibmc's ready-made files carry looks for its plugins where the
# system of their maker had them. It reads this once, when it is loaded.
os.environ.setdefault("SASL_PATH", ":".join(glob.glob("/usr/lib/*/sasl2")))

import _pylibmc
import pylibmc

from backends.base import flags_of
from backends.memcached.errors import NOT_FOUND, SUCCESS, CommandFailed
from backends.memcached.reader import Stored

Error = pylibmc.Error

_library = ctypes.CDLL(_pylibmc.__file__)
_pointer, _size, _code = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    return function


_server_count = _function("memcached_server_count", ctypes.c_uint32, _pointer)
_last_error = _function("memcached_last_error", _code, _pointer)
_last_error_message = _function("memcached_last_error_message", ctypes.c_char_p, _pointer)
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
_lib_version = _function("memcached_lib_version", None, _Zeros)


class RawClient(pylibmc.Client):  # type: ignore[misc]
    """Store bytes as they are, with their flags; read nothing: that interprets flags."""

    def serialize(self, value: bytes) -> tuple[bytes, int]:
        return bytes(value), flags_of(value)


def clear_stack() -> None:
    """Leave zeros where a function that is called next has its own variables."""
    _lib_version(_Zeros())


def handle_of(client: pylibmc.Client) -> int:
    """Return libmemcached's ``memcached_st *`` of a pylibmc client.

    It is the first field of the C object, after what every Python object has.
    """
    field = id(client) + object.__basicsize__
    handle = ctypes.c_void_p.from_address(field).value
    if handle is None or _server_count(handle) != 1:
        raise RuntimeError(f"pylibmc {pylibmc.__version__} is laid out in an unknown way")
    return handle


def last_error_message(handle: int) -> str:
    """Return what libmemcached says of its last error, with hosts and its own files."""
    return (_last_error_message(handle) or b"").decode(errors="replace")


def last_error(handle: int) -> int:
    """Return libmemcached's code of what failed last."""
    return int(_last_error(handle))


def read(
    handle: int, keys: Sequence[bytes], most: float
) -> tuple[dict[bytes, Stored], list[bytes]]:
    """Return what the server has; and the keys whose values were more than enough.

    libmemcached takes the whole reply, one value after the other: those are thrown away.

    :param most: as many bytes are enough, see :class:`~backends.memcached.client.Client`.
    :raises CommandFailed: the reply was not whole.
    """
    count = len(keys)
    array = (ctypes.c_char_p * count)(*keys)
    lengths = (_size * count)(*map(len, keys))
    found: dict[bytes, Stored] = {}
    left: list[bytes] = []
    size = 0
    code = _code()
    _mget(handle, array, lengths, count)
    while result := _fetch_result(handle, None, ctypes.byref(code)):
        key = ctypes.string_at(_result_key(result), _result_key_length(result))
        length = _result_length(result)
        if size > most:
            left.append(key)
        else:
            value = ctypes.string_at(_result_value(result), length) if length else b""
            found[key] = Stored(value, _result_flags(result), _result_cas(result))
            size += length
        _result_free(result)
    error = last_error(handle)
    if error not in (SUCCESS, NOT_FOUND):
        raise CommandFailed(error, reading=True)
    return found, left
