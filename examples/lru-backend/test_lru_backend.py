"""The conformance suite on the LRU backend, and what is its own: the bound."""

from collections.abc import Iterator

import pytest
from lru_backend import LruBackend

from backends.base import MISSING

pytest.register_assert_rewrite("backends.testing")

from backends.testing import BackendConformance  # noqa: E402


class TestLruBackend(BackendConformance):
    @pytest.fixture(params=["", "prefix:"])
    def backend(self, request: pytest.FixtureRequest) -> Iterator[LruBackend]:
        backend = LruBackend(size=10_000, prefix=request.param)
        yield backend
        backend.close()


def test_the_least_recently_used_key_goes_first() -> None:
    backend = LruBackend(size=2)
    backend.set("old", b"1", None)
    backend.set("older", b"2", None)
    assert backend.get("old") == b"1"
    backend.set("new", b"3", None)
    assert backend.get("older") is MISSING
    assert backend.get_many(["old", "new"]) == {"old": b"1", "new": b"3"}


def test_what_is_expired_when_it_is_stored_evicts_nothing() -> None:
    backend = LruBackend(size=1)
    backend.set("key", b"value", None)
    backend.set("other", b"gone at once", 0)
    assert backend.get("key") == b"value"
