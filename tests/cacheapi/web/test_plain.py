"""What is read in one step is what the rules make of the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backends.capabilities import Limits
from backends.errors import InvalidKey
from cacheapi.caching import codec
from cacheapi.caching.codec import InvalidJson, Value, read_stored
from cacheapi.caching.pairs import Pair
from cacheapi.caching.values import Values
from cacheapi.web import batch
from cacheapi.web.errors import ApiError
from cacheapi.web.plain import plain_pairs, plain_value
from tests.backends.conformance.test_conformance import Least


class Cache:
    """What reading a body asks of a service, and the service of its backend."""

    values = Values()

    @property
    def backend(self) -> Cache:
        return self

    def check_key(self, key: str) -> None:
        if not key or " " in key:
            raise InvalidKey("no")

    def check_keys(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.check_key(key)


CACHE: Any = Cache()


def by_the_rules(body: bytes, ttl: int | None = None) -> list[Any] | None:
    """Return the pairs that the schemas make of a body, ``None`` if they refuse it."""
    try:
        return batch._read_any_pairs(CACHE, body, ttl, 1000)
    except (ApiError, InvalidJson):
        return None


def as_text(pairs: list[Pair]) -> list[Pair]:
    """Return pairs with their values as the rules give them."""
    return [Pair(key, bytes(value).decode(), ttl) for key, value, ttl in pairs]  # type: ignore[arg-type]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TTLS = st.sampled_from([None, -1, 0, 1, 300, 2**31, 2**60, 10**40, -2, 1.0, 1.5, True, "5", [], {}])
ITEMS = st.fixed_dictionaries(
    {"key": st.text(max_size=4) | st.just(7), "value": VALUES}, optional={"ttl": TTLS, "x": SCALARS}
)
DOCUMENTS = (
    st.builds(lambda items: {"resource": items}, st.lists(ITEMS, max_size=3))
    | ITEMS
    | st.lists(ITEMS, max_size=2)
    | VALUES
)
BODIES = st.builds(
    lambda document, ascii_only, indent: json.dumps(
        document, ensure_ascii=ascii_only, indent=indent
    ).encode("utf-8", "surrogatepass"),
    DOCUMENTS,
    st.booleans(),
    st.sampled_from([None, 1]),
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A body with a few bytes changed."""
    body = bytearray(draw(BODIES))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body)))
        body[place : place + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"{", b"]", b",", b'"', b"\\", b"e9", b"-", b"0", b"\xff", b"\0"])
        )
    return bytes(body)


@settings(max_examples=600, deadline=None)
@given(BODIES | spoiled(), st.sampled_from([None, 0, 60]))
@example(b'{"resource":[{"key":"a","value":1e999}]}', None)
@example(b'{"resource":[{"key":"a","value":"\\ud800"}]}', None)
@example(b'{"resource":[{"key":"\\ud800","value":1}]}', None)
@example(b'{"resource":[{"key":"a","value":"\xed\xa0\x80"}]}', None)
@example(b'{"resource":[{"key":"a","value":NaN}]}', None)
@example(b'{"resource":[{"key":"a","value":' + b"1" * 5000 + b"}]}", None)
@example(b'{"resource":[{"key":"a","value":1,"value":2,"key":"b"}]}', None)
@example(b'{"resource":[],"resource":[{"key":"a","value": 1 }]}', None)
@example(b'{"key":"a","value":1,"resource":[]}', None)
@example(b'{"resource":[{"key":"a","value":' + b"[" * 511 + b"]" * 511 + b"}]}", None)
@example(b'{"resource":[{"key":"a","value":' + b"[" * 510 + b"]" * 510 + b"}]}", None)
@example(b'{"resource":[{"key":"a","value":' + b"[" * 509 + b"]" * 509 + b"}]}", None)
@example(b'{"key":"a","value":' + b"[" * 512 + b"]" * 512 + b"}", None)
@example(b'{"key":"a","value":' + b"[" * 511 + b"]" * 511 + b"}", None)
@example(b'{"resource":[{"key":"a","value":' + b"[" * 5000 + b"]" * 5000 + b"}]}", None)
@example(b'\xef\xbb\xbf{"key":"a","value":1}', None)
@example(b"", None)
def test_a_plain_body_is_what_the_rules_make_of_it(body: bytes, ttl: int | None) -> None:
    plain = plain_pairs(body, CACHE.check_keys, ttl, 1000)
    if plain is not None:
        assert as_text(plain) == by_the_rules(body, ttl)


@pytest.mark.parametrize(
    "document",
    [
        {"resource": [{"key": "a", "value": {"b": [1, 2.5, None, "é"]}, "ttl": 60}]},
        {"resource": [{"key": str(n), "value": n} for n in range(100)]},
        # More brackets than there may be levels.
        {"resource": [{"key": str(n), "value": n} for n in range(600)]},
        {"key": "a", "value": [{"b": [n]} for n in range(600)]},
        {"key": "a", "value": "[{" * 600},
        {"key": "a", "value": None},
        {"key": "a", "value": 10**300, "ttl": None},
    ],
)
def test_usual_bodies_are_plain(document: Any) -> None:
    body = json.dumps(document).encode()
    plain = plain_pairs(body, CACHE.check_keys, 5, 1000)
    assert plain is not None
    assert as_text(plain) == by_the_rules(body, 5)


