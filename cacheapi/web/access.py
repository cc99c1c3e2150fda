"""What whoever serves an application asks of it before Flask does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Rate

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# The name of an application's Access in its "extensions".
ACCESS: Final = "cacheapi.access"


class Access(NamedTuple):
    """What serving asks of the application; each answer holds for its moment only.

    :ivar find: returns the service of a name.
    :ivar digest: returns what stands for an API key.
    :ivar may: returns whether who shows the key of a digest may use a method on keys of a
        service; with no keys, whether there is a key that they may use it on.
    :ivar rate: returns the limit on the requests of who shows the key of a digest, if there is one;
        each is counted, with :attr:`counts`, before it is served.
    :ivar counts: where they are counted.
    :ivar sees: returns whether who shows the key of a digest may learn where a cache is.
    :ivar watch: makes ``find`` and ``may`` follow changes, in a process that serves.
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
    may: Callable[[bytes, str, str, Sequence[str]], bool]
    rate: Callable[[bytes], Rate | None]
    counts: CacheService
    sees: Callable[[bytes], bool]
    watch: Callable[[], None]
    max_body: int
    max_batch: int
    most_body: Callable[[WSGIEnvironment], int]
    left: frozenset[bytes] = frozenset()
    origins: frozenset[str] = frozenset()
    base: str = ""
