"""Fresh answers of services in front of an HTTP API, in the turn of the event loop they came in.

The one rule of the lane holds: taken is what it is sure of, and it has no rules of its own. The
door says who may, the engine what a fresh answer is, and all that arrives in one turn is
looked up in one trip a store. What turns out to be no fresh answer is handed to the
application as if it had never been here, and so to the engine.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

import msgspec

from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.tail.watch import Tail
from cacheapi.registry.rights import Caller
from cacheapi.responses.asking import KEY_PARAMETER, NoAnswer, target_of
from cacheapi.responses.engine import Engine
from cacheapi.responses.kept import Kept, Wish
from cacheapi.responses.ready import Ready
from cacheapi.responses.shelf import Shelf
from cacheapi.serving.access_log import LANE
from cacheapi.serving.answers import Sink
from cacheapi.serving.noting import ROUTE
from cacheapi.serving.readers import Reader, Readers
from cacheapi.serving.recognition import Fields
from cacheapi.serving.remotes import Known, Remotes
from cacheapi.serving.stores import TRIP_BYTES, Stores
from cacheapi.web.access import Access
from cacheapi.web.errors import ApiError
from cacheapi.web.remotes import Door, Sought

# What is sure of a target, as it was sent: no fragment, and nothing that is not plain.
TARGET: Final = re.compile(rb'/api/v2/([a-z][a-z0-9_-]*)(/[!"$->@-~]*)?(?:\?([!"$-~]*))?')
# What is answered in one turn, in bytes, about.
TURN_BYTES: Final = 16 * 1024 * 1024
# So many are one trip, whatever they are: none is larger than a record.
FEW: Final = 8

_PARAMETER: Final = KEY_PARAMETER.encode()


# How many answers there were, and the bytes of their bodies, by service, method and status.
Numbers = dict[tuple[str, str, int], list[int]]


class Late(Sink, Protocol):
    """A connection, as what is here sees it."""

    def pass_on(self, known: Known | None = None) -> None:
        """Hand the request that was taken last to the application.

        :param known: what the store has of it, so that nobody need ask that again.
        """

    def give(self, ready: Ready, now: float, body: bytes | None, keep_alive: bool) -> bool:
        """Send an answer if it is fresh at a time; return whether it is.

        :param body: ``None`` where none is sent.
        """


class Look(msgspec.Struct):
    """A read that was taken."""

    sink: Late
    keep_alive: bool
    engine: Engine
    kept: Kept
    wish: Wish


class Hits:
    """Answers them; for one event loop.

    :param tail: what who watches is told by.
    :param hides_id: whether answers get ids of our own.
    """

    def __init__(
        self,
        door: Door,
        remotes: Remotes,
        access: Access,
        loop: asyncio.AbstractEventLoop,
        tally: Tally | None,
        tail: Tail,
        *,
        hides_id: bool,
    ) -> None:
        self._door = door
        self._readers = Readers(door, remotes.engines, access)
        self._shelf: Shelf = remotes.shelf
        self._access = access
        self._loop = loop
        self._tally = tally
        self._tail = tail
        self._hides_id = hides_id
        self._taken: list[Look] = []
        self._since = 0.0
        # Who shows which key, as was found in this turn.
        self._callers: dict[bytes, Caller | None] = {}
        self.stores = Stores(loop)

    def take(
        self, sink: Late, method: bytes, target: bytes, headers: Fields, keep_alive: bool
    ) -> Reader | None:
        """Take a read if sure of it, and answer it or pass it on by the end of this turn.

        :param target: as it was sent.
        :param headers: names in lower case, and values.
        :return: what they say, for :meth:`take_again`; ``None``: it is not taken.
        """
        match = TARGET.fullmatch(target)
        reader = None if match is None else self._readers.read(method, match[1], headers)
        if match is None or reader is None:
            return None
        return reader if self._take(sink, target, match, reader, keep_alive) else None

    def take_again(self, sink: Late, target: bytes, reader: Reader) -> bool:
        """Take a read with the header fields of one that was taken; return whether it is."""
        moment, engine = self._door.moment, reader.engine
        if moment is reader.moment:
            caller = self._caller(reader.digest)
            if caller is None:
                return False
            # Of which engine a target is that is held has been found out.
            kept = self._shelf.find(engine, target)
            if kept is not None:
                return not engine.is_cut_off and self._take_kept(sink, kept, caller, reader, True)
        match = TARGET.fullmatch(target)
        if match is None:
            return False
        if moment is not reader.moment or match[1] != reader.name:
            if not self._readers.renew(reader, match[1]):
                return False
        elif engine.is_cut_off:
            return False
        return self._take(sink, target, match, reader, keep_alive=True)

    def _take(
        self,
        sink: Late,
        target: bytes,
        match: re.Match[bytes],
        reader: Reader,
        keep_alive: bool,
    ) -> bool:
        # Whom it does not know may not have anything done, or what is held pushed out.
        caller = self._caller(reader.digest)
        if caller is None:
            return False
        kept = self._shelf.find(reader.engine, target)
        if kept is None:
            kept = _new(reader, match)
            if kept is None or not caller.may("GET", reader.remote.name, kept.key):
                return False
            kept.allowed = caller
            self._shelf.add(reader.engine, target, kept)
        return self._take_kept(sink, kept, caller, reader, keep_alive)

    def _caller(self, digest: bytes) -> Caller | None:
        """Return who shows the key of a digest, if the lane may answer that one."""
        if not self._taken:
            # A turn that took nothing is answered by nobody: what it knew of rights ends here.
            self._callers.clear()
        if digest in self._callers:
            caller = self._callers[digest]
        else:
            caller = self._callers[digest] = self._access.who(digest)
        # Who has a limit is counted before anything is answered, and that is the application's.
        return None if caller is None or caller.rate is not None else caller

    def _take_kept(
        self, sink: Late, kept: Kept, caller: Caller, reader: Reader, keep_alive: bool
    ) -> bool:
        if caller is not kept.allowed:
            if not caller.may("GET", reader.remote.name, kept.key):
                return False
            kept.allowed = caller
        engine = reader.engine
        if self.stores.troubled and not self.stores.is_well(engine, kept.keys):
            return False
        if not self._taken:
            self._loop.call_soon(self.answer)
            self._since = time.monotonic()
        self._taken.append(Look(sink, keep_alive, engine, kept, reader.wish))
        return True

    def line(self, reader: Reader, target: bytes) -> tuple[str, str, str | None]:
        """Return route, service and key of what was taken, for the log."""
        kept = self._shelf.find(reader.engine, target)
        return ROUTE, reader.engine.name, None if kept is None else kept.key

    def answer(self) -> None:
        """Answer what was taken until now, or pass it on."""
        taken, self._taken = self._taken, []
        self._callers = {}
        size = 0
        numbers: Numbers = {}
        while taken:
            part, taken = _part(taken)
            now = time.monotonic()
            asked = [
                (one.engine, one.kept)
                for one in part
                if not one.kept.local_seconds or not one.kept.is_current(now)
            ]
            unknown = self.stores.look(asked) if asked else set()
            for look in part:
                if look.kept in unknown:
                    look.sink.pass_on()
            known = [look for look in part if look.kept not in unknown] if unknown else part
            size += self._answer_all(known, numbers)
            if taken and size > TURN_BYTES:
                self._loop.call_soon(self.answer)
                self._taken = taken
                break
        seconds = time.monotonic() - self._since
        if self._tally is not None and numbers:
            for (name, method, status), (number, sent) in numbers.items():
                self._tally.fresh(name, method, status, number, sent)
                self._tally.took(name, seconds, number)
        if seconds >= self._tail.floor and not self._tail.wanted:
            for (name, method, status), (number, sent) in numbers.items():
                self._tail.note(method, ROUTE, name, None, status, seconds, sent // number, LANE)

    def _answer_all(self, looks: list[Look], numbers: Numbers) -> int:
        """Answer, or pass on; return the bytes of what was answered."""
        size = 0
        lacking: list[Look] = []
        for look in looks:
            answered = self._answer(look, numbers)
            if answered is not None:
                size += answered
            elif look.kept.lacking is not None:
                lacking.append(look)
            else:
                _pass_on(look)
        if lacking:
            self.stores.bring_bodies({look.kept: look.engine for look in lacking})
        for look in lacking:
            answered = self._answer(look, numbers)
            if answered is None:
                _pass_on(look)
            size += answered or 0
        return size

    def _answer(self, look: Look, numbers: Numbers) -> int | None:
        """Answer if there is a fresh answer; return the bytes of its body."""
        kept, wish, engine = look.kept, look.wish, look.engine
        ready = kept.answer(wish, hides_id=self._hides_id)
        if ready is None:
            return None
        body = None if wish.method == "HEAD" else ready.body
        if not look.sink.give(ready, engine.now(), body, look.keep_alive):
            return None
        size = 0 if body is None else len(body)
        counted = numbers.setdefault((engine.name, wish.method, ready.status), [0, 0])
        counted[0] += 1
        counted[1] += size
        if self._tail.wanted:
            self._note(look, ready.status, size, time.monotonic() - self._since)
        return size

    def _note(self, look: Look, status: int, size: int, seconds: float) -> None:
        name, method = look.engine.name, look.wish.method
        self._tail.note(method, ROUTE, name, look.kept.key, status, seconds, size, LANE)


def _new(reader: Reader, match: re.Match[bytes]) -> Kept | None:
    """Return what is to be held of a target; ``None`` if it is not sure what it means."""
    engine = reader.engine
    path, query = match[2] or b"", match[3] or b""
    if _PARAMETER in unquote_to_bytes(query):
        return None
    try:
        key = Sought(reader.remote, reader.method, path, query, ()).key
        return Kept(engine, *target_of(engine.config, path, query), key)
    except (ApiError, NoAnswer):
        return None


def _pass_on(look: Look) -> None:
    # A copy that need not be compared may be older than a purge.
    look.sink.pass_on(None if look.kept.local_seconds else (look.engine, look.kept.looked))


def _part(taken: list[Look]) -> tuple[list[Look], list[Look]]:
    """Return as many as one trip may be for, and the others."""
    if len(taken) <= FEW:
        return taken, []
    size = 0
    for number, look in enumerate(taken):
        size += look.kept.expected
        if size > TRIP_BYTES and number:
            return taken[:number], taken[number:]
    return taken, []
