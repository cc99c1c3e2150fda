"""What libmemcached's return codes mean, and what a server's own words do.

Any line of the protocol that says no (protocol.txt, "Error strings") is an answer, known
here or not: the server is well, and its words are told. Only silence, a connection that
breaks and what is no line of the protocol are failures of the server.
"""

from __future__ import annotations

import re
from typing import Final

from backends.errors import (
    AuthenticationFailed,
    Failed,
    LoginNotSent,
    NotNow,
    OutOfMemory,
    Timeout,
    Unavailable,
    ValueTooLarge,
)
from backends.names import UNKNOWN_NAME

# Return codes of libmemcached 1.0, libmemcached-1.0/types/return.h
SUCCESS: Final = 0
CONNECTION_FAILURE: Final = 3
READ_FAILURE: Final = 7
CLIENT_ERROR: Final = 9
SERVER_ERROR: Final = 10
NOT_FOUND: Final = 16
TIMEOUT: Final = 31
TOO_BIG: Final = 37
# No login was sent: its mechanism is missing here, or the server does not offer it.
NO_MECHANISM: Final = 40
AUTHENTICATION_FAILURE: Final = 41
OUT_OF_MEMORY_STORING: Final = 48
OUT_OF_MEMORY: Final = {17, OUT_OF_MEMORY_STORING}
# Codes of our own, beside libmemcached's.
NO_LOGINS: Final = 1001
TEXT_LOGIN: Final = 1002
CLOSED_AT_ONCE: Final = 1003
OTHER_SERVER: Final = 1004
NOT_LOOKED_UP: Final = 1005
NO_NAME: Final = 1006
MOST_CLIENTS: Final = 1007
NO_IPV6: Final = 1008
BEHIND_PROXY: Final = 1009
OTHER_IS_DOWN: Final = 1010
TLS_FAILED: Final = 1011
# A login that does not go together is a mistake in the settings, which no other server mends.
AUTHENTICATION: Final = {
    39,
    NO_MECHANISM,
    AUTHENTICATION_FAILURE,
    42,
    NO_LOGINS,
    TEXT_LOGIN,
}
# The command was not sent: the server was known to be down.
NEVER_SENT: Final = {2, 35, 47}
# The server answered in full; it will not do what it was asked.
_ANSWERED: Final = {
    *(CLIENT_ERROR, SERVER_ERROR, NOT_FOUND, TOO_BIG, *OUT_OF_MEMORY),
    *(BEHIND_PROXY, OTHER_IS_DOWN),
}

_REFUSALS: Final = (b"SERVER_ERROR", b"CLIENT_ERROR", b"ERROR")
_FULL: Final = b"ERROR Too many open connections"
# What a server says that wants a login by text (memcached's -Y), to whatever it is sent.
_LOGIN_WANTED: Final = (
    b"CLIENT_ERROR unauthenticated",
    b"CLIENT_ERROR authentication failure",
    b"CLIENT_ERROR bad authentication token format",
)
# As memcached 1.6 words it; it has two texts for being full.
_NO_MEMORY = re.compile(rb"SERVER_ERROR out of memory", re.IGNORECASE)
_TOO_LARGE: Final = b"SERVER_ERROR object too large for cache"
# twemproxy's words for a server behind it that is down: the system's.
_OTHER_IS_DOWN = re.compile(
    rb"SERVER_ERROR (Connection (refused|reset|timed out)|Host is|No route|Network is)"
)
_LONGEST_TOLD: Final = 200


