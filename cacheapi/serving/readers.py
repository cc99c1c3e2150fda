"""What the header fields of a read of an HTTP API's answer say, where they are plain."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from cacheapi.responses.asking import NoAnswer, asked_of
from cacheapi.responses.engine import Engine
from cacheapi.responses.engines import Engines
from cacheapi.responses.kept import Wish
from cacheapi.responses.remote import Remote
from cacheapi.serving.recognition import Fields, read_fields
from cacheapi.web.access import Access
from cacheapi.web.remotes import Door, Sought

# HTTP, or the application, has something to say about these.
_UNSURE: Final = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"transfer-encoding",
        b"x-http-method",
        b"x-server-timing",
        b"x-service-kind",
    }
)
_CONDITIONS: Final = frozenset(
    {
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        *("if-range", "range"),
    }
)
_TIMED: Final = frozenset({"cache-control", "pragma"})
_READING: Final = {b"GET": "GET", b"HEAD": "HEAD"}


class Reader(msgspec.Struct):
    """What the header fields of a read say.

    :ivar digest: of their API key.
    :ivar wish: what decides about the answer, at one service.
    :ivar name: that service's, as it stands in a path.
    :ivar engine: its, and what it was that service's engine by.
    """

    digest: bytes
    headers: Fields
    method: str
    wish: Wish
    name: bytes
    remote: Remote
    engine: Engine
    moment: object


class Readers:
    """Reads them, for the services that can be used now; for one event loop."""

    def __init__(self, door: Door, engines: Engines, access: Access) -> None:
        self._door = door
        self._engines = engines
        self._access = access
        self._unsure = _UNSURE | access.left

    def read(self, method: bytes, name: bytes, headers: Fields) -> Reader | None:
        """Return what a read says; ``None`` if that is not sure.

        :param name: the service's, as it stands in a path.
        :param headers: names in lower case, and values.
        """
        remote = self._door.remote(name)
        if remote is None or method not in _READING:
            return None
        said = read_fields(headers, self._unsure)
        if said is None or said.length or not said.shown:
            return None
        engine = self._engine(remote)
        if engine is None:
            return None
        if engine.config.authorization and any(name == b"authorization" for name, _ in headers):
            return None
        wish = self._wish(remote, engine, _READING[method], headers)
        if wish is None:
            return None
        digest = self._access.digest(said.shown)
        moment = self._door.moment
        return Reader(digest, headers, wish.method, wish, name, remote, engine, moment)

    def renew(self, reader: Reader, name: bytes) -> bool:
        """Have a reader say what it says to a service as it is now; return whether it can.

        :param name: the service's, as it stands in a path.
        """
        moment = self._door.moment
        remote = self._door.remote(name)
        engine = None if remote is None else self._engine(remote)
        if remote is None or engine is None:
            return False
        if engine is not reader.engine:
            if engine.config.authorization:
                return False
            wish = self._wish(remote, engine, reader.method, reader.headers)
            if wish is None:
                return False
            reader.engine, reader.wish = engine, wish
        reader.remote, reader.name, reader.moment = remote, name, moment
        return True

    def _engine(self, remote: Remote) -> Engine | None:
        """Return the engine of a service whose store can be used now."""
        try:
            engine = self._engines.engine(remote)
        except NoAnswer:
            return None
        if not engine.config.is_on or engine.is_cut_off:
            return None
        return engine

    def _wish(self, remote: Remote, engine: Engine, method: str, headers: Fields) -> Wish | None:
        fields = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if b"_" not in name
        )
        sought = Sought(remote, method, b"", b"", fields)
        try:
            request = asked_of(engine.config, self._door.incoming(sought, b"", None)).request
        except NoAnswer:
            return None
        names = {name for name, _ in request.fields}
        return Wish(
            method,
            request.fields,
            # A client decides how long it is, and it is kept with what is written out for it.
            hashlib.blake2b(msgspec.msgpack.encode(request.fields), digest_size=32).digest(),
            not names.isdisjoint(_CONDITIONS),
            not names.isdisjoint(_TIMED),
        )
