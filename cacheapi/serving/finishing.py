"""The answers to acts, once the outcomes of their operations are known.

Each function takes an act and those outcomes, and returns the status and the size of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.base import MISSING
from backends.errors import BackendError, Failed, WrongType
from cacheapi.caching.codec import Value, encode, entry_text, string_text
from cacheapi.caching.pairs import KeyExists
from cacheapi.serving.answers import Act, Answered, answer_error, answer_json, tag_field
from cacheapi.web.batch import outcomes_text
from cacheapi.web.errors import ApiError, absent, answer, answer_to, note, nothing_to_count


def replace(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer an update."""
    if not _known(outcomes[0]):
        return answer_error(act, absent(act.keys[0]))
    return _done(act, 200, act.tag)


def add(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer a creation."""
    if not _known(outcomes[0]):
        return answer_error(act, answer(KeyExists(act.keys[0])))
    return _done(act, 201, act.tag)


def delete(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer a deletion."""
    if not _known(outcomes[0]):
        return answer_error(act, absent(act.keys[0]))
    return _done(act, 200)


def deletions(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer the deletion of a list."""
    return answer_json(act, 200, outcomes_text(act.keys, outcomes))


def count(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer a count."""
    key, number = act.keys[0], _known(outcomes[0])
    if number is MISSING:
        return answer_error(act, nothing_to_count(key))
    value = Value(str(number))
    return answer_json(act, 200, entry_text(key, value), _tag(value) if act.tells else "")


def touch(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer a new lifetime; its value was read before."""
    found, touched = outcomes
    if isinstance(touched, BackendError):
        # What the view would meet first.
        _known(found)
    if not _known(touched) or found is MISSING:
        return answer_error(act, absent(act.keys[0]))
    return _done(act, 200, _tag(found) if act.tells and isinstance(found, Value) else "")


def read(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer a read, or a read that deletes."""
    key, value = act.keys[0], _known(outcomes[0])
    act.hit = value is not MISSING
    if value is not MISSING:
        return answer_json(act, 200, entry_text(key, value), _tag(value))
    if act.default is None:
        return answer_error(act, absent(key))
    return answer_json(act, 200, entry_text(key, act.default))


def exists(act: Act, outcomes: Sequence[Any]) -> Answered:
    """Answer whether a key is there."""
    key, found = act.keys[0], outcomes[0]
    value = None if found is MISSING or isinstance(found, WrongType) else _known(found)
    act.hit = found is not MISSING
    text = encode({"key": key, "exists": found is not MISSING})
    return answer_json(act, 200, text, "" if value is None else _tag(value))


def _known(outcome: Any) -> Any:
    """Return an outcome; raise the answer about one that is an error."""
    if outcome is True:
        return outcome
    if isinstance(outcome, BackendError):
        if isinstance(outcome, Failed):
            note(outcome)
        raise answer_to(outcome)
    if isinstance(outcome, ApiError):
        raise outcome
    return outcome


def _done(act: Act, status: int, tag: str = "") -> Answered:
    text = f'{{"key":{string_text(act.keys[0])},"success":true}}'
    return answer_json(act, status, text, tag)


def _tag(value: Value) -> str:
    return tag_field(value.etag)
