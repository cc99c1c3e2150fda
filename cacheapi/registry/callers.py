"""Who shows which API key, however many there are: as bytes, until one is shown.

A key takes some 300 bytes, which the collector never looks at. An object is made of those that are
in use, and kept for some.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cacheapi.registry import records
from cacheapi.registry.rights import Caller

# Objects that are kept, of keys that were shown; to make one again costs some 20 microseconds.
MADE: Final = 1024
_PLAIN: Final = ("id", "name", "administrator", "expires", "rate_requests", "rate_seconds")

Aliases = tuple[tuple[str, str], ...]


class Callers:
    """The callers of one moment, by the digests of their keys. It never changes.

    :param fixed: those of the environment; they go before others with the same key.
    :param aliases: names of services, by other ways to write them.
    """

    def __init__(
        self, fixed: Mapping[bytes, Caller] | None = None, aliases: Mapping[str, str] | None = None
    ) -> None:
        self.fixed: Mapping[bytes, Caller] = fixed or {}
        self._aliases: Aliases = tuple((aliases or {}).items())
        self._packed: dict[bytes, bytes] = {}
        self._administrators: dict[int, bytes] = {}

    def get(self, digest: bytes) -> Caller | None:
        """Return who shows the key of a digest."""
        found = self.fixed.get(digest)
        if found is not None:
            return found
        packed = self._packed.get(digest)
        return None if packed is None else _unpacked(digest, packed, self._aliases)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self.fixed or digest in self._packed

    def __len__(self) -> int:
        return len(self._packed.keys() | self.fixed.keys())

    def administrators(self, number: int | None) -> Iterator[Caller]:
        """Yield the administrator of an id; without one, those of the environment."""
        if number is None:
            yield from self.fixed.values()
        elif number in self._administrators:
            found = self.get(self._administrators[number])
            if found is not None:
                yield found

    def after(
        self, rows: Iterable[Mapping[str, Any]], gone: Iterable[bytes], *, is_whole: bool
    ) -> Callers:
        """Return the callers of the next moment.

        :param rows: of keys that are new or changed.
        :param gone: the digests of those that are there no more.
        :param is_whole: whether there are no others than those of the rows.
        """
        made = Callers(self.fixed, dict(self._aliases))
        packed = made._packed = {} if is_whole else dict(self._packed)
        administrators = made._administrators = {} if is_whole else dict(self._administrators)
        for row in rows:
            digest, number = bytes.fromhex(row["digest"]), row["id"]
            packed[digest] = _packed(row)
            if row["administrator"]:
                administrators[number] = digest
            else:
                administrators.pop(number, None)
        for digest in gone:
            packed.pop(digest, None)
        return made


def _packed(row: Mapping[str, Any]) -> bytes:
    # ASCII, and so without an end of line.
    plain = json.dumps([row[name] for name in _PLAIN], separators=(",", ":"))
    return f"{plain}\n{row['rules']}".encode()


@functools.lru_cache(MADE)
def _unpacked(digest: bytes, packed: bytes, aliases: Aliases) -> Caller:
    plain, _, rules = packed.partition(b"\n")
    row = dict(zip(_PLAIN, json.loads(plain), strict=True))
    return records.caller_of(
        {**row, "digest": digest.hex(), "rules": rules.decode()}, dict(aliases)
    )
