"""Variants: RFC 9111, section 4.1."""

from __future__ import annotations

import itertools

import pytest

from cacheapi.responses.messages import Response, Stored
from cacheapi.responses.storing import keep
from cacheapi.responses.vary import MOST_VARIANTS, add_variant, normalise, select
from tests.cacheapi.responses.simulation import START, URL, Cache, answer, fields, get

FRESH = "Cache-Control: max-age=5000"


def variant(*lines: str, asked: tuple[str, ...] = (), at: float = START) -> Stored:
    response = Response(200, fields(FRESH, *lines))
    stored = keep(get(*asked), response, at, at, 0)
    assert stored is not None
    return stored


@pytest.mark.parametrize(
    ("vary", "first", "second", "same"),
    [
        ("Foo", ["Foo: 1"], ["Foo: 1"], True),
        ("Foo", ["Foo: 1"], ["Foo: 2"], False),
        ("Foo", ["Foo: 1"], [], False),
        ("Foo", [], ["Foo: 1"], False),
        ("Foo", [], ["Foo:"], False),
        ("Foo", [], [], True),
        ("fOO", ["Foo: 1", "Other: 2"], ["foo: 1", "Other: 3"], True),
        ("Foo, Bar", ["Foo: 1", "Bar: abc"], ["Bar: abc", "Foo: 1"], True),
        ("Foo, Bar", ["Foo: 1", "Bar: abc"], ["Foo: 2", "Bar: abc"], False),
        ("Foo, Bar", ["Foo: 1", "Bar: abc"], [], False),
        ("Foo, Bar", ["Foo: 1", "Bar: 2"], ["Foo: 2", "Bar: 1"], False),
        ("Foo, Bar, Baz", ["Foo: 1", "Bar: 2", "Baz: 3"], ["Baz: 3", "Bar: 2", "Foo: 1"], True),
        ("Foo, Bar, Baz", ["Foo: 1", "Bar: 2", "Baz: 3"], ["Foo: 1", "Baz: 3", "Bar: 22"], False),
        ("Foo, Bar, Baz", ["Foo: 1", "Baz: 3"], ["Foo: 1", "Baz: 3"], True),
        ("Foo", ["Foo: 1,2"], ["Foo:  1, 2 "], True),
        ("Foo", ["Foo: 1, 2"], ["Foo: 1", "Foo: 2"], True),
        ("Foo", ["Foo: 1, 2"], ["Foo: 2, 1"], False),
        ("Foo", ["Foo: a"], ["Foo: A"], False),
        ("Foo", ['Foo: "1,2"'], ['Foo: "1, 2"'], False),
        ("*", ["Foo: 1"], ["Foo: 1"], False),
        ("*, *", ["Foo: 1"], ["Foo: 1"], False),
        (", *", ["Foo: 1"], ["Foo: 1"], False),
        ("*, Foo", ["Foo: 1"], ["Foo: 1"], False),
        ("Foo, *", ["Foo: 1"], ["Foo: 1"], False),
        ("", ["Foo: 1"], ["Foo: 2"], True),
        ("Accept-Language", ["Accept-Language: en, de"], ["Accept-Language: de, en"], True),
        ("Accept-Language", ["Accept-Language: en, de"], ["Accept-Language: eN,   De"], True),
        ("Accept-Language", ["Accept-Language: en, de"], ["Accept-Language: en, de;q=0.5"], False),
        ("Accept-Language", ["Accept-Language: en;q=0.50"], ["Accept-Language: en;q=0.5"], True),
        ("Accept-Encoding", ["Accept-Encoding: gzip, br"], ["Accept-Encoding: br, x-gzip"], True),
        ("Accept-Encoding", ["Accept-Encoding: gzip"], ["Accept-Encoding: gzip;q=0"], False),
        ("Accept-Encoding", ["Accept-Encoding: gzip"], ["Accept-Encoding: identity"], False),
        ("Accept-Encoding", ["Accept-Encoding: gzip;q=7"], ["Accept-Encoding: gzip"], False),
        ("Accept-Encoding", ["Accept-Encoding:"], [], False),
    ],
)
def test_9111_4_1_selecting_fields(
    vary: str, first: list[str], second: list[str], same: bool
) -> None:
    cache = Cache()
    cache.put(FRESH, f"Vary: {vary}", request=get(*first))
    assert cache.ask(get(*second)).cached is same


