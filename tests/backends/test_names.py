"""Names that are looked up, and addresses that are connected to, within one bound."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import names
from backends.names import Address, NotLookedUp, connect, look_up
from tests.support import scripts
from tests.support.processes import free_port
from tests.support.resolver import NotPermitted, dead_addresses, silent_resolver
from tests.support.timing import Stopwatch


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Address] | float | OSError]:
    """Names and their addresses; or the seconds in which a name server does not answer."""
    table: dict[str, list[Address] | float | OSError] = {}
    real = names._ask

    def ask(host: str, port: int, flags: int = 0) -> list[Address]:
        found = table.get(host)
        if found is None or flags:
            return real(host, port, flags)
        if isinstance(found, float):
            time.sleep(found)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        if isinstance(found, OSError):
            raise found
        return [Address(each.family, (each.place[0], port)) for each in found]

    monkeypatch.setattr(names, "_ask", ask)
    monkeypatch.setattr(names, "_known", {})
    return table


def addresses(*places: str) -> list[Address]:
    return [Address(socket.AF_INET, (place, 0)) for place in places]


def test_numbers_need_no_name_server(known: dict[str, object]) -> None:
    known["127.0.0.1"] = 30.0
    taken = Stopwatch()
    assert [each.place for each in look_up("127.0.0.1", 7, 1)] == [("127.0.0.1", 7)]
    assert look_up("[::1]", 7, 1)[0].place[:2] == ("::1", 7)
    assert taken() < 0.5


def test_a_name_that_is_not_answered_for_costs_the_limit_and_no_more(
    known: dict[str, object],
) -> None:
    known["silent.test"] = 3.0
    for _ in range(2):
        taken = Stopwatch()
        with pytest.raises(NotLookedUp):
            connect("silent.test", 1, 0.2)
        assert taken() < 0.8


def test_all_who_want_a_name_share_one_look_up(known: dict[str, object]) -> None:
    known["silent.test"] = 2.0
    for _ in range(20):
        with contextlib.suppress(NotLookedUp):
            look_up("silent.test", 1, 0.01)
    assert len(names._running) == 1


def test_an_unknown_name_is_said_to_be_unknown(known: dict[str, object]) -> None:
    known["nobody.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(socket.gaierror):
        connect("nobody.test", 1, 5)
    with pytest.raises(OSError, match=r".+"):
        connect("a" * 70 + ".test", 1, 5)


def test_a_name_that_was_known_is_served_while_the_name_server_is_silent(
    known: dict[str, object], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "FRESH_SECONDS", 0.0)
    port = listener.getsockname()[1]
    known["cache.test"] = addresses("127.0.0.1")
    connect("cache.test", port, 5).close()
    known["cache.test"] = 3.0
    taken = Stopwatch()
    connect("cache.test", port, 0.4).close()
    assert taken() < 1


def test_an_address_that_changed_is_found(
    known: dict[str, object], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "FRESH_SECONDS", 0.0)
    port = listener.getsockname()[1]
    known["cache.test"] = addresses("127.0.0.99")
    with pytest.raises(ConnectionRefusedError):
        connect("cache.test", port, 2)
    known["cache.test"] = addresses("127.0.0.1")
    connect("cache.test", port, 2).close()


def test_dead_addresses_share_one_limit(known: dict[str, object]) -> None:
    with dead_addresses(4) as (dead, port):
        known["dead.test"] = addresses(*dead)
        taken = Stopwatch()
        with pytest.raises(TimeoutError):
            connect("dead.test", port, 0.3)
        assert taken() < 0.8


def test_an_address_that_answers_is_found_behind_dead_and_refusing_ones(
    known: dict[str, object],
) -> None:
    with dead_addresses(3) as (dead, port), socket.create_server(("127.0.0.1", port)):
        known["one.test"] = addresses(dead[0], "127.0.0.98", dead[1], dead[2], "127.0.0.1")
        with connect("one.test", port, 3) as made:
            assert made.getpeername() == ("127.0.0.1", port)
            assert made.getblocking()


def test_refused_by_all_is_refused_at_once(known: dict[str, object]) -> None:
    known["refusing.test"] = addresses("127.0.0.97", "127.0.0.98")
    taken = Stopwatch()
    with pytest.raises(ConnectionRefusedError):
        connect("refusing.test", free_port(), 30)
    assert taken() < 5


def test_a_forked_child_looks_up_for_itself() -> None:
    output = scripts.run(
        """
        import os, socket, time
        from backends import names
        real = names._ask
        def slow(host, port, flags=0):
            if not flags:
                time.sleep(1)
            return real(host, port, flags)
        names._ask = slow
        try:
            names.look_up("localhost", 1, 0.1)
        except names.NotLookedUp:
            pass
        child = os.fork()
        if child == 0:
            os._exit(0 if names.look_up("localhost", 1, 30) else 1)
        print(os.waitpid(child, 0)[1])
        """
    )
    assert output == "0\n"


def test_the_real_resolver_of_a_machine_without_an_answer_is_not_waited_for(
    tmp_path: Path,
) -> None:
    script = (
        "import time\n"
        "from backends import names\n"
        "started = time.monotonic()\n"
        "try:\n"
        "    names.connect('silent.test', 1, 0.3)\n"
        "except names.NotLookedUp:\n"
        "    print(time.monotonic() - started < 3)\n"
    )
    try:
        with silent_resolver(tmp_path, {}) as within:
            assert scripts.run(script, within=within) == "True\n"
    except NotPermitted as error:
        pytest.skip(f"no mount namespace here: {error}")
