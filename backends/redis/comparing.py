"""Writes that depend on the stored value: one command where the server has it, else a script.

Valkey 9 has ``SET … IFEQ`` and ``DELIFEQ``, Redis 8.4 the first. Which a server has is found out
by what it answers, never by its version: a refused one has done nothing, and the script follows.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

import redis

from backends.errors import BackendError, NotPermitted, WrongType
from backends.redis.errors import CLOSED
from backends.redis.script import COMPARE_AND_DELETE, COMPARE_AND_SET

if TYPE_CHECKING:
    from backends.redis.client import Client

# How long a server that lacks a command is not asked for it again; it may be upgraded.
LACKING_SECONDS: Final = 60.0
_UNKNOWN: Final = ("syntax error", "unknown command")


class Compared:
    """Both writes, for all threads.

    :param client: what sends commands and scripts.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._set_lacks_until = 0.0
        self._delete_lacks_until = 0.0
        # A proxy closes the connection at a command that it does not know, so that nobody would
        # know what became of the first one: it is tried before on what changes nothing.
        self._delete_is_known = False

    def set(self, key: bytes, token: bytes, value: bytes, milliseconds: int | None) -> bool:
        """Store if the value is still ``token``; return whether it was.

        :param milliseconds: its lifetime; ``None`` for ever.
        """
        if time.monotonic() >= self._set_lacks_until:
            lifetime = () if milliseconds is None else ("PX", milliseconds)
            try:
                reply = self._client.run("SET", key, value, "IFEQ", token, *lifetime)
            except BackendError as error:
                if not _is_lacking(error):
                    raise
                self._set_lacks_until = time.monotonic() + LACKING_SECONDS
            else:
                return reply is not None
        left = "" if milliseconds is None else milliseconds
        return bool(self._client.run_script(COMPARE_AND_SET, key, token, value, left))

    def delete(self, key: bytes, token: bytes) -> bool:
        """Delete if the value is still ``token``; return whether it was."""
        if self._has_delete(key):
            try:
                return bool(self._client.run("DELIFEQ", key, token))
            except BackendError as error:
                if not _is_lacking(error):
                    raise
                self._lack_delete()
        return bool(self._client.run_script(COMPARE_AND_DELETE, key, token))

    def _has_delete(self, key: bytes) -> bool:
        if self._delete_is_known or time.monotonic() < self._delete_lacks_until:
            return self._delete_is_known
        try:
            self._client.run("DELIFEQ", key, secrets.token_bytes(16))
        except WrongType:
            pass
        except BackendError as error:
            if not (_is_lacking(error) or CLOSED in str(error.__cause__)):
                raise
            self._lack_delete()
            return False
        self._delete_is_known = True
        return True

    def _lack_delete(self) -> None:
        self._delete_is_known = False
        self._delete_lacks_until = time.monotonic() + LACKING_SECONDS


def _is_lacking(error: BackendError) -> bool:
    """Return whether a command was refused that the server lacks, or the user may not use."""
    if isinstance(error, NotPermitted):
        # Unless not even the login was taken.
        return error.apart
    said = str(error.__cause__) if isinstance(error.__cause__, redis.ResponseError) else ""
    return any(words in said for words in _UNKNOWN)
