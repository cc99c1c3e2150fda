"""What a worker holds of the answers of HTTP APIs that it serves: a copy, in a bound of bytes.

A copy spares reading and writing out once more what the store has said before: it is used only
where the store says the same bytes again, or where the service allows a copy that was
compared a moment ago (``local_ms``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from cacheapi.responses import entries
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Asked
from cacheapi.responses.deciding import Hit
from cacheapi.responses.engine import Engine
from cacheapi.responses.looking import Looked, tags_in
from cacheapi.responses.messages import Fields, Request
from cacheapi.responses.ready import Ready, written

# Of a URL that nothing is stored of, beside its text; and that of a whole answer beside its bytes.
OWN_BYTES: Final = 3072
# Of the name of something in the store, and of what says that it counts.
KEY_BYTES: Final = 512
# What the store is expected to give for a URL that was never looked up.
UNKNOWN_BYTES: Final = 256 * 1024
# Answers that are written out for one URL: one for each different wish of clients.
MOST_WISHES: Final = 16


class Wish(NamedTuple):
    """What of a request decides about the answer, beside its URL.

    :ivar name: the same where all of it is; short, whatever clients send.
    :ivar says: whether it has conditions or ranges.
    :ivar is_timed: whether it says how old or how fresh an answer must be.
    """

    method: str
    fields: Fields
    name: bytes
    says: bool
    is_timed: bool


class Kept:
    """What is held of one URL.

    :ivar key: what rules of an API key take for the key.
    :ivar keys: of what the store has of it.
    :ivar size: in bytes, about.
    :ivar known: what the store is to compare its own with; ``None``: it is to be read.
    :ivar resized: who counts it is told of it and the size that it had.
    :ivar allowed: who may read it, as was found last.
    :ivar local_seconds: how long it may be served without a look at the store.
    :ivar lacking: the key of a body that the last answer would have needed, and how long it is.
    """

    def __init__(self, engine: Engine, url: str, target: str, key: str) -> None:
        self.key = key
        self.keys = engine.store.looking.keys_of(url)
        self.size = self._own = OWN_BYTES + sum(map(sys.getsizeof, (url, target, key)))
        self.known: Any = None
        self.resized: Callable[[Kept, int], None] | None = None
        self.allowed: object = None
        self.local_seconds = engine.config.local_seconds
        self.lacking: str | None = None
        self.lacking_bytes = 0
        self._engine = engine
        self._url = url
        self._target = target
        self._found: list[bytes | None] | None = None
        self._sent = 0
        # Of what is written out.
        self._written = 0
        self._looked = Looked(None, None, ())
        self._ready: dict[tuple[str, bytes], Ready] = {}
        # Bodies that do not stand in the record: one name has one body, for ever.
        self._bodies: dict[str, bytes] = {}
        # Whether the answer is the same whatever the fields of a request are.
        self._is_one = False
        # When the store was last asked, and how many purges there were then.
        self._asked = 0.0
        self._purges = -1

    @property
    def expected(self) -> int:
        """How many bytes the store is expected to give."""
        return UNKNOWN_BYTES if self._found is None else self._sent

    @property
    def looked(self) -> Looked:
        """What the store had when it was asked last."""
        return self._looked

    def is_current(self, now: float) -> bool:
        """Return whether it may be served without a look at the store.

        :param now: seconds of a clock that does not go back.
        """
        return (
            self.local_seconds > 0
            and self._purges == self._engine.purges
            and now - self._asked < self.local_seconds
            and self._looked.variants != ()
        )

    def take(self, found: Mapping[str, bytes], now: float, purges: int | None = None) -> list[str]:
        """Take what the store has.

        :param found: of :attr:`keys`, and more.
        :param now: when it was asked, by a clock that does not go back.
        :param purges: how many the engine had made by then; within its event loop, where nothing
            comes between, as many as it has.
        :return: the keys that it is to be asked for beside them.
        """
        values = [found.get(key) for key in self.keys]
        if values == self._found:
            self._note(now, purges)
            return []
        looking = self._engine.store.looking
        record = looking.record(self._url, found)
        keys = looking.keys_of(self._url, tags_in(record))
        missing = [key for key in keys if key not in self.keys]
        if keys != self.keys:
            self.keys = keys
            self._found = self.known = None
        if missing:
            return missing
        self._found = [found.get(key) for key in keys]
        self.known = self._engine.store.backend.known(dict(zip(keys, self._found, strict=True)))
        self._looked = looked = looking.looked(record, found)
        self._leave_written()
        self._is_one = all(not one.stored.vary for one in looked.variants)
        names = {one.place.name for one in looked.variants}
        self._bodies = {name: body for name, body in self._bodies.items() if name in names}
        self._measure()
        self._note(now, purges)
        return []

    def take_body(self, found: Mapping[str, bytes]) -> None:
        """Take the body that was lacking, if the store has it."""
        for variant in self._looked.variants:
            name = variant.place.name
            body = found.get(entries.part_key(name, 0)) if name else None
            if body is not None and len(body) == variant.stored.length:
                self._bodies[name] = body
        self._measure()

    def _measure(self) -> None:
        # The store's bytes, and once more what was read from them.
        self._sent = sum(len(value) for value in self._found or () if value is not None)
        before = self.size
        self.size = self._own + KEY_BYTES * len(self.keys) + 2 * self._sent + self._written
        self.size += sum(map(len, self._bodies.values()))
        if self.resized is not None and self.size != before:
            self.resized(self, before)

    def _leave_written(self) -> None:
        self._ready.clear()
        self._written = 0

    def _note(self, now: float, purges: int | None) -> None:
        self._asked = now
        self._purges = self._engine.purges if purges is None else purges

    def hold(self, now: float) -> None:
        """Note that what the store has is what is known.

        :param now: as of :meth:`take`.
        """
        self._note(now, None)

    def answer(self, wish: Wish, *, hides_id: bool) -> Ready | None:
        """Return the answer to a wish, which was fresh once; ``None`` if none is here.

        :param hides_id: whether the answer gets an id of our own in place of the origin's.
        """
        self.lacking = None
        if not self._looked.variants:
            return None
        if wish.is_timed:
            return self._made(wish, hides_id=hides_id)
        name = (wish.method, b"" if self._is_one and not wish.says else wish.name)
        ready = self._ready.get(name)
        if ready is None:
            ready = self._made(wish, hides_id=hides_id)
            # What is not all of a body would be a copy of it.
            if ready is not None and ready.status != HTTPStatus.PARTIAL_CONTENT:
                if len(self._ready) >= MOST_WISHES:
                    self._leave_written()
                self._ready[name] = ready
                self._written += ready.size
                self._measure()
        return ready

    def outgoing(self, asked: Asked) -> Outgoing | None:
        """Return the answer to a request; ``None`` if none is fresh here."""
        found = self._fresh(asked)
        return None if found is None else self._engine.serve(asked, *found)

    def _made(self, wish: Wish, *, hides_id: bool) -> Ready | None:
        asked = Asked(Request(wish.method, self._url, wish.fields), self._target)
        found = self._fresh(asked)
        if found is None:
            return None
        return written(found[0].stored, self._engine.serve(asked, *found), hides_id=hides_id)

    def _fresh(self, asked: Asked) -> tuple[Hit, bytes] | None:
        self.lacking = None
        found = self._engine.fresh(asked, self._looked)
        if found is None:
            return None
        hit, variant = found
        place = variant.place
        body = self._bodies.get(place.name) if place.inline is None else place.inline
        if body is None:
            # What comes in several parts is read on a thread.
            self.lacking = entries.part_key(place.name, 0) if place.parts == 1 else None
            self.lacking_bytes = hit.stored.length
            return None
        return hit, body
