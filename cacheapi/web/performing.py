"""Several different operations in one request: they are done, and what is said of each.

How large a value is is known only once it is here. So a key that is read and no more is read
first, by steps that are bounded in bytes, and where that is too much for an answer nothing is
done yet. Of what else brings values as much is done as has room in an answer; the rest is not
tried, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from backends.base import MISSING
from backends.errors import BackendError, Failed, NotRead, Refused, Unavailable
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Operation,
    not_tried,
)
from cacheapi.caching.codec import Text, Value, encode, entry_text, string_text
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.web.batch import MAX_ANSWER, read_many, too_large
from cacheapi.web.errors import ApiError, absent, answer_to, note, nothing_to_count
from cacheapi.web.large import LARGE, Turn

# What counts as a read.
_READS: Final = frozenset({Get, GetAndDelete, Exists})
# An absent key is an answer to these, and no reason not to do them.
_SAY_WHETHER: Final = frozenset({Get, GetAndDelete, Exists, Delete})
_MEBIBYTES: Final = MAX_ANSWER // (1024 * 1024)


def perform(cache: CacheService, operations: Sequence[Operation], turn: Turn) -> list[Any]:
    """Do operations, those of one key in order; return an outcome each, as the service's.

    After the backend is gone it is waited for no more.

    :param turn: waited for before much is read.
    :raises ApiError: 400; the values are too much for one answer, and nothing was done.
    """
    outcomes: list[Any] = [None] * len(operations)
    size = 0
    for index, outcome in _read_first(cache, operations, turn):
        outcomes[index] = outcome
        size += _size(outcome)
    if size > MAX_ANSWER and len(operations) > 1:
        raise too_large()
    left = [index for index, outcome in enumerate(outcomes) if outcome is None]
    gone = _is_gone(outcomes)
    while left and not gone:
        most = MAX_ANSWER - size if turn.is_ours else min(LARGE, MAX_ANSWER - size)
        done = cache.perform([operations[index] for index in left], most)
        unread: list[int] = []
        for index, outcome in zip(left, done, strict=True):
            if isinstance(outcome, NotRead):
                unread.append(index)
                outcome = _not_tried()
            outcomes[index] = outcome
        size += sum(map(_size, done))
        gone = _is_gone(done)
        left = [] if turn.is_ours else unread
        if not turn.take(max(size, LARGE + 1) if left else size):
            turn.wait()
    for index in left:
        outcomes[index] = not_tried()
    return outcomes


def _read_first(
    cache: CacheService, operations: Sequence[Operation], turn: Turn
) -> Iterator[tuple[int, Any]]:
    """Read what is read and no more; yield the outcomes, by index."""
    others = {made.key for made in operations if type(made) is not Get}
    indexes = [index for index, made in enumerate(operations) if made.key not in others]
    if not indexes:
        return
    keys = list(dict.fromkeys([operations[index].key for index in indexes]))
    try:
        found: dict[str, Value | BackendError] = read_many(cache, keys, turn)
    except Failed as error:
        found = dict.fromkeys(keys, error)
    except BackendError:
        # It cannot tell which of them it is about.
        return
    for index in indexes:
        yield index, found.get(operations[index].key, MISSING)


def _size(outcome: Any) -> int:
    return len(outcome.json) if isinstance(outcome, Value) else 0


def _is_gone(outcomes: Sequence[Any]) -> bool:
    return any(isinstance(one, Unavailable) and not one.apart for one in outcomes)


def _not_tried() -> Refused:
    return Refused(
        f"Not tried: the values before it have more than {_MEBIBYTES} MiB together; send it in a "
        "request of its own."
    )


def performed_text(
    operations: Sequence[Operation], outcomes: Sequence[Any], shown: Callable[[str], str]
) -> str:
    """Return the JSON text about operations that the backend did, or had reasons not to.

    :param shown: returns what the caller may know of a message.
    :raises ApiError: 500; it failed at one at least, and what became of each.
    """
    texts = [outcome_text(*each, shown) for each in zip(operations, outcomes, strict=True)]
    reads = [
        outcome is not MISSING and outcome is not False
        for made, outcome in zip(operations, outcomes, strict=True)
        if type(made) in _READS and not isinstance(outcome, BackendError)
    ]
    facts().read(sum(reads), len(reads))
    text = f'{{"resource":[{",".join(texts)}]}}'
    failure = failure_of(outcomes)
    if failure is None:
        return text
    note(failure)
    raise ApiError(500, str(failure), context=Text(text), headers=answer_to(failure).headers)


def failure_of(outcomes: Sequence[Any]) -> Failed | None:
    """Return what the backend failed at, if it did.

    What was read first may come last; the reason is what the others were not tried for.
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    untried = str(not_tried())
    return next((one for one in failures if str(one) != untried), next(iter(failures), None))


def outcome_text(made: Operation, outcome: Any, shown: Callable[[str], str]) -> str:
    """Return the JSON text about one operation.

    :param shown: as of :func:`performed_text`.
    """
    key = made.key
    if isinstance(outcome, Value):
        return f'{entry_text(key, outcome)[:-1]},"success":true,"exists":true}}'
    if isinstance(outcome, BackendError):
        status = answer_to(outcome).status
        message = shown(str(outcome)) if isinstance(outcome, Failed) else str(outcome)
        return _refused(key, status, message)
    there = outcome is not MISSING and outcome is not False
    if type(made) in _SAY_WHETHER:
        told = f',"exists":{encode(there)}'
    elif type(outcome) is int:
        told = f',"value":{outcome}'
    elif there:
        told = ""
    elif type(made) is Add:
        return _refused(key, 400, f"Key '{key}' exists already.", exists=True)
    else:
        error = nothing_to_count(key) if type(made) is Increment else absent(key)
        return _refused(key, 404, error.message, exists=False)
    return f'{{"key":{string_text(key)},"success":true{told}}}'


def _refused(key: str, code: int, message: str, **more: bool) -> str:
    return encode({"key": key, "success": False, **more, "code": code, "message": message})
