"""What can be wrong with a change of services and API keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cacheapi.slips import did_you_mean


class Fault(NamedTuple):
    """One thing that is wrong: with which item of a list, and which field of it."""

    message: str
    field: str | None = None
    item: int | None = None


def no_field(name: str, known: Iterable[str]) -> Fault:
    """Return the fault that there is no such field; it says which there are."""
    known = tuple(known)
    hint = did_you_mean(name, known)
    return Fault(f"There is no such field; there are {', '.join(known)}.{hint}", name)


class Invalid(Exception):
    """A description that nothing can be made of; nothing was changed."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


class NotFound(Exception):
    """There is no such service or API key; ``str()`` is a sentence."""


class ReadOnly(Exception):
    """The service is from another source and is changed there; ``str()`` is a sentence."""


class RegistryUnavailable(Exception):
    """The database cannot be reached now; what it last said stays in force."""

    def __init__(self) -> None:
        super().__init__(
            "The database of services and API keys cannot be reached; nothing was changed."
        )


class Conflict(Exception):
    """Two sources have a service of the same name; one line names them."""
