"""What is stored, found whole or not at all, and gone at once when it is purged."""

from __future__ import annotations

import threading

import msgspec
import pytest

from backends.base import MISSING, Backend
from backends.file.backend import FileBackend
from cacheapi.responses import entries
from cacheapi.responses.bodies import INLINE_BYTES, PART_BYTES
from cacheapi.responses.messages import Stored
from cacheapi.responses.store import MOST_TAGS, Store
from tests.conftest import Clock

URL = "http://shop.example/items"


def stored(body: bytes = b"body", *, target: str = URL, vary: dict | None = None, **more) -> Stored:
    vary = vary or {}
    made = Stored(
        target=target,
        vary=tuple(vary),
        selecting=tuple(vary.values()),
        status=200,
        fields=(("etag", '"1"'),),
        request_time=1_800_000_000.0,
        response_time=1_800_000_000.0,
        initial_age=0.0,
        lifetime=60.0,
        rule="max-age",
        validate=False,
        never_stale=False,
        immutable=False,
        while_revalidate=0.0,
        if_error=0.0,
        length=len(body),
    )
    return msgspec.structs.replace(made, **more)


def make(cache: Backend, name: str = "shop", clock=None) -> Store:
    return Store(name, cache, clock=clock or Clock())


def put(store: Store, body: bytes = b"body", *, tags=(), target: str = URL, **more) -> bool:
    ticket = store.begin(target, store.look(target))
    return store.save(ticket, stored(body, target=target, **more), body, tags, 60.0)


def bodies(store: Store, target: str = URL) -> list[bytes | None]:
    return [store.body(variant) for variant in store.look(target).variants]


@pytest.mark.parametrize(
    "size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, PART_BYTES, 3 * PART_BYTES + 7]
)
def test_a_body_comes_back_whole(cache: Backend, size: int) -> None:
    store, body = make(cache), bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert put(store, body)
    assert bodies(store) == [body]
    (variant,) = store.look(URL).variants
    assert (variant.place.parts > 0) == (size > INLINE_BYTES)
    assert variant.stored == stored(body)


def test_a_body_that_lost_a_part_is_none(cache: Backend) -> None:
    store = make(cache)
    assert put(store, bytes(2 * PART_BYTES))
    (variant,) = store.look(URL).variants
    assert cache.delete(entries.part_key(variant.place.name, 1))
    assert bodies(store) == [None]


def test_what_takes_the_place_of_a_body_leaves_no_parts_of_it(cache: Backend) -> None:
    store = make(cache)
    put(store, bytes(2 * PART_BYTES))
    (variant,) = store.look(URL).variants
    put(store, b"short")
    assert bodies(store) == [b"short"]
    assert cache.get(entries.part_key(variant.place.name, 0)) is MISSING


def test_an_answer_that_was_too_large_for_the_backend_leaves_nothing(tmp_path) -> None:
    cache = FileBackend(data_dir=str(tmp_path), max_mb=8)
    store = Store("shop", cache)
    assert cache.limits.max_value_bytes is not None
    assert put(store, bytes(1_500_000))
    assert bodies(store) == [bytes(1_500_000)]
    cache.close()


def test_variants_stand_side_by_side_and_the_oldest_goes(cache: Backend) -> None:
    store = make(cache)
    for number in range(40):
        name = f"{number}".encode()
        put(store, name, vary={"x-v": str(number)}, response_time=1_800_000_000.0 + number)
    found = bodies(store)
    assert found == [f"{number}".encode() for number in range(39, 7, -1)]
    put(store, b"new", vary={"x-v": "20"}, response_time=1_800_000_100.0)
    assert bodies(store)[:2] == [b"new", b"39"]
    assert len(bodies(store)) == 32


def test_a_record_stays_under_the_limit_of_an_item(cache: Backend) -> None:
    store = make(cache)
    fields = (("x-long", "a" * 60_000),)
    for number in range(30):
        assert put(
            store,
            b"x",
            vary={"x-v": str(number)},
            fields=fields,
            response_time=1_800_000_000.0 + number,
        )
    assert 10 <= len(bodies(store)) < 16


def test_services_and_urls_are_apart(cache: Backend) -> None:
    one, other = make(cache, "one"), make(cache, "other")
    put(one, b"1")
    assert bodies(other) == []
    assert bodies(one, URL + "?a") == []


def test_an_entry_of_another_url_is_never_found(cache: Backend) -> None:
    """Were two hashes equal, the URL in the entry would still tell."""
    store = make(cache)
    put(store, b"mine")
    raw = cache.get(entries.record_key("shop", URL))
    assert raw is not MISSING
    cache.set(entries.record_key("shop", URL + "/other"), raw, None)
    assert bodies(store, URL + "/other") == []
    put(store, b"other", target=URL + "/other")
    assert bodies(store, URL + "/other") == [b"other"]


@pytest.mark.parametrize(
    "raw", [b"", b"text", b"\x93\x01\x02\x03", b"\x95\x02\xa1a\x93aaa\x90\x00"]
)
def test_what_another_program_stored_is_a_miss(cache: Backend, raw: bytes) -> None:
    store = make(cache)
    cache.set(entries.record_key("shop", URL), raw, None)
    cache.set(entries.service_key("shop"), raw, None)
    assert bodies(store) == []
    assert put(store)
    assert bodies(store) == [b"body"]


