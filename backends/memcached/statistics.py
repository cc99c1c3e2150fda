"""What memcached says of itself (protocol.txt, "General-purpose statistics").

Each call has a connection of its own: pylibmc tells only a part of the sections, and some of
them wrong. A login needs the binary protocol here as well.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from backends.errors import BehindProxy
from backends.memcached.errors import (
    AUTHENTICATION_FAILURE,
    BEHIND_PROXY,
    NO_LOGINS,
    NO_MECHANISM,
    READ_FAILURE,
    TIMEOUT,
    CommandFailed,
    failure,
    refusal,
)
from backends.memcached.link import why_no_login
from backends.memcached.opening import Login, Opening, failed
from backends.memcached.proxies import judge
from backends.memcached.slabs import Raw, signs
from backends.parallel import at_once
from backends.statistics import Figures, ServerStatistics, number_or_text

SECTIONS: Final = ("items", "slabs", "settings")

# As in its protocol-binary.txt.
_HEADER: Final = struct.Struct(">BBHBxHIIQ")
_REQUEST, _REPLY = 0x80, 0x81
_LOGIN, _STAT = 0x21, 0x10
# By a reply's status: the login is refused, or the server knows no such command.
_LOGIN_CODES: Final = {0x20: AUTHENTICATION_FAILURE, 0x81: NO_LOGINS}

_FIGURES: Final = {
    "curr_items": "curr_items",
    "get_hits": "get_hits",
    "get_misses": "get_misses",
    "evictions": "evictions",
    "bytes": "bytes",
    "limit_bytes": "limit_maxbytes",
    "bytes_read": "bytes_read",
    "bytes_written": "bytes_written",
    "curr_connections": "curr_connections",
    "max_connections": "max_connections",
    "uptime": "uptime",
}


def read(
    addresses: Sequence[str],
    timeout: float,
    login: Login | None,
    opening: Opening,
    section: str | None,
) -> list[ServerStatistics]:
    """Ask all servers at once.

    :param addresses: ``host:port`` each, or a path.
    :param timeout: bound on connecting and on the whole reply, in seconds.
    :param login: for the binary protocol; ``None``: ask by text.
    :raises BehindProxy: one of them is a proxy, and tells nothing.
    """
    return at_once(lambda address: _read_one(address, timeout, login, opening, section), addresses)


def _read_one(
    address: str, timeout: float, login: Login | None, opening: Opening, section: str | None
) -> ServerStatistics:
    try:
        with closing(_Connection(address, timeout, opening)) as connection:
            sections = connection.ask(login, ("", *SECTIONS))
    except CommandFailed as caught:
        error = caught
        if login is None:
            error = judge(caught, b"stats\r\n", opening, address, timeout)
            if error.code == BEHIND_PROXY:
                raise BehindProxy(f"memcached at {address}", "stats") from caught
        if login is not None and caught.code in (TIMEOUT, READ_FAILURE):
            error = why_no_login(address, timeout) or caught
        reason = failure(error, f"memcached at {address}", sent=False)
        return ServerStatistics(address, None, {}, str(reason), cause=reason.cause)
    general = sections[""]
    figures = Figures(**{ours: _number(general.get(name)) for ours, name in _FIGURES.items()})
    disk = _number(general.get("extstore_limit_maxbytes"))
    if disk and figures.limit_bytes:
        # Its "bytes" counts what it moved to the disk, and its limit the memory alone.
        figures = figures._replace(limit_bytes=figures.limit_bytes + disk)
    return ServerStatistics(address, figures, sections[section or ""], signs=signs(sections))


class _Connection:
    """A connection for one set of questions.

    :raises CommandFailed: the server cannot be reached.
    """

    def __init__(self, address: str, timeout: float, opening: Opening) -> None:
        self._timeout = timeout
        self._opening = opening
        self._socket = opening.connect(address, timeout)
        self._deadline = time.monotonic() + timeout
        self._data = b""

    def close(self) -> None:
        self._socket.close()

    def ask(self, login: Login | None, sections: Sequence[str]) -> dict[str, Raw]:
        """Return the figures of each section.

        :raises CommandFailed: a reply was not whole, or not in time, or the login was refused.
        """
        try:
            if login is None:
                return self._ask_by_text(sections)
            return self._ask_logged_in(login, sections)
        except (OSError, ValueError) as error:
            raise failed(error, READ_FAILURE) from error

    def _ask_by_text(self, sections: Sequence[str]) -> dict[str, Raw]:
        self._socket.settimeout(self._timeout)
        self._opening.begin(self._socket, self._timeout)
        self._socket.sendall(b"".join(b"stats %s\r\n" % name.encode() for name in sections))
        return {name: dict(self._lines()) for name in sections}

    def _lines(self) -> Iterator[tuple[str, int | float | str]]:
        while (line := self._line()) != "END":
            kind, name, value = [*line.split(" ", 2), ""][:3]
            if kind != "STAT":
                raise refusal(line.encode()) or ValueError("no reply to stats")
            yield name, number_or_text(value)

    def _line(self) -> str:
        while b"\r\n" not in self._data:
            self._receive()
        line, _, self._data = self._data.partition(b"\r\n")
        return line.decode(errors="replace")

    def _ask_logged_in(self, login: Login, sections: Sequence[str]) -> dict[str, Raw]:
        secret = "\0".join(("", *login)).encode()
        self._socket.sendall(
            _packet(_LOGIN, b"PLAIN", secret)
            + b"".join(_packet(_STAT, name.encode()) for name in sections)
        )
        status, _, _ = self._packet()
        if status:
            raise CommandFailed(_LOGIN_CODES.get(status, NO_MECHANISM))
        return {name: dict(self._packets()) for name in sections}

    def _packets(self) -> Iterator[tuple[str, int | float | str]]:
        while True:
            status, name, value = self._packet()
            if status:
                raise ValueError("no reply to stats")
            if not name:
                return
            yield name.decode(errors="replace"), number_or_text(value.decode(errors="replace"))

    def _packet(self) -> tuple[int, bytes, bytes]:
        header = self._take(_HEADER.size)
        magic, _, key, extras, status, size, _, _ = _HEADER.unpack(header)
        if magic != _REPLY or key + extras > size:
            raise ValueError("no reply of the binary protocol")
        body = self._take(size)
        return status, body[extras : extras + key], body[extras + key :]

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._receive()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _receive(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        part = self._socket.recv(64 * 1024)
        if not part:
            raise ConnectionError("closed by the server")
        self._data += part


def _packet(opcode: int, key: bytes, value: bytes = b"") -> bytes:
    head = _HEADER.pack(_REQUEST, opcode, len(key), 0, 0, len(key) + len(value), 0, 0)
    return head + key + value


def _number(value: float | str | None) -> int | None:
    return value if isinstance(value, int) else None
