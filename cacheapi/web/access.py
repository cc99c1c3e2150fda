"""What whoever serves an application asks of it before Flask does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# The name of an application's Access in its "extensions".
ACCESS: Final = "cacheapi.access"

# The name, in the environment of a WSGI request, of the seconds that its view may look around for:
# an event loop waits for it, and all that the loop serves. Without it only its own thread does.
WITHIN: Final = "cacheapi.within"


class Access(NamedTuple):
    """What serving asks of the application; each answer holds for its moment only.

    :ivar find: returns the service of a name.
    :ivar digest: returns what stands for an API key.
    :ivar who: returns who shows the key of a digest, if anybody; one who has a limit is counted
        before a request is served.
    :ivar counts: where requests of those are counted.
    :ivar watch: makes ``find`` and ``who`` follow changes, in a process that serves.
    :ivar max_body: the largest request body, in bytes.
    :ivar most_body: returns how much of the body of a request, by its WSGI environment, is read
        of who sends it: nothing of a stranger's.
    :ivar max_batch: how many items a batch has at most.
    :ivar left: header fields, in lower case, with which a request is left to Flask.
    :ivar origins: whose pages may see answers.
    :ivar base: the path that the service is mounted under; empty for none.
    """

    find: Callable[[str], CacheService | None]
    digest: Callable[[str], bytes]
    who: Callable[[bytes], Caller | None]
    counts: CacheService
    watch: Callable[[], None]
    max_body: int
    max_batch: int
    most_body: Callable[[WSGIEnvironment], int]
    left: frozenset[bytes] = frozenset()
    origins: frozenset[str] = frozenset()
    base: str = ""