class CommandFailed(Exception):
    """A command of memcached did not succeed.

    :param text: what the server said, if it is worth telling.
    :param detail: what libmemcached says of it, with hosts and files: for the log alone.
    :ivar code: libmemcached's, or one of our own.
    :ivar answered: the server said so itself, and is well.
    :ivar sent: if it did not, the command may have been done.
    :ivar harmless: it may be sent again all the same.
    """

    def __init__(
        self,
        code: int,
        *,
        reading: bool = False,
        sent: bool = False,
        text: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(detail or f"libmemcached error {code}")
        self.code = code
        self.text = text
        # libmemcached gives these for a reply to a read that was not whole, too.
        self.answered = code in _ANSWERED and not reading
        self.sent = sent and code not in NEVER_SENT
        self.harmless = False


def refusal(line: bytes) -> CommandFailed | None:
    """Return what a line means that says no; ``None`` for any other line.

    :param line: without its end.
    """
    if not line.startswith(_REFUSALS):
        return None
    text = line[:_LONGEST_TOLD].decode("ascii", "replace").strip()
    if line.startswith(_FULL):
        # It closes the connection then, and has taken in nothing of what was sent.
        return CommandFailed(MOST_CLIENTS, text=text)
    if line.startswith(_LOGIN_WANTED):
        return CommandFailed(TEXT_LOGIN, text=text)
    if line == _TOO_LARGE:
        return CommandFailed(TOO_BIG, text=text)
    if _NO_MEMORY.match(line):
        return CommandFailed(OUT_OF_MEMORY_STORING, text=text)
    if _OTHER_IS_DOWN.match(line):
        return CommandFailed(OTHER_IS_DOWN, text=text)
    is_ours = line.startswith((b"CLIENT_ERROR", b"ERROR"))
    return CommandFailed(CLIENT_ERROR if is_ours else SERVER_ERROR, text=text)


def failure(failed: CommandFailed, place: str, *, sent: bool) -> Failed:
    """Return the backend error for a command that failed.

    :param place: the servers, as a message names them.
    :param sent: the command may have made its change all the same.
    """
    code, text = failed.code, failed.text
    unknown = " Whether the change was made is unknown." if sent else ""
    if code == NOT_LOOKED_UP:
        cause = "The name servers do not answer in time, so the host of the service has no address."
        return Timeout(
            f"Connection timed out: the name of {place} was not looked up in time.{unknown}", cause
        )
    if code == TIMEOUT:
        return Timeout(f"Connection timed out: {place} did not answer in time.{unknown}")
    if code in AUTHENTICATION:
        return _login_failure(code, place, text)
    if code in OUT_OF_MEMORY:
        text = text or "SERVER_ERROR out of memory storing object"
        return OutOfMemory(f"{text}: {place} is full.")
    if code == TOO_BIG:
        return ValueTooLarge(
            f"SERVER_ERROR object too large for cache: {place} takes no value of this size "
            "(memcached's -I). A value stored under this key before may be gone."
        )
    if code == MOST_CLIENTS:
        cause = "The server has its most clients: raise its limit (memcached's -c), or find who "
        return NotNow(
            f"Connection refused: {place} says {text!r}.{unknown}",
            f"{cause}holds so many connections.",
        )
    if code == OTHER_SERVER:
        return Unavailable(
            f"Connection refused: what answers as {place} {text}.{unknown}",
            f"What answers there {text}: are host and port those of memcached?",
        )
    if code == OTHER_IS_DOWN:
        down = Unavailable(
            f"{text}: {place} is a proxy, and says so of its server for this key.{unknown}",
            "A server behind the proxy is down; the keys of the others are served.",
        )
        down.apart = True
        return down
    if code == TLS_FAILED:
        return Unavailable(
            f"TLS failed: {place} and this service do not accept each other ({text}).{unknown}",
            f"TLS failed ({text}): does the server speak it there (memcached's -Z)? See "
            "MEMCACHED_TLS_CA, and MEMCACHED_TLS_CERT where it wants a certificate.",
        )
    if code == CLOSED_AT_ONCE:
        return Unavailable(
            f"Connection lost: {place} takes connections and closes them at the first words."
            f"{unknown}",
            "The server takes connections and closes them at the first words: it wants TLS "
            "(memcached's -Z: set MEMCACHED_TLS=true), or a login (-S: set user name and "
            "password), or it is a proxy without a server.",
        )
    if code == READ_FAILURE:
        return Unavailable(
            f"Connection lost: {place} took the connection, and then broke it off or answered "
            f"what is no answer.{unknown}",
            "The server takes connections, but breaks them off or answers what is no answer: was "
            "it restarted, does something between cut connections, is it memcached at all?",
        )
    if code == NO_IPV6:
        cause = "With a login (SASL) memcached is reached by IPv4 alone: libmemcached has no other."
        return Unavailable(f"Connection refused: {place} has an IPv6 address. {cause}", cause)
    if code == NO_NAME:
        return Unavailable(
            f"Connection refused: the name of {place} is not known.{unknown}",
            UNKNOWN_NAME,
        )
    if failed.answered:
        text = text or ("CLIENT_ERROR" if code == CLIENT_ERROR else "SERVER_ERROR")
        return Failed(f"{text}: {place} answered so.", f"The server refuses: {text}.")
    return Unavailable(f"Connection refused: {place} cannot be reached.{unknown}")


def _login_failure(code: int, place: str, text: str) -> Failed:
    if code == TEXT_LOGIN:
        cause = (
            "The server wants a login by text (memcached's -Y): set MEMCACHED_AUTH=text, user name "
            "and password."
        )
        return LoginNotSent(f"Authentication failed: {place} says {text!r}. {cause}", cause)
    if code == NO_LOGINS:
        option = text or "-S"
        cause = (
            f"The server takes no logins (memcached without {option}): take user name and password "
            f"out of the service, or start it with {option}."
        )
        return LoginNotSent(f"Authentication failed: no login was sent to {place}. {cause}", cause)
    if code == NO_MECHANISM:
        return LoginNotSent(
            f"Authentication failed: no login was sent to {place}; either the SASL plugin 'plain' "
            "(package libsasl2-modules) is missing here, or the server does not offer it."
        )
    return AuthenticationFailed(
        f"Authentication failed: {place} refused the configured user name or password."
    )
