"""How a connection to a memcached is opened: TCP or a Unix socket, TLS, a login by text.

The login is memcached's ``-Y``: a ``set`` of ``user password`` under any key. A server without
``-Y`` would store it like any other value, so it is sent to those alone that ask for it.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import time
from typing import Final, NamedTuple

from backends import names
from backends.memcached.errors import (
    AUTHENTICATION_FAILURE,
    CLOSED_AT_ONCE,
    CONNECTION_FAILURE,
    NO_LOGINS,
    NO_NAME,
    NOT_LOOKED_UP,
    READ_FAILURE,
    TEXT_LOGIN,
    TIMEOUT,
    TLS_FAILED,
    CommandFailed,
    refusal,
)
from backends.memcached.greeting import greet
from backends.tls import Tls

_LONGEST_REPLY: Final = 512
# With TLS 1.3 a client's certificate is missed only when it has been taken for connected.
_ENDED: Final = "the server ended it; it may want a certificate of the client"


class Login(NamedTuple):
    """A user and a password, for SASL's mechanism PLAIN or for a login by text."""

    username: str
    password: str


class Opening:
    """How the servers of a service are connected to.

    :param tls: speak it; ``None``: do not.
    :param login: to send by text; ``None``: none.
    """

    def __init__(self, tls: Tls | None = None, login: Login | None = None) -> None:
        self.tls = tls
        self._login = login

    def connect(self, server: str, timeout: float) -> socket.socket:
        """Return a connection to ``host:port`` or to the path of a Unix socket.

        Waiting on it has no limit, but with TLS that of its last wait.

        :param timeout: bound on looking up, connecting and TLS, in seconds.
        :raises CommandFailed: there is none.
        """
        deadline = time.monotonic() + timeout
        connection = open_socket(server, timeout)
        if self.tls is None:
            return connection
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            host = server.rpartition(":")[0].strip("[]")
            return self._context.wrap_socket(connection, server_hostname=host)
        except (OSError, ValueError) as error:
            connection.close()
            raise failed(error, TLS_FAILED) from error

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        assert self.tls is not None
        return self.tls.context()

    def begin(self, connection: socket.socket, timeout: float) -> None:
        """Say the first words on a new connection, and log in.

        :param timeout: bound on each answer, in seconds; the connection has it for each wait.
        :raises CommandFailed: as :func:`~backends.memcached.greeting.greet`, or the login is
            refused, or none is wanted.
        :raises OSError: there was no answer in time.
        """
        try:
            greet(connection, timeout)
        except CommandFailed as error:
            if self.tls is not None and error.code == CLOSED_AT_ONCE:
                raise CommandFailed(TLS_FAILED, text=_ENDED) from error
            if error.code != TEXT_LOGIN or self._login is None:
                raise
        except ssl.SSLEOFError as error:
            raise CommandFailed(TLS_FAILED, text=_ENDED) from error
        else:
            if self._login is not None:
                raise CommandFailed(NO_LOGINS, text="-Y")
            return
        secret = " ".join(self._login).encode()
        connection.sendall(b"set login 0 0 %d\r\n%b\r\n" % (len(secret), secret))
        reply = b""
        while not reply.endswith(b"\n") and len(reply) < _LONGEST_REPLY:
            part = connection.recv(_LONGEST_REPLY)
            if not part:
                raise ConnectionError("closed by the server")
            reply += part
        if reply != b"STORED\r\n":
            refused = refusal(reply.strip())
            known = refused is not None and refused.code == TEXT_LOGIN
            raise CommandFailed(AUTHENTICATION_FAILURE if known else READ_FAILURE)
        greet(connection, timeout)


PLAIN: Final = Opening()


def open_socket(server: str, timeout: float) -> socket.socket:
    """Return a connection to ``host:port`` or a path, on which waiting has no limit.

    :param timeout: bound on looking up and connecting, in seconds.
    :raises CommandFailed: there is none.
    """
    try:
        if server.startswith("/"):
            return _open_path(server, max(0.001, timeout))
        host, _, port = server.rpartition(":")
        return names.connect(host, int(port), max(0.001, timeout))
    except OSError as error:
        raise failed(error, CONNECTION_FAILURE) from error


def _open_path(path: str, timeout: float) -> socket.socket:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.settimeout(timeout)
        connection.connect(path)
        connection.settimeout(None)
        stack.pop_all()
        return connection


def failed(error: Exception, code: int, *, sent: bool = False) -> CommandFailed:
    """Return what an error of a connection is.

    :param code: what it is where the error does not say.
    """
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, names.NotLookedUp):
        return CommandFailed(NOT_LOOKED_UP, sent=sent)
    if isinstance(error, socket.gaierror):
        return CommandFailed(NO_NAME, sent=sent)
    # A wait that was too long ends as BlockingIOError, connecting as TimeoutError.
    if isinstance(error, TimeoutError | BlockingIOError):
        return CommandFailed(TIMEOUT, sent=sent)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) and code != TLS_FAILED:
        return CommandFailed(code, sent=sent)
    if isinstance(error, ssl.SSLError) or code == TLS_FAILED:
        said = getattr(error, "verify_message", "") or getattr(error, "reason", "")
        return CommandFailed(TLS_FAILED, sent=sent, text=str(said or error)[:200])
    return CommandFailed(code, sent=sent)
