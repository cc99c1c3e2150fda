"""A memcached that numbers nothing (``-C``): what needs that is refused, and said to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from backends.base import MISSING
from backends.capabilities import Capability
from backends.errors import Unsupported
from backends.memcached.backend import MemcachedBackend
from backends.statistics import Figures
from cacheapi.observing.advice import advise
from tests.conftest import connect
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    memcached,
    sasl_memcached,
)

LOST = {Capability.COMPARE_AND_SET, Capability.GET_AND_DELETE}
LOGIN = {"username": SASL_USER, "password": SASL_PASSWORD}


@pytest.fixture(scope="module")
def server() -> Iterator[Memcached]:
    with memcached("-C") as running:
        yield running


@pytest.fixture
def backend(server: Memcached) -> Iterator[MemcachedBackend]:
    made = connect(server)
    yield made
    made.close()


def test_the_first_look_takes_the_flags_away(backend: MemcachedBackend) -> None:
    assert backend.capabilities >= LOST
    backend.learn_capabilities()
    assert not backend.capabilities & LOST
    assert Capability.TOUCH in backend.capabilities
    assert MemcachedBackend.capabilities >= LOST


CALLS: dict[str, tuple[Callable[[MemcachedBackend], object], Capability]] = {
    "get_with_token": (lambda backend: backend.get_with_token("k"), Capability.COMPARE_AND_SET),
    "get_and_delete": (lambda backend: backend.get_and_delete("k"), Capability.GET_AND_DELETE),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_error_names_the_option_before_anything_was_learned(
    name: str, backend: MemcachedBackend
) -> None:
    call, capability = CALLS[name]
    backend.set("k", b"1", None)
    for _ in range(2):
        with pytest.raises(Unsupported, match=r"without CAS .*-C") as caught:
            call(backend)
        assert caught.value.capability is capability
    assert backend.get("k") == b"1"


def test_all_else_works(backend: MemcachedBackend) -> None:
    backend.learn_capabilities()
    backend.set("k", b"1", None)
    assert backend.add("k", b"2", None) is False
    assert backend.replace("k", b"3", None) is True
    assert backend.touch("k", 60) is True
    assert backend.increment("k", 4) == 7
    assert backend.delete("k") is True


def test_what_is_stored_after_a_flush_is_there(backend: MemcachedBackend) -> None:
    for number in range(3):
        backend.flush()
        backend.set("after", b"%d" % number, None)
        assert backend.get("after") == b"%d" % number
        time.sleep(0.3)


def test_a_flush_says_what_it_costs(
    backend: MemcachedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.flush()
    (message,) = caplog.messages
    assert "-C" in message
    assert "second of a flush" in message


def test_with_a_login_a_new_lifetime_is_refused_as_well() -> None:
    with sasl_memcached("-C") as server:
        backend = connect(server, **LOGIN)
        backend.set("k", b"1", None)
        with pytest.raises(Unsupported, match="-C") as caught:
            backend.touch("k", 60)
        assert caught.value.capability is Capability.TOUCH
        assert not backend.capabilities & {*LOST, Capability.TOUCH}
        backend.close()


def test_a_server_that_is_started_again_without_it_gives_the_flags_back() -> None:
    with memcached("-C") as server:
        backend = connect(server)
        backend.learn_capabilities()
        server._arguments = ()
        server.restart()
        backend.stats()
        assert backend.capabilities >= LOST
        backend.set("k", b"1", None)
        assert backend.get_and_delete("k") == b"1"
        backend.close()


def test_of_a_pool_one_server_is_enough() -> None:
    with memcached("-C") as one, memcached() as two:
        backend = MemcachedBackend(
            servers=MemcachedBackend.options[0].kind.parse(
                f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
            )
        )
        backend.learn_capabilities()
        assert not backend.capabilities & LOST
        with pytest.raises(Unsupported, match="a server of it"):
            backend.get_and_delete("k")
        assert backend.get("k") is MISSING
        backend.close()


def test_advice_says_so(backend: MemcachedBackend) -> None:
    (advice,) = advise(Figures(), backend.stats())
    assert advice.rule == "no-cas"
    assert "-C" in advice.message
