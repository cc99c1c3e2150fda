"""What a service elsewhere says no with, in the words of the command line.

Its API speaks of parameters and of items of lists, which nobody has written at a shell.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from backends.capabilities import Capability
from backends.errors import InvalidKey, Unsupported
from cacheapi.commands.failures import Exit, Failure
from cacheapi.registry.errors import Fault, Invalid

_CODES: Final = {400: Exit.USAGE, 404: Exit.NO, 409: Exit.NO, 412: Exit.NO, 413: Exit.USAGE}
# What the API says, with what to do over HTTP behind it.
_CANNOT_LIST: Final = re.compile(
    rf"(.+?) cannot {Capability.LIST_KEYS.value}(?:: (.+?))?\.(?: .*)?"
)


class _Fault(msgspec.Struct):
    message: str
    field: str | None = None
    index: int | None = None


class _Context(msgspec.Struct):
    reason: str = ""
    errors: list[_Fault] = []


class _Error(msgspec.Struct):
    message: str
    context: msgspec.Raw = msgspec.Raw(b"null")


class _Refusal(msgspec.Struct):
    error: _Error


class Refused(Failure):
    """The service has said no.

    :param answer: what it said.
    :ivar status: of its answer.
    """

    def __init__(self, status: int, message: str, answer: bytes = b"") -> None:
        # An unknown service is wrong use, as it is on the machine itself.
        is_key = message.startswith(("Key ", "API key "))
        code = Exit.USAGE if status == 404 and not is_key else _CODES.get(status, Exit.FAILED)
        super().__init__(message, code)
        self.status = status
        self._answer = answer

    @property
    def done(self) -> bytes | None:
        """What became of each operation, as JSON, where one of several failed."""
        context = self._context
        return context if context.startswith(b"{") else None

    @property
    def reason(self) -> str:
        """What a 404 is about, for programs; empty: it does not say."""
        return self._about.reason

    @property
    def plain(self) -> Exception:
        """What is raised on the machine itself for the same, as far as it is about what was given.

        There a key is no item of a list.
        """
        first = next(iter(self._about.errors), None)
        cannot = _CANNOT_LIST.fullmatch(str(self)) if self.status == 400 else None
        if cannot is not None:
            return Unsupported(cannot[1], Capability.LIST_KEYS, cannot[2] or "")
        if first is None:
            return self
        if first.field == "key":
            return InvalidKey(first.message)
        return Invalid([Fault(first.message, first.field)])

    @property
    def _context(self) -> bytes:
        try:
            return bytes(msgspec.json.decode(self._answer, type=_Refusal).error.context)
        except (ValueError, RecursionError):
            return b""

    @property
    def _about(self) -> _Context:
        try:
            return msgspec.json.decode(self._context, type=_Context)
        # It may be null, or that of another version.
        except (ValueError, RecursionError):
            return _Context()


def message_of(answer: bytes) -> str | None:
    """Return what an answer says is wrong; ``None``: it is none of this API."""
    try:
        return msgspec.json.decode(answer, type=_Refusal).error.message
    except (ValueError, RecursionError):
        return None
