"""The lane on memcached and Redis: every verb is answered as Flask does, and counts are exact."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.http.lane.test_lane import (
    ALIKE,
    LAST,
    all_answers,
    changes,
    store,
    stores,
)
from tests.support.live import CACHE, head
from tests.support.processes import Service, memcached, service
from tests.support.redis import redis_server

FLASK = "tests.support.apps:flask_alone()"


@contextlib.contextmanager
def served(kind: str, directory: Any, **more: Any) -> Iterator[Service]:
    """Run a service over a cache server of its own."""
    with contextlib.ExitStack() as stack:
        if kind == "redis":
            own = stack.enter_context(redis_server()).settings
        else:
            own = {"MEMCACHED_HOST": f"127.0.0.1:{stack.enter_context(memcached()).port}"}
        settings = {**own, "CACHE_DRIVER": kind, **ALIKE}
        yield stack.enter_context(service(directory, **more, **settings))


@pytest.fixture(scope="module", params=["memcached", "redis"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service]]:
    """The service with its lane, and without."""
    lane, flask = tmp_path_factory.mktemp("lane"), tmp_path_factory.mktemp("flask")
    with served(request.param, lane) as one, served(request.param, flask, app=FLASK) as other:
        yield one, other


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(changes() | stores(), min_size=1, max_size=6))
def test_an_answer_of_the_lane_is_flasks(both: tuple[Service, Service], sent: list[bytes]) -> None:
    data = b"".join(sent) + LAST
    # A list of all keys, which each server gives in an order of its own.
    assume(b"X-HTTP-Method: GET" not in data)
    assert all_answers(both[0], data) == all_answers(both[1], data), data


def test_requests_of_a_connection_keep_their_order(both: tuple[Service, Service]) -> None:
    target = f"{CACHE}/order"
    sent = [head(f"DELETE {target}")]
    for number in range(8):
        sent += [
            store({"key": "order", "value": number}),
            head(f"GET {target}"),
            store({"increment": 10}, method="PATCH", target=target),
            store({"value": "x"}, method="PUT", target=target),
            head(f"GET {target}?pull=true"),
            head(f"GET {target}"),
            store({"value": [number]}, target=target),
            head(f"HEAD {target}"),
            head(f"DELETE {target}"),
        ]
    data = b"".join(sent) + LAST
    answers = all_answers(both[0], data)
    assert answers.count(b"HTTP/1.1 201") == 16
    assert answers == all_answers(both[1], data)
