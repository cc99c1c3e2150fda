"""Lists of keys that go over pages with nothing on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.file.backend import FileBackend
from cacheapi.caching import reading
from cacheapi.caching.pairs import Pair
from cacheapi.caching.service import CacheService


class Sparse(FileBackend):
    """A file whose keys are behind so many pages with none on it; each took ``seconds``."""

    empty = 0
    seconds = 0.0
    now = 0.0
    pages = 0

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        self.pages += 1
        self.now += self.seconds
        page = int(cursor or 0)
        if page < self.empty:
            return [], str(page + 1)
        return super().list_keys(prefix, limit, None)


def test_a_list_goes_on_over_pages_with_nothing_on_them_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Sparse(data_dir=str(tmp_path))
    cache = CacheService("cache", backend, default_ttl=5)
    cache.set_many([Pair("a", "1", 0)])
    monkeypatch.setattr(reading, "monotonic", lambda: backend.now)
    backend.empty, backend.seconds = 9, reading.LOOKING_SECONDS / 10
    assert cache.list_keys("", 10, None) == (["a"], None)
    assert backend.pages == 10
    # It ends in bounded time, and tells where to go on.
    backend.empty, backend.pages = 100, 0
    assert cache.list_keys("", 10, "3") == ([], "13")
    assert backend.pages == 10
    assert cache.list_keys("", 10, "95") == (["a"], None)
    assert cache.delete_prefix("a") == 1
    assert cache.list_keys("", 10, "95") == ([], None)
    backend.close()
