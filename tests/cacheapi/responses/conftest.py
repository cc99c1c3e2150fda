"""An origin, and what talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import origin as scripted


@pytest.fixture(scope="session")
def origin_process() -> Iterator[scripted.Origin]:
    with scripted.origin() as server:
        yield server


@pytest.fixture
def origin(origin_process: scripted.Origin) -> scripted.Origin:
    """An origin for tests that leave it well."""
    return origin_process
