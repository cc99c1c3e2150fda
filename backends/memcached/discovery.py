"""The servers behind one name: its addresses, or what a configuration endpoint lists.

They are looked for at the first use, and again every minute. What stays keeps its connections;
while nobody can tell, those that were found last are used.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from backends import names
from backends.memcached.errors import READ_FAILURE, CommandFailed
from backends.memcached.opening import Opening, failed
from backends.memcached.options import LARGEST_POOL, Server
from backends.memcached.pool import Members

log = logging.getLogger(__name__)

SEVERAL_ADDRESSES: Final = (
    "Set MEMCACHED_DISCOVERY=dns, so that they are one pool; else each connection picks one of "
    "them, and what is stored over one is not found over the next."
)
LOOK_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 60.0
# After a look that found nothing.
FAILED_SECONDS: Final = 5.0
# What a list of servers may take; a node takes some 100 bytes.
LONGEST_LIST: Final = 64 * 1024

# Addresses, paths and this machine are no names to look up.
_NO_NAME = re.compile(r"[\d.]+|\[.*\]|/.*|localhost")
_COMMAND: Final = b"config get cluster\r\n"
_NODE = re.compile(r"(?P<name>[^|\s]+)\|(?P<ip>[^|\s]*)\|(?P<port>\d{1,5})")


class Fixed:
    """A pool whose servers the settings list.

    :param members: all of them.
    :param servers: as they are listed: a name that has several addresses is warned of.
    """

    def __init__(self, members: Members, servers: Sequence[Server]) -> None:
        self._members = members
        self._unseen = [server.host for server in servers if not _NO_NAME.fullmatch(server.host)]

    def members(self) -> Members:
        """Return the pool; nobody waits for the look at its names."""
        if self._unseen:
            unseen, self._unseen = self._unseen, []
            threading.Thread(target=_warn, args=(unseen,), name="names", daemon=True).start()
        return self._members

    def close(self) -> None:
        """Close the connections that are idle."""
        self._members.close()


class Discovered:
    """The pool of today.

    :param find: returns the servers; raises :class:`CommandFailed` where nobody tells.
    :param make: makes the pool of them, with what it may take over from the one before.
    """

    def __init__(
        self,
        find: Callable[[], Sequence[Server]],
        make: Callable[[Sequence[Server], Members | None], Members],
    ) -> None:
        self._find = find
        self._make = make
        self._lock = threading.Lock()
        self._servers: Sequence[Server] = ()
        self._members: Members | None = None
        self._again_at = 0.0

    def members(self) -> Members:
        """Return the pool, having looked for its servers if it is time to.

        :raises CommandFailed: none was ever found.
        """
        known = self._members
        if known is not None and time.monotonic() < self._again_at:
            return known
        # While one thread looks, the others go by what is known.
        if not self._lock.acquire(blocking=known is None):
            assert known is not None
            return known
        try:
            return self._look()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connections that are idle."""
        if self._members is not None:
            self._members.close()

    def _look(self) -> Members:
        known = self._members
        if known is not None and time.monotonic() < self._again_at:
            return known
        self._again_at = time.monotonic() + FAILED_SECONDS
        try:
            found = sorted(set(self._find()))
        except CommandFailed as error:
            if known is None:
                raise
            log.warning("The servers of memcached were not found again: %s", error.text or error)
            return known
        self._again_at = time.monotonic() + AGAIN_SECONDS
        if known is None or found != self._servers:
            listed = ", ".join(server.address(0) for server in found)
            log.info("The servers of memcached are %s.", listed)
            made = self._make(found, known)
            self._servers, self._members = found, made
            return made
        return known


def _warn(hosts: Sequence[str]) -> None:
    for host in hosts:
        with contextlib.suppress(OSError):
            addresses = names.look_up(host, 0, LOOK_SECONDS)
            kinds = collections.Counter(address.family for address in addresses)
            if (count := max(kinds.values())) > 1:
                log.warning("The name %s has %d addresses. %s", host, count, SEVERAL_ADDRESSES)


def by_name(servers: Sequence[Server], port: int, timeout: float) -> list[Server]:
    """Return a server for each address of each name.

    :param port: of those listed without one.
    :param timeout: bound on each look-up, in seconds.
    :raises CommandFailed: a name has none, or was not looked up in time.
    """
    found = []
    for server in servers:
        try:
            addresses = names.look_up(server.host, server.port or port, timeout)
        except OSError as error:
            raise failed(error, READ_FAILURE) from error
        # A name of both kinds leads to the same servers twice.
        first = addresses[0].family
        for address in addresses[:LARGEST_POOL]:
            if address.family == first:
                host, number = address.place[:2]
                host = f"[{host}]" if ":" in host else host
                found.append(Server(host, number, server.weight))
    return found


def by_config(
    servers: Sequence[Server], port: int, opening: Opening, timeout: float
) -> list[Server]:
    """Return what the first configuration endpoint lists that answers.

    It answers ``config get cluster`` with a version and a line of nodes, ``name|address|port``.

    :raises CommandFailed: none answers, or not with a list.
    """
    error: CommandFailed | None = None
    for server in servers:
        try:
            with opening.connect(server.address(port), timeout) as connection:
                connection.settimeout(timeout)
                opening.begin(connection, timeout)
                connection.sendall(_COMMAND)
                data = b""
                while not data.endswith(b"END\r\n") and len(data) < LONGEST_LIST:
                    part = connection.recv(LONGEST_LIST)
                    if not part:
                        raise ConnectionError("closed by the server")
                    data += part
                    if data.startswith((b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")):
                        break
            return _parse(data)
        except (OSError, ValueError, CommandFailed) as caught:
            error = failed(caught, READ_FAILURE)
    assert error is not None
    raise error


def _parse(data: bytes) -> list[Server]:
    """Return the nodes of a reply to ``config get cluster``.

    :raises ValueError: it is none.
    """
    head, _, rest = data.decode("ascii").partition("\r\n")
    if not head.startswith("CONFIG cluster "):
        raise ValueError("no list of servers")
    _version, _, line = rest.partition("\n")
    found = []
    for text in line.partition("\n")[0].split()[:LARGEST_POOL]:
        node = _NODE.fullmatch(text)
        if node is None or not 1 <= int(node["port"]) <= 65535:
            raise ValueError("no server in a list of servers")
        found.append(Server(node["name"], int(node["port"]), 1))
    if not found:
        raise ValueError("an empty list of servers")
    return found
