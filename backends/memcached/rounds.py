"""In which order operations on memcached go: few round trips, and the outcomes of one by one.

They go in rounds. In a round are sent all changes at once, then all reads, then what is taken,
then all counts: a count is one command of the server, but what it is to count on is looked at
before, among the reads, where others may have written it. Where a key is read and changed behind
that, reads that nothing goes before are sent first. An operation that its key's earlier ones would
not let come in that order begins the next round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from backends.operations import Exists, Get, GetAndDelete, Increment, Operation

# The steps of a round, in order.
_EARLY, _CHANGES, _READS, _TAKES, _COUNTS = range(5)
# In which an operation is done; what is not named here is a change.
STEPS: Final[Mapping[type, int]] = {
    Get: _READS,
    Exists: _READS,
    GetAndDelete: _TAKES,
    Increment: _COUNTS,
}


def rounds_of(keys: Sequence[bytes], operations: Sequence[Operation]) -> list[list[list[int]]]:
    """Return the operations of each step of each round, by their indexes.

    :param keys: of the operations, as the server knows them.
    """
    rounds = [_new_round()]
    last: dict[bytes, int] = {}
    reads = _EARLY if _changes_what_was_read(keys, operations) else _READS
    for index, (key, operation) in enumerate(zip(keys, operations, strict=True)):
        step = STEPS.get(type(operation), _CHANGES)
        before = last.get(key, _EARLY)
        # What is counted on is read before something is taken.
        if before > step or (before == _TAKES and step >= _TAKES):
            rounds.append(_new_round())
            last.clear()
            before = _EARLY
        if step == _READS and before == _EARLY:
            step = reads
        last[key] = step
        rounds[-1][step].append(index)
    return rounds


def _changes_what_was_read(keys: Sequence[bytes], operations: Sequence[Operation]) -> bool:
    read: set[bytes] = set()
    for key, operation in zip(keys, operations, strict=True):
        step = STEPS.get(type(operation), _CHANGES)
        if step == _READS:
            read.add(key)
        elif step == _CHANGES and key in read:
            return True
    return False


def _new_round() -> list[list[int]]:
    return [[], [], [], [], []]
