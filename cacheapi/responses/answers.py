"""What a client gets: of what is stored, or the origin's answer as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator

from cacheapi.responses.addresses import Base
from cacheapi.responses.asking import Asked
from cacheapi.responses.budget import Hold
from cacheapi.responses.fetched import Fetched
from cacheapi.responses.messages import Fields, Stored, without
from cacheapi.responses.sandboxing import SANDBOX, is_inert
from cacheapi.responses.serving import Reply, pass_on, serve


@dataclasses.dataclass
class Outgoing:
    """An answer to a client.

    :ivar body: all of it.
    :ivar rest: what comes after that, where the answer is passed on as it comes; to be closed.
    :ivar result: what the cache did, in a word for metrics: ``hit``, ``stale``, ``validated``,
        ``miss``, ``collapsed``, ``pass`` or ``bypass``.
    :ivar hold: the right to hold the body, until the client has it.
    """

    status: int
    fields: Fields
    body: bytes
    result: str
    rest: Fetched | None = None
    hold: Hold | None = dataclasses.field(default=None, repr=False)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body.

        :raises OriginFailed: it was cut off; what came of it may not look whole.
        """
        if self.rest is None:
            yield self.body
            return
        try:
            async for chunk in self.rest.chunks():
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Give up what was not read."""
        if self.rest is not None:
            self.rest.close()


class Answers:
    """Makes the answers of one service.

    :param base: where the origin is.
    :param mount: the path of the service, as ``Location`` names it.
    """

    def __init__(self, base: Base, mount: str) -> None:
        self._base = base
        self._mount = mount

    def stored(
        self,
        asked: Asked,
        stored: Stored,
        age: float,
        status: str,
        body: bytes,
        result: str,
        hold: Hold | None = None,
    ) -> Outgoing:
        """Return the answer of what is stored.

        :param age: in seconds, now.
        :param status: what ``Cache-Status`` says.
        :param result: see :class:`Outgoing`, as for ``hold``.
        """
        reply = serve(asked.request, stored, age, status)
        pieces = [
            piece if isinstance(piece, bytes) else body[piece[0] : piece[1]] for piece in reply.body
        ]
        return Outgoing(
            reply.status,
            self._mounted(reply, asked.target, stored.fields),
            pieces[0] if len(pieces) == 1 else b"".join(pieces),
            result,
            hold=hold,
        )

    def handed(self, asked: Asked, fetched: Fetched, status: str, result: str) -> Outgoing:
        """Return the origin's answer as it is."""
        reply = pass_on(fetched.head, status)
        rest = fetched if fetched.rest is not None else None
        if rest is None and asked.request.method != "HEAD" and reply.status not in (204, 304):
            # It may have come in chunks; now its length is known.
            fields = without(reply.fields, ("content-length",))
            length = ("content-length", str(len(fetched.body)))
            reply = Reply(reply.status, (*fields, length))
        fields = self._mounted(reply, asked.target, reply.fields)
        return Outgoing(reply.status, fields, fetched.body, result, rest, fetched.hold)

    def _mounted(self, reply: Reply, target: str, whole: Fields) -> Fields:
        """Return an answer's fields with a ``Location`` that a client of ours can follow.

        A page of the origin is sandboxed.

        :param whole: fields that say of what type the body is: a 304 does not.
        """
        fields = tuple(
            (name, self._base.mounted(value, target, self._mount) if name == "location" else value)
            for name, value in reply.fields
        )
        return fields if is_inert(whole) else (*fields, SANDBOX)
