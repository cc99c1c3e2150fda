"""The bodies of stored responses: small ones in the record, others in parts of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from backends.base import Backend, Item
from backends.capabilities import Capability
from cacheapi.responses import entries
from cacheapi.responses.entries import Place, Variant

# A larger body stands apart: then whoever has it already reads but the record.
INLINE_BYTES: Final = 8 * 1024
# memcached takes 1 MiB with its own bytes, as it comes.
PART_BYTES: Final = 500_000
# A body may be read until a moment after its head was.
SPARE_SECONDS: Final = 60.0


class Bodies:
    """The bodies in one backend; blocks as it does, and raises its errors.

    :param most_inline: bytes of one that stands in a record, :data:`INLINE_BYTES` at most.
    :ivar part_bytes: the largest part of one that does not.
    """

    def __init__(self, backend: Backend, most_inline: int) -> None:
        most = backend.limits.max_value_bytes
        self._backend = backend
        self._most_inline = min(INLINE_BYTES, most_inline)
        self.part_bytes = PART_BYTES if most is None else min(PART_BYTES, most)

    def read(self, variant: Variant) -> bytes | None:
        """Return the body of a variant; ``None`` if not all of it is there."""
        place = variant.place
        if place.inline is not None:
            return place.inline
        keys = [entries.part_key(place.name, number) for number in range(place.parts)]
        found = self._backend.get_many(keys)
        body = b"".join(found.get(key, b"") for key in keys)
        return body if len(body) == variant.stored.length else None

    def put(self, body: bytes, seconds: float) -> Place:
        """Store a body that there is use of for so long, unless it stands in its record."""
        if len(body) <= self._most_inline:
            return Place(inline=body)
        name = entries.new_token().hex() + entries.new_token().hex()
        size = self.part_bytes
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        items = [
            Item(entries.part_key(name, number), piece, seconds + SPARE_SECONDS)
            for number, piece in enumerate(pieces)
        ]
        outcomes = self._backend.set_many(items)
        for outcome in outcomes:
            if outcome is not True:
                self._drop_parts(name, len(pieces))
                raise outcome
        return Place(name=name, parts=len(pieces))

    def renew(self, place: Place, seconds: float) -> bool:
        """Have a body kept for so long from now; return whether it is there.

        A backend that cannot keeps it for as long as was first said.
        """
        if Capability.TOUCH not in self._backend.capabilities:
            return True
        return all(
            self._backend.touch(entries.part_key(place.name, number), seconds)
            for number in range(place.parts)
        )

    def drop(self, variants: Iterable[Variant]) -> None:
        """Remove the bodies of variants that are in no record any more."""
        for variant in variants:
            if variant.place.parts:
                self._drop_parts(variant.place.name, variant.place.parts)

    def _drop_parts(self, name: str, parts: int) -> None:
        self._backend.delete_many([entries.part_key(name, number) for number in range(parts)])
