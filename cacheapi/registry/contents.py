"""What is done to much of what a service holds, each with its line in the audit log.

The API, the console and the program do it here: so the log has the same of each, and what is
noted is decided once. What is done to keys by name is not noted: that is what a cache is for.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from cacheapi.amounts import counted
from cacheapi.registry import audit
from cacheapi.registry.rights import Caller

# The audit log names so many tags, in so many characters each.
FEW_NAMES: Final = 5
LONGEST_NAME: Final = 100


class Purged(Protocol):
    """What holds something with tags: a service, or the answers of an HTTP API."""

    def purge(self, tags: Sequence[str]) -> None:
        """Make gone what has one of some tags."""


class Holder(Purged, Protocol):
    """What holds keys: a service here, or one elsewhere."""

    def flush(self) -> None:
        """Delete every key."""

    def delete_prefix(self, prefix: str, done: Callable[[int], None]) -> int:
        """Delete every key with a prefix, some at a time; return how many."""


@dataclasses.dataclass(frozen=True)
class Author:
    """Who does something to a service, and where that is noted.

    :ivar data_dir: as :func:`~cacheapi.registry.audit.note` takes it.
    :ivar number: the service's id, if it has one.
    :ivar names: whether the log may name tags and prefixes; else it has how many.
    """

    data_dir: Path | None
    caller: Caller
    service: str
    number: int | None
    names: bool = False

    def purged(self, what: str) -> None:
        """Note that a part of what is stored was made gone, such as ``2 tags``."""
        self._note(audit.PURGED, what)

    def flushed(self) -> None:
        """Note that every key was deleted."""
        self._note(audit.FLUSHED)

    def deleted_prefix(self, deleted: int, prefix: str) -> None:
        """Note that all keys with a prefix were deleted, or some of them, and how many."""
        self._note(audit.DELETED_PREFIX, counted(deleted, "key") + self.named([prefix]))

    def named(self, texts: Sequence[str]) -> str:
        """Return which those were, behind how many, if the log may have that; a few of many."""
        if not self.names or not texts:
            return ""
        # As JSON, so that none can end the line or pretend to be something else.
        few = [json.dumps(text[:LONGEST_NAME]) for text in texts[:FEW_NAMES]]
        more = ["\u2026"] * (len(texts) > FEW_NAMES)
        return f": {', '.join([*few, *more])}"

    def imported(self, stored: int) -> None:
        """Note that the entries of a file were stored, or some of them, and how many."""
        self._note(audit.IMPORTED, counted(stored, "key"))

    def _note(self, action: str, detail: str = "") -> None:
        about = "service", self.number, self.service
        audit.note(self.data_dir, self.caller, action, *about, detail)


def tags_in_words(tags: Sequence[str]) -> str:
    """Return how many tags were purged, as the audit log has it; none: all."""
    return counted(len(tags), "tag") if tags else "all"


def left(deleted: int) -> str:
    """Return the sentences about a deletion in steps that has stopped half way."""
    if not deleted:
        return "Nothing was deleted."
    were = counted(deleted, "key was", "keys were")
    return f"{were} deleted until then, and the rest is left: delete it again once that is mended."


def flush(holder: Holder, author: Author | None) -> None:
    """Delete every key of a service.

    :param author: ``None`` where it is noted elsewhere.
    """
    holder.flush()
    if author is not None:
        author.flushed()


def purge(holder: Purged, tags: Sequence[str], author: Author | None) -> None:
    """Make gone what has one of some tags; ``author`` as :func:`flush` takes it."""
    holder.purge(tags)
    if author is not None:
        author.purged(tags_in_words(tags) + author.named(tags))


def delete_prefix(
    holder: Holder, prefix: str, done: Callable[[int], None], author: Author | None
) -> int:
    """Delete every key with a prefix, some at a time; return how many.

    It is noted as soon as one is gone, or it has ended: also where it stops half way.

    :param done: is told after each step how many it has deleted.
    :param author: as :func:`flush` takes it.
    """
    deleted, is_done = 0, False

    def count(more: int) -> None:
        nonlocal deleted
        deleted += more
        done(more)

    try:
        holder.delete_prefix(prefix, count)
        is_done = True
    finally:
        if author is not None and (deleted or is_done):
            author.deleted_prefix(deleted, prefix)
    return deleted