def test_9111_4_1_vary_on_several_lines() -> None:
    cache = Cache()
    cache.put(FRESH, "Vary: Foo", "Vary:", "Vary: Bar", request=get("Foo: 1", "Bar: 2"))
    assert cache.ask(get("Foo: 1", "Bar: 2")).cached
    assert not cache.ask(get("Foo: 1")).cached


@pytest.mark.parametrize(
    ("wanted", "cached"),
    [
        ("fr;q=0.5, de;q=1.0", True),
        ("DE", True),
        ("fr, de;q=0.9", False),
        ("de, fr", False),
        ("de;q=0", False),
        ("de;q=x", False),
        ("de-CH", False),
    ],
)
def test_9111_4_1_the_language_that_is_liked_best(wanted: str, cached: bool) -> None:
    cache = Cache()
    lines = [FRESH, "Vary: Accept-Language", "Content-Language: de"]
    cache.put(*lines, request=get("Accept-Language: en, de"))
    assert cache.ask(get(f"Accept-Language: {wanted}")).cached is cached


def test_9111_4_1_many_variants_live_together() -> None:
    """The order in which one library never hit with three: 1, 2, 1, 2, 3, 1, 2, 3."""
    cache = Cache()
    asked = [
        cache.ask(get(f"Foo: {value}"), answer(FRESH, "Vary: Foo", body=value.encode())).asked
        for value in "12123123"
    ]
    assert [bool(one) for one in asked] == [True, True, False, False, True, False, False, False]
    assert [cache.ask(get(f"Foo: {value}")).body for value in "123"] == [b"1", b"2", b"3"]


def test_9111_4_1_the_oldest_variant_goes() -> None:
    variants: tuple[Stored, ...] = ()
    for number in range(MOST_VARIANTS + 3):
        stored = variant("Vary: Foo", asked=(f"Foo: {number}",), at=START + number)
        variants = add_variant(variants, stored)
    assert len(variants) == MOST_VARIANTS
    kept = [one.selecting[0] for one in variants]
    assert kept == [str(number) for number in range(MOST_VARIANTS + 2, 2, -1)]


def test_9111_4_1_a_new_response_takes_its_forerunners_place() -> None:
    old, new = (variant("Vary: Foo", asked=("Foo: 1",), at=START + at) for at in (0, 1))
    assert add_variant((old,), new) == (new,)


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("Authorization", "Bearer secret", "Bearer secreT"),
        ("Cookie", "session=secret", "session=other"),
        ("Foo", "secret" * 100, "secret" * 101),
    ],
)
def test_9111_4_1_a_secret_selects_and_is_not_stored(name: str, value: str, other: str) -> None:
    cache = Cache()
    lines = [f"{FRESH}, public", f"Vary: {name}"]
    cache.put(*lines, request=get(f"{name}: {value}"))
    assert "secret" not in repr(cache.store)
    assert cache.ask(get(f"{name}: {value}")).cached
    assert not cache.ask(get(f"{name}: {other}"), answer(*lines)).cached
    assert not cache.ask(get()).cached


def test_9111_4_the_newest_of_several_that_fit() -> None:
    old = variant("Vary: Foo", asked=("Foo: 1",))
    new = variant("Vary: Bar", asked=("Bar: 1",), at=START + 1)
    for both in itertools.permutations((old, new)):
        assert select(both, URL, fields("Foo: 1", "Bar: 1")) is new
        assert select(both, URL, fields("Foo: 1")) is old


def test_a_key_that_two_urls_share_is_a_miss() -> None:
    stored = variant()
    assert select([stored], URL + "?other", ()) is None
    assert select([stored], URL, ()) is stored


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("accept-encoding", "gzip, deflate, br;q=1.0, zstd;q=0.1", "zstd;q=0.1, br, deflate, gzip"),
        ("accept-language", "de-CH, de;q=0.7,, *;q=0.5", "*;q=0.5, de;q=0.7, de-ch"),
        ("accept-language", "de;x=1,en", "de;x=1, en"),
        ("cookie", "a=1; b=2", "a=1; b=2"),
        ("foo", ",", ""),
        ("accept-language", "EN," * 200, "en"),
    ],
)
def test_9111_4_1_the_one_form(name: str, value: str, normal: str) -> None:
    assert normalise(name, value) == normal
