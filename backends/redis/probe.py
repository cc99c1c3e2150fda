"""A look at Redis that its statistics do not count: they count each key that is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.probe import TTL_SECONDS, Probe, expect

if TYPE_CHECKING:
    from backends.redis.backend import RedisBackend


class RedisProbe(Probe):
    """Steps of commands that look nothing up, and commands that look up to write."""

    backend: RedisBackend

    def connect(self) -> None:
        self.backend.ping(self.key)

    def connect_all(self) -> None:
        self.backend.look()

    def read(self) -> None:
        expect(self.backend.peek(self.key, TTL_SECONDS) == self.value)

    def delete(self) -> None:
        expect(self.backend.delete(self.key))
        expect(not self.backend.delete(self.key))