@settings(max_examples=600, deadline=None)
@given(spoiled() | st.binary(max_size=20))
@example(b"[" * 900 + b"]" * 900)
@example(b'"\\ud800"')
@example(b"1e999")
@example(b"NaN")
@example(b" \t1\r\n")
@example(b"\xc2\xa01")
def test_what_is_stored_is_told_apart_as_by_the_parser(stored: bytes) -> None:
    try:
        text = stored.decode()
    except UnicodeDecodeError:
        assert read_stored(stored).encoding == "base64"
        return
    if codec._is_lenient_json(text):
        assert read_stored(stored) == Value(text.strip(" \t\n\r"))
    elif any((char < " " and char not in "\t\r\n") or char == "\x7f" for char in text):
        assert read_stored(stored).encoding == "base64"
    else:
        assert read_stored(stored) == Value(json.dumps(text, ensure_ascii=False))


KEYS = st.lists(st.text(st.characters(codec="utf-8"), max_size=3) | st.just("k" * 260), max_size=5)


@given(KEYS, st.sampled_from([None, re.compile(r"[\x00-\x20\x7f]"), re.compile(r"^-|x$")]))
@example(["a", "-b"], re.compile(r"^-|x$"))
@example(["a", "b c"], re.compile(r"[\x00-\x20\x7f]"))
@example(["é" * 124 + "a" * 3], None)
@example(["é" * 124 + "a"], None)
@example([""], None)
def test_keys_seen_through_at_once_are_those_that_pass_one_by_one(
    keys: list[str], forbidden: re.Pattern[str] | None
) -> None:
    backend = Least(prefix="p:")
    backend.limits = Limits(max_key_bytes=251, forbidden_in_key=forbidden, forbidden_name="these")

    def passes(check: Callable[[], object]) -> bool:
        try:
            check()
        except InvalidKey:
            return False
        return True

    one_by_one = all(passes(lambda key=key: backend.check_key(key)) for key in keys)
    assert passes(lambda: backend.check_keys(keys)) is one_by_one


def test_a_backend_with_rules_of_its_own_is_asked_for_each_key() -> None:
    class Strict(Least):
        def check_key(self, key: str) -> None:
            if key == "b":
                raise InvalidKey("not b")

    Strict().check_keys(["a", "c"])
    with pytest.raises(InvalidKey):
        Strict().check_keys(["a", "b"])


@given(st.lists(st.text(max_size=4), max_size=4), st.booleans())
def test_the_answer_to_a_batch_is_json_whatever_its_keys_are(keys: list[str], done: bool) -> None:
    text = batch.outcomes_text(keys, [done or index % 2 == 0 for index in range(len(keys))])
    told = [(one["key"], one["success"]) for one in json.loads(text)["resource"]]
    assert told == [(key, done or index % 2 == 0) for index, key in enumerate(keys)]


@st.composite
def bodies_of_one_key(draw: st.DrawFn) -> bytes:
    """A body for one key, now and then with a few bytes changed."""
    document = draw(st.fixed_dictionaries({"value": VALUES}, optional={"ttl": TTLS}))
    body = bytearray(json.dumps(document, ensure_ascii=draw(st.booleans())).encode())
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(1, len(body)))
        body[place:place] = draw(st.sampled_from([b"e9", b"E999", b"]", b'"', b"\xff", b"\\ud800"]))
    return bytes(body)


@settings(max_examples=400, deadline=None)
@given(bodies_of_one_key())
@example(b'{"value":1e999}')
@example(b'{"value":[1E999]}')
@example(b'{"value":"1e999"}')
@example(b'{"value":NaN}')
@example(b'{"value":"\xff"}')
@example(b'{"value":"\\ud800"}')
@example(b'{"value":' + b"1" * 5000 + b"}")
@example(b'{"value":' + b"[" * 520 + b"]" * 520 + b"}")
def test_a_plain_value_is_what_the_rules_make_of_it(body: bytes) -> None:
    plain = plain_value(body)
    if plain is not None:
        value, ttl = plain
        assert by_the_rules(b'{"key":"k",' + body[1:]) == [Pair("k", value.decode(), ttl)]


def test_usual_values_are_plain() -> None:
    assert plain_value(b'{"value": {"a": [1.5e3]}, "ttl": 60}') == (b'{"a": [1.5e3]}', 60)
    assert plain_value(b'{"value": "x"}') == (b'"x"', None)


@pytest.mark.parametrize(
    "number",
    [
        *("1e999", "1E400", "-1e+0309", "1.5e309", "9" * 210 + "e99", "1" + "0" * 400 + ".5"),
        *("1e308", "1e-999", "9" * 199 + "e99", "0e999", "1" * 5000, '"1e999"', '{"e999":1}'),
    ],
)
@pytest.mark.parametrize("around", ["", "x" * 10_000])
def test_a_number_out_of_range_is_found_in_a_large_value(number: str, around: str) -> None:
    body = f'{{"key":"a","value":[{json.dumps(around)},{number},1]}}'.encode()
    pairs = plain_pairs(body, CACHE.check_keys, None, 1000)
    assert pairs is None or as_text(pairs) == by_the_rules(body)
    # What is left to the rules costs more, and mostly nothing is.
    assert pairs is not None or "1e308" not in number
