"""The first words on a new connection: whether it is a memcached that can be used.

``version`` is what every memcached answers, and what it counts nowhere. Spaces make it long
enough for a server that waits for a packet of the binary protocol (24 bytes): it closes,
instead of waiting for more.
"""

from __future__ import annotations

import socket
import time
from typing import Final

from backends.memcached.errors import (
    CLOSED_AT_ONCE,
    OTHER_IS_DOWN,
    OTHER_SERVER,
    READ_FAILURE,
    CommandFailed,
    refusal,
)

GREETING: Final = b"version" + b" " * 24 + b"\r\n"
_ANSWER: Final = b"VERSION "
_LONGEST: Final = 512
# What an alert of TLS begins with (RFC 8446, 5.1), and every reply of Redis.
_TLS: Final = b"\x15\x03"
_REDIS: Final = (b"-", b"+", b"$", b"*", b":")
_HTTP: Final = (b"HTTP/", b"<")
_TOLD: Final = 60


def greet(connection: socket.socket, timeout: float) -> None:
    """Say the first words and hear the answer.

    :param timeout: bound on the whole answer, in seconds; the connection has it for each wait.

    :raises CommandFailed: it is no memcached, or one that wants a login by text; or it has its
        most clients; or it closed the connection at once.
    :raises OSError: there was no answer in time.
    """
    data = b""
    deadline = time.monotonic() + timeout
    try:
        connection.sendall(GREETING)
        while not data.endswith(b"\n") and len(data) < _LONGEST:
            part = connection.recv(_LONGEST)
            if not part:
                raise ConnectionError("closed by the server")
            data += part
            if time.monotonic() > deadline:
                raise TimeoutError("it never ends")
            if data.startswith(_TLS):
                break
    except ConnectionError as error:
        if data:
            raise
        raise CommandFailed(CLOSED_AT_ONCE) from error
    if not (data.startswith(_ANSWER) and data.endswith(b"\r\n") and data.count(b"\n") == 1):
        judged = _judge(data)
        # A proxy asks one of its servers; that this one is down says nothing of the others.
        if judged.code != OTHER_IS_DOWN:
            raise judged


def _judge(data: bytes) -> CommandFailed:
    line = data.partition(b"\r\n")[0]
    refused = refusal(line)
    if refused is not None:
        return refused
    if data.startswith(_TLS):
        return CommandFailed(CLOSED_AT_ONCE)
    if data.startswith(_HTTP):
        return CommandFailed(OTHER_SERVER, text="speaks HTTP")
    if data.startswith(_REDIS):
        return CommandFailed(OTHER_SERVER, text="is Redis")
    if data.startswith(b"VERSION") or not line.isascii() or not line.decode("ascii").isprintable():
        return CommandFailed(READ_FAILURE)
    said = line[:_TOLD].decode("ascii")
    return CommandFailed(OTHER_SERVER, text=f"is no memcached; it says {said!r}")
