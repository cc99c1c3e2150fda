"""A request as HTTP has it, and what its reply says of each key, held to the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from tests.http.client import Answer as Reply
from tests.soak.operations import (
    DONE,
    EXISTS,
    MISSING,
    PRESENT,
    REFUSED,
    UNMET,
    Answer,
    Operation,
)
from tests.support.live import CACHE

# A default that no value is.
ABSENT = "there-is-none"

Wishes = list[tuple[str, Operation]]


class Call(NamedTuple):
    """A request: what it wishes of which keys, and how that is said in HTTP."""

    wishes: Wishes
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] | None = None

    def __str__(self) -> str:
        wishes = ", ".join(f"{key}: {wish}" for key, wish in self.wishes)
        return f"{self.method} {self.path} [{wishes}]"


def path_of(key: str) -> str:
    """Return the path of a key."""
    return f"{CACHE}/{quote(key, safe='')}"


def path_of_many(keys: Sequence[str]) -> str:
    """Return the path of several keys."""
    return f"{CACHE}?{urlencode({'keys': ','.join(keys)})}"


def answers_of(call: Call, reply: Reply) -> Sequence[Answer | None]:
    """Return what the service said of each key.

    :raises ValueError: it is not what the contract says; so are other exceptions.
    """
    status, wishes = reply.status, call.wishes
    if call.method == "HEAD":
        # Without a body a 500 says nothing either.
        return [{200: PRESENT, 404: MISSING, 500: None}[status]]
    document = reply.json
    if status == 500:
        error = document["error"]
        listed = (error["context"] or {}).get("resource")
        if listed is not None:
            return _outcomes(wishes, listed)
        return [_failure(wish, error["message"]) for _, wish in wishes]
    if not call.path.startswith(f"{CACHE}/"):
        if call.method == "GET" and status == 200:
            return _entries(wishes, document)
        if (call.method, status) in (("POST", 201), ("DELETE", 200)):
            return _outcomes(wishes, document["resource"])
        raise ValueError("not a status of a batch")
    (key, wish), *_ = wishes
    if status == 404 and document["error"]["message"].startswith(f"Key '{key}' does not exist."):
        return [MISSING]
    if status == 412:
        return [UNMET]
    if status == 400 and wish.verb == "add" and "exists already" in document["error"]["message"]:
        return [EXISTS]
    if status != (201 if wish.verb == "add" else 200) or document["key"] != key:
        raise ValueError("not a status of this request")
    if wish.verb == "look":
        return [PRESENT if document["exists"] is True else MISSING]
    if wish.verb == "get" and document["value"] == ABSENT:
        return [MISSING]
    if wish.verb in ("get", "pull", "count"):
        return [Answer("value", document["value"])]
    return [DONE] if document["success"] is True else [None]


def _entries(wishes: Wishes, document: Any) -> list[Answer | None]:
    found = {one["key"]: one["value"] for one in document["resource"]}
    missing = set(document["meta"]["missing"])
    if found.keys() & missing or found.keys() | missing != {key for key, _ in wishes}:
        raise ValueError("the keys are not those that were asked for")
    return [Answer("value", found[key]) if key in found else MISSING for key, _ in wishes]


def _outcomes(wishes: Wishes, listed: Any) -> list[Answer | None]:
    if [one["key"] for one in listed] != [key for key, _ in wishes]:
        raise ValueError("the keys are not those that were asked for")
    return [
        _failure(wish, one["message"])
        if "message" in one
        else DONE
        if one["success"] is True
        else MISSING
        for (_, wish), one in zip(wishes, listed, strict=True)
    ]


def _failure(wish: Operation, message: str) -> Answer | None:
    """Return what a failure says: whoever does not know whether a write was done says so."""
    return None if not wish.writes or "is unknown" in message else REFUSED
