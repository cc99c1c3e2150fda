"""What a request does to one key, as a pure function: the contract, in one table."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, NamedTuple


class Lease(NamedTuple):
    """When a lifetime ends: not before ``early``, not after ``late``."""

    early: float
    late: float


class State(NamedTuple):
    """A value that a key may have; ``None`` in its place is a key that is not there."""

    value: str | int
    lease: Lease | None = None


class Answer(NamedTuple):
    """What the service said of one key."""

    word: str
    value: Any = None

    def __str__(self) -> str:
        return self.word if self.value is None else f"{self.word} {brief(self.value)}"


DONE: Final = Answer("done")
MISSING: Final = Answer("missing")
PRESENT: Final = Answer("present")
EXISTS: Final = Answer("exists already")
UNMET: Final = Answer("condition not met")
# A failure that does not say that its outcome is unknown.
REFUSED: Final = Answer("failed, and did nothing")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One request's wish for one key.

    :ivar verb: ``get``, ``look`` (HEAD, or a listing), ``set`` (POST of a batch), ``add``
        (POST of a key), ``create`` (PUT with ``If-None-Match: *``), ``put``, ``swap`` (PUT with
        ``If-Match``), ``touch``, ``count``, ``delete``, ``drop`` (DELETE with ``If-Match``) or
        ``pull`` (GET that deletes).
    :ivar value: what to store; the step of a count.
    :ivar ttl: in seconds; ``None`` for the default, which no run lives to see.
    :ivar initial: the number that a count begins with; ``None``: it creates nothing.
    :ivar known: the value that ``etag`` is the tag of.
    """

    verb: str
    value: Any = None
    ttl: int | None = None
    initial: int | None = None
    known: Any = None
    etag: str = ""

    @property
    def writes(self) -> bool:
        return self.verb not in ("get", "look")

    def __str__(self) -> str:
        parts = [self.verb, *(brief(one) for one in (self.value, self.known) if one is not None)]
        parts += [f"ttl {self.ttl}"] if self.ttl is not None else []
        parts += [f"from {self.initial}"] if self.initial is not None else []
        return " ".join(parts)


def outcome(
    wish: Operation, state: State | None, lease: Lease | None
) -> tuple[State | None, Answer]:
    """Return what becomes of a key in this state, and the answer.

    :param lease: the lifetime of what is stored now.
    """
    stored = State(wish.value, lease)
    unlike = state is None or state.value != wish.known
    match wish.verb:
        case "set":
            return stored, DONE
        case "add":
            return (stored, DONE) if state is None else (state, EXISTS)
        case "create":
            return (stored, DONE) if state is None else (state, UNMET)
        case "swap":
            return (state, UNMET) if unlike else (stored, DONE)
        case "drop":
            return (state, UNMET) if unlike else (None, DONE)
    if state is None:
        if wish.verb == "count" and wish.initial is not None:
            return State(wish.initial, lease), Answer("value", wish.initial)
        return None, MISSING
    match wish.verb:
        case "get":
            return state, Answer("value", state.value)
        case "look":
            return state, PRESENT
        case "put":
            return stored, DONE
        case "touch":
            return State(state.value, lease), DONE
        case "count":
            number = int(state.value) + wish.value
            return State(number, state.lease), Answer("value", number)
        case "delete":
            return None, DONE
        case "pull":
            return None, Answer("value", state.value)
    raise ValueError(wish.verb)


def brief(value: Any) -> str:
    """Return a value as a line of a report can have it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:30]}…({len(text)})"
