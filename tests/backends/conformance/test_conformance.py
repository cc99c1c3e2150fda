"""The conformance suite on every backend of this distribution, and on the least there can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest

pytest.register_assert_rewrite("backends.testing")

from backends.base import MISSING, Backend, Missing  # noqa: E402
from backends.capabilities import Capability  # noqa: E402
from backends.errors import Unsupported  # noqa: E402
from backends.testing import BackendConformance  # noqa: E402


class TestConformance(BackendConformance):
    """On the ``backend`` fixture of all tests."""


class Least(Backend):
    """A plugin that has no ability and no limit."""

    driver = "least"
    label = "the least backend"
    service_name = "least"

    def __init__(self, *, prefix: str = "") -> None:
        super().__init__(prefix=prefix)
        self._entries: dict[bytes, tuple[bytes, float | None]] = {}
        self._lock = threading.RLock()

    def get(self, key: str) -> bytes | Missing:
        value, end = self._entries.get(self._stored(key), (b"", 0.0))
        return value if end is None or end > time.monotonic() else MISSING

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = {key: self.get(key) for key in keys}
        return {key: value for key, value in found.items() if value is not MISSING}

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        end = None if ttl is None else time.monotonic() + max(ttl, 0)
        self._entries[self._stored(key)] = value, end

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._store_if(self.get(key) is MISSING, key, value, ttl)

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._store_if(self.get(key) is not MISSING, key, value, ttl)

    def _store_if(self, wanted: bool, key: str, value: bytes, ttl: float | None) -> bool:
        if wanted:
            self.set(key, value, ttl)
        return wanted

    def delete(self, key: str) -> bool:
        there = self.get(key) is not MISSING
        self._entries.pop(self._stored(key), None)
        return there

    def flush(self) -> None:
        if self.prefix:
            raise Unsupported(self.label, Capability.FLUSH_PREFIX)
        self._entries.clear()


class TestConformanceOfAPluginWithoutAbilities(BackendConformance):
    @pytest.fixture(params=["", "app:"])
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return Least(prefix=request.param)
