"""What libmemcached's return codes mean."""

from __future__ import annotations

from typing import Final

from backends.errors import (
    AuthenticationFailed,
    Failed,
    LoginNotSent,
    OutOfMemory,
    Timeout,
    Unavailable,
    ValueTooLarge,
)

# Return codes of libmemcached 1.0, libmemcached-1.0/types/return.h
SUCCESS: Final = 0
CONNECTION_FAILURE: Final = 3
READ_FAILURE: Final = 7
CLIENT_ERROR: Final = 9
NOT_FOUND: Final = 16
TIMEOUT: Final = 31
TOO_BIG: Final = 37
# No login was sent: its mechanism is missing here, or the server does not offer it.
NO_MECHANISM: Final = 40
AUTHENTICATION: Final = {39, NO_MECHANISM, 41, 42}
OUT_OF_MEMORY_STORING: Final = 48
OUT_OF_MEMORY: Final = {17, OUT_OF_MEMORY_STORING}
# The command was not sent: the server was known to be down.
NEVER_SENT: Final = {2, 35, 47}
# The server answered in full; it will not do what it was asked.
_ANSWERED: Final = {CLIENT_ERROR, NOT_FOUND, TOO_BIG, *OUT_OF_MEMORY}


class CommandFailed(Exception):
    """A command of memcached did not succeed.

    :ivar code: libmemcached's.
    :ivar answered: the server said so itself, and the connection is well.
    :ivar sent: if it did not, the command may have been done.
    :ivar harmless: it may be sent again all the same.
    """

    def __init__(self, code: int, *, reading: bool = False, sent: bool = False) -> None:
        super().__init__(f"libmemcached error {code}")
        self.code = code
        # A server refuses no read: there, every error is a reply that was not whole.
        self.answered = code in _ANSWERED and not reading
        self.sent = sent and code not in NEVER_SENT
        self.harmless = False


def failure(code: int, place: str, *, sent: bool) -> Failed:
    """Return the backend error for a code of libmemcached.

    :param place: the servers, as a message names them.
    :param sent: the command may have made its change all the same.
    """
    unknown = " Whether the change was made is unknown." if sent else ""
    if code == TIMEOUT:
        return Timeout(f"Connection timed out: {place} did not answer in time.{unknown}")
    if code == NO_MECHANISM:
        return LoginNotSent(
            f"Authentication failed: no login was sent to {place}; either the SASL plugin 'plain' "
            "(package libsasl2-modules) is missing here, or the server does not offer it."
        )
    if code in AUTHENTICATION:
        return AuthenticationFailed(
            f"Authentication failed: {place} refused the configured user name or password."
        )
    if code in OUT_OF_MEMORY:
        return OutOfMemory(f"SERVER_ERROR out of memory storing object: {place} is full.")
    if code == TOO_BIG:
        return ValueTooLarge(
            f"SERVER_ERROR object too large for cache: {place} takes no value of this size "
            "(memcached's -I). A value stored under this key before may be gone."
        )
    return Unavailable(f"Connection refused: {place} cannot be reached.{unknown}")