def test_keys_are_framed() -> None:
    assert entries.framed("ab", "c") != entries.framed("a", "bc")
    assert entries.lease_key("a", "b", (None, "")) != entries.lease_key("a", "b", ("", None))
    assert entries.tag_key("a", "1:b") != entries.tag_key("a1:b", "")


PURGES = {
    "url": lambda store, soft: store.purge_url(URL, soft=soft),
    "tag": lambda store, soft: store.purge_tags(["b"], soft=soft),
    "all": lambda store, soft: store.purge_all(soft=soft),
}


@pytest.mark.parametrize("purge", PURGES)
def test_a_purge_is_in_force_at_once_for_all_variants(cache: Backend, purge: str) -> None:
    one, other = make(cache), make(cache)
    put(one, b"1", vary={"x": "1"}, tags=["a", "b"])
    put(one, bytes(INLINE_BYTES + 1), vary={"x": "2"}, tags=["b"])
    assert len(bodies(other)) == 2
    PURGES[purge](one, False)
    assert bodies(other) == bodies(one) == []
    assert put(other, b"new", tags=["b"])
    assert bodies(one) == [b"new"]


def test_a_purge_leaves_all_others(cache: Backend) -> None:
    store = make(cache)
    put(store, b"1", tags=["ab"])
    put(store, b"2", target=URL + "/2", tags=["a"])
    store.purge_url(URL + "/3")
    store.purge_tags(["a*", "A", "b"])
    assert bodies(store) == [b"1"]
    store.purge_tags(["a"])
    assert (bodies(store), bodies(store, URL + "/2")) == ([b"1"], [])
    make(cache, "other").purge_all()
    assert bodies(store) == [b"1"]


@pytest.mark.parametrize("purge", PURGES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_fetch_that_began_before_a_purge_is_not_stored_as_fresh(
    cache: Backend, purge: str, soft: bool, first: bool
) -> None:
    store = make(cache)
    if not first:
        put(store, b"old", tags=["b"])
    ticket = store.begin(URL, store.look(URL))
    PURGES[purge](make(cache), soft)
    store.save(ticket, stored(b"under way"), b"under way", ["b"], 60.0)
    fresh = [one for one in store.look(URL).variants if one.stored.lifetime > 0]
    assert fresh == []


@pytest.mark.parametrize("purge", PURGES)
def test_a_soft_purge_makes_stale(cache: Backend, purge: str) -> None:
    clock = Clock()
    store = make(cache, clock=clock)
    put(store, b"old", tags=["a", "b"])
    clock.advance(7)
    PURGES[purge](store, True)
    (variant,) = store.look(URL).variants
    assert store.body(variant) == b"old"
    # Its freshness ended when it was purged, and windows of stale use count from there.
    assert variant.stored.lifetime == 7.0
    put(store, b"new", tags=["a", "b"])
    (variant,) = store.look(URL).variants
    assert (store.body(variant), variant.stored.lifetime) == (b"new", 60.0)


def test_a_soft_purge_brings_nothing_back(cache: Backend) -> None:
    store = make(cache)
    put(store, b"old", tags=["b"])
    for purge in PURGES.values():
        purge(store, False)
        purge(store, True)
    assert bodies(store) == []


@pytest.mark.parametrize("key", [entries.service_key("shop"), entries.tag_key("shop", "b")])
def test_a_generation_that_was_evicted_means_purged(cache: Backend, key: str) -> None:
    store = make(cache)
    put(store, b"old", tags=["b"])
    assert cache.delete(key)
    assert bodies(store) == []
    put(store, b"other", target=URL + "/other", tags=["b"])
    assert bodies(store) == []


def test_a_304_gives_what_is_stored_a_new_head(cache: Backend) -> None:
    store = make(cache)
    body = bytes(PART_BYTES + 1)
    put(store, body, tags=["b"])
    looked = store.look(URL)
    ticket = store.begin(URL, looked)
    fresh = stored(body, response_time=1_800_000_050.0)
    assert store.renew(ticket, looked.variants[0], fresh, 60.0)
    (variant,) = store.look(URL).variants
    assert (variant.stored, store.body(variant)) == (fresh, body)
    store.purge_tags(["b"])
    assert bodies(store) == []


@pytest.mark.parametrize("purge", PURGES)
def test_a_304_after_a_purge_brings_nothing_back(cache: Backend, purge: str) -> None:
    store = make(cache)
    put(store, b"old", tags=["b"])
    looked = store.look(URL)
    ticket = store.begin(URL, looked)
    PURGES[purge](store, False)
    store.renew(ticket, looked.variants[0], stored(b"old"), 60.0)
    assert bodies(store) == []


def test_tags_without_end_are_not_stored(cache: Backend) -> None:
    store = make(cache)
    assert not put(store, tags=[str(number) for number in range(MOST_TAGS + 1)])
    assert put(store, tags=["same"] * 1000)


def test_what_is_not_worth_waiting_for_is_remembered(cache: Backend) -> None:
    clock = Clock()
    store = make(cache, clock=clock)
    ticket = store.begin(URL, store.look(URL))
    store.leave_alone(ticket, 60)
    record = store.look(URL).record
    assert record is not None
    assert record.alone_until == clock.now + 60
    put(store)
    record = store.look(URL).record
    assert record is not None
    assert record.alone_until == 0


def test_variants_that_are_stored_at_once_are_all_kept(cache: Backend) -> None:
    store = make(cache)

    def work(number: int) -> None:
        put(store, b"%d" % number, vary={"x": str(number)})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bodies(store)) == [b"%d" % number for number in range(6)]
