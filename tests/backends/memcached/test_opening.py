"""Ways to a memcached: a login by text, TLS, a Unix socket."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import MISSING, Item
from backends.capabilities import Capability
from backends.errors import AuthenticationFailed, BackendError, InvalidOption, LoginNotSent
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from cacheapi.registry.trial import run_on
from tests.conftest import connect
from tests.support.certificates import Certificates, make_certificates
from tests.support.processes import Memcached, Server, eventually, memcached

USER, PASSWORD = "somebody", "a-pass:word"


@contextlib.contextmanager
def locked(*arguments: str) -> Iterator[Memcached]:
    """Run a server that wants a login by text."""
    with tempfile.TemporaryDirectory() as directory:
        users = Path(directory) / "users"
        users.write_text(f"other:other\n{USER}:{PASSWORD}\n")
        with memcached("-Y", str(users), *arguments) as server:
            yield server


def tls_options(certificates: Certificates, *more: str) -> tuple[str, ...]:
    chain = f"ssl_chain_cert={certificates.server},ssl_key={certificates.server_key}"
    return "-Z", "-o", ",".join([chain, *more])


def works(backend: MemcachedBackend) -> None:
    """Do each thing that has a way of its own."""
    backend.flush()
    backend.set("k", b"1", 60)
    assert backend.increment("k", 1) == 2
    assert backend.get("k") == b"2"
    assert 59 <= (backend.remaining_ttl("k") or 0) <= 61
    assert backend.stats()[0].error is None
    large = b"x" * 500_000
    assert backend.set_many([Item(f"k{number}", large, 60) for number in range(5)]) == [True] * 5
    assert backend.get_many([f"k{number}" for number in range(6)]) == {
        f"k{number}": large for number in range(5)
    }
    outcome = run_on(backend)
    assert outcome.success, outcome
    assert backend.delete("k")
    assert backend.get("k") is MISSING
    assert Capability.REMAINING_TTL in backend.capabilities
    backend.close()


def said(backend: MemcachedBackend) -> BackendError:
    """Return what a read raises; the statistics say the same."""
    error = first_error(backend)
    assert str(error) in str(backend.stats()[0].error)
    backend.close()
    return error


def first_error(backend: MemcachedBackend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        backend.get("k")
    return caught.value


# A login by text


def test_a_login_by_text() -> None:
    with locked() as server:
        works(connect(server, username=USER, password=PASSWORD, auth="text", timeout_ms=3000))


def test_a_login_by_text_that_is_refused_missing_or_not_wanted(
    memcached_server: Memcached,
) -> None:
    memcached_server.say(b"flush_all\r\n")
    with locked() as server:
        wrong = connect(server, username=USER, password="wr0ng-one", auth="text")
        error = said(wrong)
        assert isinstance(error, AuthenticationFailed)
        assert "refused the configured user name or password" in str(error)
        assert "wr0ng-one" not in str(error)
        error = said(connect(server))
        assert isinstance(error, LoginNotSent)
        assert "MEMCACHED_AUTH=text" in error.cause
    stored = int(memcached_server.statistics()["cmd_set"])
    error = said(connect(memcached_server, username=USER, password=PASSWORD, auth="text"))
    assert isinstance(error, LoginNotSent)
    assert "takes no logins (memcached without -Y)" in str(error)
    # And the password is not among its values.
    assert int(memcached_server.statistics()["cmd_set"]) == stored


def test_a_connection_that_was_idle_or_dropped_logs_in_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backends.memcached.link.IDLE_SECONDS", 0.0)
    with locked() as server:
        backend = connect(server, username=USER, password=PASSWORD, auth="text", timeout_ms=3000)
        for _ in range(3):
            backend.set("k", b"1", None)
            assert backend.get("k") == b"1"
        server.restart()
        assert backend.get("k") is MISSING
        backend.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"username": "a b", "password": "c", "auth": "text"}, "MEMCACHED_USERNAME"),
        ({"username": "a", "password": "b c", "auth": "text"}, "white space"),
        ({"username": "a", "auth": "text"}, "MEMCACHED_PASSWORD"),
        ({"username": "a", "password": "b", "tls": True}, "MEMCACHED_AUTH=text"),
        ({"tls": True, "tls_cert": "/c"}, "MEMCACHED_TLS_KEY"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidOption, match=named):
        MemcachedBackend(servers=parse_servers("localhost"), **settings)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="MEMCACHED_AUTH=text"):
        MemcachedBackend(servers=parse_servers("/a"), username="a", password="b")


# TLS


def test_tls(certificates: Certificates) -> None:
    with memcached(*tls_options(certificates)) as server:
        trust = {"tls": True, "tls_ca": str(certificates.authority), "timeout_ms": 3000}
        works(connect(server, **trust))
        works(connect(server, tls=True, tls_verify=False, timeout_ms=3000))
        error = said(connect(server, tls=True, timeout_ms=3000))
        assert str(error).startswith("TLS failed: ")
        assert "certificate" in str(error)
        assert "MEMCACHED_TLS=true" in said(connect(server)).cause  # type: ignore[attr-defined]
        (endpoint,) = connect(server, **trust).endpoints()
        assert endpoint.tls is not None


def test_tls_with_a_certificate_of_the_client_and_a_login(certificates: Certificates) -> None:
    asks = (f"ssl_ca_cert={certificates.authority}", "ssl_verify_mode=2")
    with locked(*tls_options(certificates, *asks)) as server:
        own = {"tls_cert": str(certificates.client), "tls_key": str(certificates.client_key)}
        trust = {"tls": True, "tls_ca": str(certificates.authority), "timeout_ms": 3000}
        login = {"username": USER, "password": PASSWORD, "auth": "text"}
        works(connect(server, **trust, **login, **own))
        # Whether the server's alert is read or the reset that follows it is chance: two texts.
        without = connect(server, **trust, **login)
        for error in (first_error(without), without.stats()[0].error):
            assert str(error).startswith("TLS failed: ")
        without.close()


def test_tls_to_another_name_and_to_a_server_without(
    tmp_path: Path, memcached_server: Memcached
) -> None:
    elsewhere = make_certificates(tmp_path, "DNS:elsewhere.example")
    with memcached(*tls_options(elsewhere)) as server:
        backend = connect(server, tls=True, tls_ca=str(elsewhere.authority), timeout_ms=3000)
        assert "TLS failed: " in str(said(backend))
    error = said(connect(memcached_server, tls=True))
    assert "TLS" in str(error) or "timed out" in str(error)


def test_a_file_of_a_certificate_that_is_not_there(memcached_server: Memcached) -> None:
    error = said(connect(memcached_server, tls=True, tls_ca="/nowhere/ca.crt"))
    assert "TLS failed" in str(error)
    assert "No such file" in str(error)


# Unix sockets


class AtAPath(Server):
    """A memcached on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(0)

    def start(self) -> None:
        user = ("-u", "root") if os.getuid() == 0 else ()
        self._process = subprocess.Popen(["memcached", "-s", str(self.path), *user])
        eventually(self.path.exists, 20)


@pytest.mark.parametrize("scheme", ["", "unix://"])
def test_a_unix_socket(tmp_path: Path, scheme: str) -> None:
    server = AtAPath(tmp_path / "memcached.sock")
    try:
        backend = MemcachedBackend(servers=parse_servers(f"{scheme}{server.path}"), timeout_ms=3000)
        (endpoint,) = backend.endpoints()
        assert (endpoint.path, endpoint.address) == (str(server.path), None)
        assert backend.places() == {f"memcached {server.path}"}
        works(backend)
    finally:
        server.stop()
    assert "cannot be reached" in str(said(backend))


def test_a_unix_socket_in_a_pool(tmp_path: Path, memcached_server: Memcached) -> None:
    server = AtAPath(tmp_path / "memcached.sock")
    try:
        pool = parse_servers(f"127.0.0.1:{memcached_server.port},{server.path}")
        backend = MemcachedBackend(servers=pool, timeout_ms=3000)
        items = [Item(f"k{number}", b"1", 60) for number in range(50)]
        assert set(backend.set_many(items)) == {True}
        assert len(backend.get_many(item.key for item in items)) == 50
        assert [found.error for found in backend.stats()] == [None, None]
        backend.close()
    finally:
        server.stop()
