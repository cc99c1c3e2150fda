"""A proxy in front of memcached, such as twemproxy: it knows the commands that have a key.

At any other it closes the connection without a word. That is told from a server that went
down: a plain command is answered, and the same command then ends the same connection again.
"""

from __future__ import annotations

from typing import Final

from backends.memcached.errors import (
    BEHIND_PROXY,
    CLOSED_AT_ONCE,
    READ_FAILURE,
    CommandFailed,
)
from backends.memcached.opening import Opening

_PLAIN: Final = b"get cacheapi:proxy\r\n"
# A proxy whose server is down answers too.
_ANSWERS: Final = (b"END\r\n", b"VALUE ", b"SERVER_ERROR ")
_CLOSED: Final = {CLOSED_AT_ONCE, READ_FAILURE}


def judge(
    error: CommandFailed, command: bytes, opening: Opening, server: str, timeout: float
) -> CommandFailed:
    """Return what a failed administrative command is: the error, or that a proxy is in front.

    :param command: what was sent; it may be sent again.
    :param server: ``host:port`` or a path.
    :param timeout: bound on each wait, in seconds.
    """
    if error.code in _CLOSED and closes_at(command, opening, server, timeout):
        return CommandFailed(BEHIND_PROXY, text=command.split()[0].decode())
    return error


def closes_at(command: bytes, opening: Opening, server: str, timeout: float) -> bool:
    """Return whether a server answers a plain command, and closes the connection at another."""
    try:
        with opening.connect(server, timeout) as connection:
            connection.settimeout(timeout)
            opening.begin(connection, timeout)
            connection.sendall(_PLAIN)
            if not connection.recv(4096).startswith(_ANSWERS):
                return False
            connection.sendall(command)
            return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except (OSError, CommandFailed):
        return False
