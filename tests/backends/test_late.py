from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from backends import late
from tests.support import scripts


class Part:
    """Something that takes a while to make."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        threading.Event().wait(0.02)
        self.is_closed = False

    def answer(self) -> int:
        return 42

    def close(self) -> None:
        self.is_closed = True


def test_a_part_is_made_at_once_unless_that_is_put_off() -> None:
    assert type(late.made(Part)) is Part
    with late.parts():
        assert late.is_on()
        before = Part.made
        part = late.made(Part)
        unused = late.made(Part)
    assert not late.is_on()
    assert Part.made == before
    # Whoever comes first; the others wait for the same one.
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: part.answer(), range(8))) == {42}
    assert Part.made == before + 1
    part.close()
    assert part.is_closed
    unused.close()
    assert Part.made == before + 1


def test_a_server_is_not_late_because_a_command_beside_is() -> None:
    with late.parts(), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(late.is_on).result()
        assert late.is_on()


def test_a_server_imports_redis_with_the_backend_and_a_command_when_it_asks() -> None:
    output = scripts.run(
        """
        import sys
        from backends import late, registry
        from cacheapi.settings import load
        values = load({"CACHE_DRIVER": "redis"}, None)
        is_there = lambda: [name in sys.modules for name in ("redis", "backends.redis.client")]
        with late.parts():
            registry.create("redis", values).close()
        print(is_there())
        served = registry.create("redis", values)
        print(is_there(), type(served._client).__name__)
        """
    )
    assert output == "[False, False]\n[True, True] Client\n"
