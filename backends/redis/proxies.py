"""A proxy in front of Redis, such as twemproxy: it knows the commands that have a key.

At any other it closes the connection without a word. That is told from a server that went
down: a plain command is answered, and the same command then ends the connection again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from backends.errors import BehindProxy
from backends.redis.errors import CLOSED, Broken
from backends.redis.wire import Reply, pack

if TYPE_CHECKING:
    from backends.redis.connections import Server

# A refusal is an answer too: a user may not have the right, a server behind it be down.
_PLAIN: Final = pack("GET", "cacheapi:proxy")


def refuse_what_is_unknown(
    server: Server, place: str, command: bytes, replies: Sequence[Reply]
) -> None:
    """Raise if it was a proxy that gave no reply to an administrative command.

    :param place: the server, as a message names it.
    :param command: the first one that was sent; it may be sent again.
    :raises BehindProxy: it was.
    """
    first = replies[0]
    if not (isinstance(first, Broken) and first.sent and CLOSED in str(first.cause)):
        return
    (plain,) = server.exchange([_PLAIN])
    if isinstance(plain, Broken):
        return
    (again,) = server.exchange([command])
    if isinstance(again, Broken) and CLOSED in str(again.cause):
        raise BehindProxy(place, command.split(b"\r\n")[2].decode())
