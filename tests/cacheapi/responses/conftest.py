"""An origin, the caches that answers are stored in, and answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.file.backend import FileBackend
from tests.conftest import connect, connect_redis
from tests.support import origin as scripted


@pytest.fixture(scope="session")
def origin_process() -> Iterator[scripted.Origin]:
    with scripted.origin() as server:
        yield server


@pytest.fixture
def origin(origin_process: scripted.Origin) -> scripted.Origin:
    """An origin for tests that leave it well."""
    return origin_process


@pytest.fixture(params=["file", "memcached", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A cache of each kind, empty at the start, with a time limit that a busy machine keeps."""
    if request.param == "file":
        made: Backend = FileBackend(data_dir=str(tmp_path))
    elif request.param == "memcached":
        server = request.getfixturevalue("memcached_server")
        made = connect(server, prefix="app:", timeout_ms=3000)
    else:
        target = request.getfixturevalue("redis_one")
        made = connect_redis(target, REDIS_TIMEOUT_MS="3000", REDIS_PREFIX="app:")
    if request.param == "memcached":
        request.getfixturevalue("memcached_server").say(b"flush_all\r\n")
    else:
        made.flush()
    yield made
    made.close()
