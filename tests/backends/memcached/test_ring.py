"""Where keys are on a pool: shares, what a change of the list moves, and libmemcached's own."""

from __future__ import annotations

import collections
import ctypes
import hashlib
import random

import pytest

from backends.memcached import libmemcached as memcached_client
from backends.memcached.libmemcached import pylibmc
from backends.memcached.options import Server, parse_servers
from backends.memcached.ring import Ring
from backends.memcached.target import Target

KEYS = [b"key:%d" % number for number in range(30_000)]
SOME = KEYS[:3000]


def servers_of(weights: list[int], choose: random.Random) -> list[Server]:
    ports = choose.sample(range(1024, 65536), len(weights))
    return [Server("127.0.0.1", port, weight) for port, weight in zip(ports, weights, strict=True)]


def ring_of(servers: list[Server], compatible: bool = False) -> Ring:
    target = Target(tuple(servers), 11211, compatible, None, "sasl", None, "off", 1.0)
    ring = target._ring(servers)
    assert ring is not None
    return ring


def homes(servers: list[Server], keys: list[bytes], compatible: bool = False) -> list[Server]:
    ring = ring_of(servers, compatible)
    return [servers[ring.home(key)] for key in keys]


@pytest.mark.parametrize(
    "weights", [[2, 1], [1, 1], [1, 1, 1, 1], [5, 3, 1], [1, 1, 8], [10, 20, 30, 40], [1, 100]]
)
def test_the_share_of_keys_follows_the_weights_within_five_points(weights: list[int]) -> None:
    choose = random.Random(str(weights))
    for _ in range(3):
        servers = servers_of(weights, choose)
        held = collections.Counter(homes(servers, KEYS))
        for server in servers:
            assert abs(held[server] / len(KEYS) - server.weight / sum(weights)) < 0.05


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [5, 3, 1, 1], [100, 50, 50, 50]])
def test_a_server_taken_off_the_list_moves_its_own_keys_and_no_other(weights: list[int]) -> None:
    servers = servers_of(weights, random.Random(7))
    before = homes(servers, SOME)
    for gone in servers:
        left = [server for server in servers if server != gone]
        after = homes(left, SOME)
        moved = [old for old, new in zip(before, after, strict=True) if old != new]
        assert set(moved) == {gone}


def test_with_libmemcacheds_points_a_server_off_the_list_moves_little_more_than_its_own() -> None:
    servers = servers_of([1, 1, 1, 1], random.Random(7))
    before = homes(servers, SOME, compatible=True)
    for gone in servers:
        after = homes([server for server in servers if server != gone], SOME, compatible=True)
        moved = [old for old, new in zip(before, after, strict=True) if old != new]
        assert len(moved) <= before.count(gone) + len(SOME) * 0.05


def test_a_server_that_is_left_out_leaves_its_keys_to_all_others_by_weight() -> None:
    servers = servers_of([2, 1, 1, 1], random.Random(3))
    ring = ring_of(servers)
    heirs: collections.Counter[int] = collections.Counter()
    for key in KEYS:
        order = list(ring.servers(key))
        assert order[0] == ring.home(key)
        assert sorted(order) == [0, 1, 2, 3]
        if order[0] == 1:
            heirs[order[1]] += 1
    for server, share in ((0, 0.5), (2, 0.25), (3, 0.25)):
        assert abs(heirs[server] / heirs.total() - share) < 0.1


@pytest.mark.parametrize("compatible", [False, True])
def test_the_order_of_the_list_moves_no_key(compatible: bool) -> None:
    servers = servers_of([3, 1, 2], random.Random(1))
    assert homes(servers, SOME, compatible) == homes(servers[::-1], SOME, compatible)


def test_the_same_list_is_the_same_ring_in_every_release() -> None:
    servers = list(parse_servers("server1:11211:2,server2:11211:1,10.0.0.3:11212:5"))
    names = ",".join(server.host for server in homes(servers, SOME))
    digest = hashlib.sha256(names.encode()).hexdigest()
    assert digest == "6acb71b8e9dd5c7f40104d4c9726234acbd66ec359b5c653ccea398b1dc44dc0"


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:11211:2,127.0.0.1:11212:1",
        "server1,server2:11211:7,server3:4000:3",
        "10.0.0.1:33:33,10.0.0.2:67:67,10.0.0.3:100:100",
        "[::1]:11211:1,[fe80::1]:5000:2",
        "a:1:1,b:2:100",
    ],
)
def test_compatible_places_are_libmemcacheds_own(text: str) -> None:
    servers = parse_servers(text)
    client = pylibmc.Client(
        [f"{server.address(11211)}:{server.weight}" for server in servers],
        behaviors={"ketama_weighted": 1},
    )
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__).value
    function = memcached_client._function
    by_key = function(
        "memcached_server_by_key",
        ctypes.c_void_p,
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)),
    )
    name = function("memcached_server_name", ctypes.c_char_p, ctypes.c_void_p)
    port = function("memcached_server_port", ctypes.c_uint16, ctypes.c_void_p)
    code = ctypes.c_int()
    for key, home in zip(SOME, homes(list(servers), SOME, compatible=True), strict=True):
        place = by_key(handle, key, len(key), ctypes.byref(code))
        assert (name(place).decode(), port(place)) == (home.host.strip("[]"), home.port or 11211)
