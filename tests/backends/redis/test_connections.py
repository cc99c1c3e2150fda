"""Ways to a Redis server: TLS, URLs, Unix sockets, databases, users."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from backends.base import MISSING, Item
from backends.errors import BackendError, Unavailable
from tests.conftest import connect_redis
from tests.support.certificates import Certificates, make_certificates
from tests.support.processes import eventually, free_port
from tests.support.redis import LEAST_RIGHTS, PASSWORD, USER, Redis, redis_server, tls_redis
from tests.support.redis_groups import SLOTS, Cluster, tls_sentinel

NOTHING = SimpleNamespace(settings={})
LACKING = r"^REDIS_DATABASE: .* has no database of this number"


def works(target: object, **settings: str) -> None:
    backend = connect_redis(target, **settings)
    backend.set("k", b"1", None)
    assert backend.increment("k", 1) == 2
    assert backend.get("k") == b"2"
    backend.flush()
    assert backend.get("k") is MISSING
    backend.close()


def refused(target: object, message: str, **settings: str) -> None:
    backend = connect_redis(target, **settings)
    for _ in range(2):
        with pytest.raises(BackendError, match=message) as caught:
            backend.get("k")
        assert isinstance(caught.value, Unavailable)
    backend.close()


def test_tls_with_and_without_a_client_certificate(redis_tls: Redis) -> None:
    works(redis_tls)
    works(redis_tls, REDIS_HOST="localhost")
    works(redis_tls, REDIS_TLS="false", REDIS_URL=f"rediss://127.0.0.1:{redis_tls.port}")
    refused(redis_tls, "^TLS failed|^Connection", REDIS_TLS_CERT="", REDIS_TLS_KEY="")


def test_a_server_that_the_authority_does_not_vouch_for_is_refused(
    redis_tls: Redis, tmp_path: Path
) -> None:
    stranger = make_certificates(tmp_path)
    message = "^TLS failed: Redis at .* do not accept each other"
    refused(redis_tls, message, REDIS_TLS_CA=str(stranger.authority))
    # The authorities of the system do not know it either.
    refused(redis_tls, message, REDIS_TLS_CA="")
    works(redis_tls, REDIS_TLS_CA="", REDIS_TLS_VERIFY="false")


@pytest.mark.redis_alone
def test_a_server_by_another_name_is_refused(tmp_path: Path) -> None:
    elsewhere: Certificates = make_certificates(tmp_path, "DNS:elsewhere.example")
    with tls_redis(elsewhere) as server:
        refused(server, "^TLS failed: ")
        works(server, REDIS_TLS_VERIFY="false")


def test_tls_against_plain_and_plain_against_tls(redis_tls: Redis, redis_one: Redis) -> None:
    # Each may wait for the other to say something.
    for server, tls in ((redis_tls, "false"), (redis_one, "true")):
        refused(server, "^Connection|^TLS", REDIS_TLS=tls, REDIS_TIMEOUT_MS="500")


def test_a_cluster_that_speaks_tls(redis_tls: Redis) -> None:
    certificates = redis_tls.certificates
    assert certificates is not None
    options = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip")
    bus = ("--cluster-port", str(free_port()))
    with redis_server(*options, "127.0.0.1", *bus, certificates=certificates) as node:
        node.call("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        eventually(lambda: b"cluster_state:ok" in node.call("CLUSTER", "INFO"), 10)
        works(node, REDIS_CLUSTER="true")
        backend = connect_redis(node, REDIS_CLUSTER="true")
        values = {f"key{number}": b"%d" % number for number in range(50)}
        assert set(backend.set_many([Item(key, values[key], 60) for key in values])) == {True}
        assert backend.get_many([*values, "absent"]) == values
        backend.close()
        refused(node, "^Connection|^TLS", REDIS_CLUSTER="true", REDIS_TLS="false")


@pytest.mark.redis_alone
@pytest.mark.parametrize("of_sentinel", [False, True])
def test_sentinels_whose_tls_is_not_the_masters(
    redis_tls: Redis, redis_one: Redis, certificates: Certificates, of_sentinel: bool
) -> None:
    master = redis_one if of_sentinel else redis_tls
    with tls_sentinel(master, certificates, tls=of_sentinel) as sentinel:
        settings = certificates.settings() | {
            "REDIS_SENTINEL_HOST": f"127.0.0.1:{sentinel.port}",
            "REDIS_TLS": str(not of_sentinel).lower(),
        }
        works(master, **settings, REDIS_SENTINEL_TLS=str(of_sentinel).lower())
        backend = connect_redis(master, **settings)
        with pytest.raises(BackendError, match="the sentinel at "):
            backend.get("k")
        backend.close()


def test_sentinels_that_speak_tls(redis_tls: Redis, certificates: Certificates) -> None:
    with tls_sentinel(redis_tls, certificates) as sentinel:
        settings = {"REDIS_SENTINEL_HOST": f"127.0.0.1:{sentinel.port}"}
        works(redis_tls, **settings)
        refused(redis_tls, "^Connection|^TLS", REDIS_TLS="false", **settings)


def test_a_url_with_tls_by_either_name(redis_tls: Redis) -> None:
    for scheme in ("rediss", "valkeys"):
        works(redis_tls, REDIS_TLS="false", REDIS_URL=f"{scheme}://127.0.0.1:{redis_tls.port}")


def test_urls(redis_one: Redis, redis_locked: Redis) -> None:
    address = f"127.0.0.1:{redis_locked.port}"
    works(NOTHING, REDIS_URL=f"valkey://127.0.0.1:{redis_one.port}")
    works(NOTHING, REDIS_URL=f"valkey://:{PASSWORD}@{address}/7")
    works(NOTHING, REDIS_URL=f"redis://127.0.0.1:{redis_one.port}")
    works(NOTHING, REDIS_URL=f"redis://:{PASSWORD}@{address}/7")
    works(NOTHING, REDIS_URL=f"redis://default:{PASSWORD}@{address}?db=7")
    works(NOTHING, REDIS_URL=f"unix://{redis_one.socket}?db=3")
    works(NOTHING, REDIS_URL=f"unix://default:{PASSWORD}@{redis_locked.socket}")
    works(NOTHING, REDIS_URL=f"redis://{address}", REDIS_PASSWORD=PASSWORD)


def test_a_database_is_apart(redis_one: Redis) -> None:
    redis_one.empty()
    one, other = (connect_redis(redis_one, REDIS_DATABASE=number) for number in "12")
    one.set("k", b"1", None)
    other.set("k", b"2", None)
    other.flush()
    assert (one.get("k"), other.get("k")) == (b"1", MISSING)
    assert redis_one.call("GET", "cacheapi:k", db=1) == b"1"
    for backend in (one, other):
        backend.close()


def test_a_database_that_the_server_lacks_is_an_error(redis_one: Redis) -> None:
    backend = connect_redis(redis_one, REDIS_DATABASE="99")
    with pytest.raises(BackendError, match=LACKING):
        backend.get("k")
    backend.close()


def test_a_database_of_a_cluster_is_valkeys_alone(
    redis_nodes: Cluster, valkey_nodes: Cluster
) -> None:
    valkey_nodes.empty()
    works(valkey_nodes, REDIS_DATABASE="15")
    one, other = (connect_redis(valkey_nodes, REDIS_DATABASE=number) for number in "12")
    items = [Item(f"k{number}", b"1", None) for number in range(30)]
    assert set(one.set_many(items)) == {True}
    other.set("k0", b"2", None)
    other.flush()
    assert len(one.list_keys("", 100, None)[0]) == 30
    assert sum(found.figures.curr_items or 0 for found in one.stats() if found.figures) == 30
    for target, number in ((redis_nodes, "1"), (valkey_nodes, "16")):
        lacking = connect_redis(target, REDIS_DATABASE=number)
        with pytest.raises(BackendError, match=LACKING):
            lacking.get("k")
        with pytest.raises(BackendError, match=LACKING):
            lacking.set("k", b"1", None)
        lacking.close()
    for backend in (one, other):
        backend.close()


def test_the_least_rights_suffice_in_a_database_and_in_a_cluster(redis_nodes: Cluster) -> None:
    user = {"REDIS_USERNAME": USER, "REDIS_PASSWORD": PASSWORD}
    rights = ("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *LEAST_RIGHTS)
    with redis_server() as server:
        server.call(*rights, "+select")
        works(server, REDIS_DATABASE="2", **user)
    for node in redis_nodes.nodes:
        node.call(*rights, "+cluster|slots")
    try:
        works(redis_nodes, **user)
    finally:
        for node in redis_nodes.nodes:
            node.call("ACL", "DELUSER", USER)


def test_a_flush_of_the_database_needs_a_right_of_its_own() -> None:
    user = {"REDIS_USERNAME": USER, "REDIS_PASSWORD": PASSWORD, "REDIS_PREFIX": ""}
    with redis_server() as server:
        server.call("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *LEAST_RIGHTS, "allkeys")
        backend = connect_redis(server, REDIS_ALLOW_FLUSHDB="true", **user)
        with pytest.raises(BackendError, match="NOPERM"):
            backend.flush()
        server.call("ACL", "SETUSER", USER, "+flushdb")
        backend.flush()
        backend.close()
