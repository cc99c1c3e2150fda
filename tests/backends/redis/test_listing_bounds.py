"""A listing of few keys in a large database: bounded work a page, and the end is reached."""

from __future__ import annotations

from tests.conftest import connect_redis
from tests.support.redis import redis_server

KEYS = 300_000
# What the documentation promises.
LOOKED_AT = 20_000


def test_a_page_for_a_prefix_that_nobody_has_looks_at_a_bounded_number_of_keys() -> None:
    with redis_server() as server:
        server.call("DEBUG", "POPULATE", KEYS, "cacheapi:other", 10)
        server.call("SET", "cacheapi:mine:1", "1")
        backend = connect_redis(server, REDIS_TIMEOUT_MS="3000")
        for prefix, expected in (("nobody", []), ("mine:", ["mine:1"])):
            found: list[str] = []
            cursor, pages = None, 0
            while True:
                before = server.calls("scan")
                page, cursor = backend.list_keys(prefix, 100, cursor)
                # Each step looks at 1,000.
                assert server.calls("scan") - before <= LOOKED_AT // 1000
                found += page
                pages += 1
                if cursor is None:
                    break
            assert found == expected
            assert pages >= KEYS // LOOKED_AT
        backend.close()
