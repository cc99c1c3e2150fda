"""Stored values by their flags: the bytes that real clients were seen to store."""

from __future__ import annotations

import json
import struct
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.formats import families
from cacheapi.formats.families import AUTO, LIBMC, PHP, PYLIBMC, How, Plain, is_boolean
from cacheapi.formats.kinds import kind_of
from cacheapi.formats.limits import MAX_DEPTH, Unreadable

LONG = "x" * 5000


def text(raw: bytes) -> Plain:
    return Plain(How.TEXT, raw)


def number(raw: bytes) -> Plain:
    return Plain(How.JSON, raw)


def framed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "little") + zlib.compress(raw)


def check(stored: bytes, family: str, flags: int | None, value: object) -> None:
    found = families.read(stored, family, flags)
    assert type(found) is type(value)
    assert found == value
    if not isinstance(found, Plain):
        assert json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize(
    ("stored", "flags", "value"),
    [
        (b"hello", 0, text(b"hello")),
        (b"42", 0, text(b"42")),
        (b'{"a":1}', 0, text(b'{"a":1}')),
        (b"42", 1, number(b"42")),
        (b"99 ", 1, number(b"99")),
        (b"1.5", 2, 1.5),
        (b"1", 2, 1.0),
        (b"1.0E+25", 2, 1e25),
        (b"1", 3, True),
        (b"", 3, False),
        (b"N;", 4, None),
        (b'a:1:{s:1:"a";i:1;}', 4, {"a": 1}),
        (bytes.fromhex("0000000214011101610601"), 5, {"a": 1}),
        (bytes.fromhex("0000000200"), 5, None),
        (bytes.fromhex("0000000214011101610601"), 0, {"a": 1}),
        (b'{"a":1}', 6, number(b'{"a":1}')),
        (bytes.fromhex("81a16101"), 7, {"a": 1}),
        (bytes.fromhex("c0"), 7, None),
        (framed(LONG.encode()), 48, text(LONG.encode())),
        (framed(b'a:1:{s:1:"a";i:1;}'), 52, {"a": 1}),
        (bytes.fromhex("0f000000 0078e00500"), 80, text(b"x" * 15)),
        # The program's own number stands above.
        (b"42", 1 + (7 << 16), number(b"42")),
        # Other programs' flags.
        (b"hello", 16, text(b"hello")),
        (bytes.fromhex("2a"), 512, 42),
    ],
)
def test_what_php_stores_is_read(stored: bytes, flags: int, value: object) -> None:
    check(stored, PHP, flags, value)


@pytest.mark.parametrize(
    ("stored", "flags"),
    [
        (b'O:8:"stdClass":1:{s:1:"a";i:1;}', 4),
        (b"hello", 4),
        (b"x", 1),
        (b"007", 1),
        (b"NAN", 2),
        (b"INF", 2),
        (b"1_0", 2),
        (b"0", 3),
        (b"x", 5),
        (bytes.fromhex("c1"), 7),
        # Bytes, an extension, a fraction for a key, nothing.
        (msgspec.msgpack.encode(b"\xff"), 7),
        (msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x")), 7),
        (msgspec.msgpack.encode({1.5: 1}), 7),
        (msgspec.msgpack.encode(float("inf")), 7),
        (b"", 7),
        (framed(LONG.encode())[:-1], 48),
        (framed(LONG.encode()), 80),
        (b"x", 80),
        (b"", 48),
    ],
)
def test_what_php_has_as_something_else_is_not(stored: bytes, flags: int) -> None:
    with pytest.raises(Unreadable):
        families.read(stored, PHP, flags)


@pytest.mark.parametrize("family", [PHP, AUTO])
@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b"42", Plain(How.ANY, b"42")),
        (b"1.5", Plain(How.ANY, b"1.5")),
        (b's:5:"hello";', "hello"),
        (b'a:1:{s:1:"a";i:1;}', {"a": 1}),
        (b"b:1;", True),
        (b"b:0;", False),
        (b"N;", None),
        (b"i:42;", 42),
        (bytes.fromhex("00000002062a"), 42),
        (b'"hello"', Plain(How.ANY, b'"hello"')),
        (b"hello", Plain(How.ANY, b"hello")),
    ],
)
def test_without_flags_the_form_says_it(family: str, stored: bytes, value: object) -> None:
    check(stored, family, None, value)


@pytest.mark.parametrize(
    "stored", [b"d:INF;", b'O:8:"stdClass":0:{}', b"a:1:{", bytes.fromhex("0000000217")]
)
def test_a_form_that_is_not_read_is_not_taken_for_text(stored: bytes) -> None:
    with pytest.raises(Unreadable):
        families.read(stored, PHP, None)


def marshalled(value: str) -> bytes:
    return b"u" + len(value).to_bytes(4, "little") + value.encode()


@pytest.mark.parametrize(
    ("stored", "flags", "value"),
    [
        # cacheapi's own, aiocache, memjs.
        (b"42", 0, Plain(How.ANY, b"42")),
        (b"a:0:{}", 0, []),
        # PHP's number; Perl and Dalli with JSON.
        (b"42", 1, number(b"42")),
        (b'{"a":1}', 1, number(b'{"a":1}')),
        # PHP's fraction, pymemcache's number, JSON of Node's memcached, a long text of Java's.
        (b"1.5", 2, number(b"1.5")),
        (b'{"a":1}', 2, number(b'{"a":1}')),
        (zlib.compress(LONG.encode(), wbits=31), 2, text(LONG.encode())),
        (b"1", 3, True),
        # pylibmc's and libmc's number, PHP's array, a text of Perl's.
        (str(2**70).encode(), 4, number(str(2**70).encode())),
        (b'a:1:{s:1:"a";i:1;}', 4, {"a": 1}),
        ("é".encode(), 4, text("é".encode())),
        (bytes.fromhex("0000000205"), 5, True),
        (b"x", 5, Plain(How.ANY, b"x")),
        (b'"hello"', 6, Plain(How.ANY, b'"hello"')),
        (bytes.fromhex("81a16101"), 7, {"a": 1}),
        # A number of Node's; compressed bytes, text and number of pymemcache and pylibmc.
        (b"42", 8, Plain(How.ANY, b"42")),
        (zlib.compress(b"\xff" * 99), 8, Plain(How.ANY, b"\xff" * 99)),
        (zlib.compress(LONG.encode()), 24, text(LONG.encode())),
        (zlib.compress(b"1" * 99), 12, number(b"1" * 99)),
        (b"42", 16, text(b"42")),
        (b"x^y", 16, text(b"x^y")),
        (zlib.compress(LONG.encode()), 16, Plain(How.ANY, LONG.encode())),
        (marshalled("x"), 32, "x"),
        (b"N", 32, None),
        (b"g" + struct.pack("<d", 1.5), 32, 1.5),
        (zlib.compress(marshalled(LONG)), 48, LONG),
        (framed(LONG.encode()), 48, text(LONG.encode())),
        (bytes.fromhex("0f000000 0078e00500"), 80, text(b"x" * 15)),
        (b"x", 0x38, Plain(How.ANY, b"x")),
        (b"x", 0xB0, Plain(How.ANY, b"x")),
        # Java's.
        (b"1", 256, True),
        (b"0", 256, False),
        (b"9", 512, 57),
        (b"1", 512, 49),
        (b"", 512, 0),
        (b"\xff\xff\xff\xff", 512, -1),
        (bytes.fromhex("011170"), 512, 70000),
        (b"\xff" * 8, 768, -1),
        (b"\xff\xff\xff\xff", 768, 2**32 - 1),
        (bytes.fromhex("2a"), 768, 42),
        ((1_795_836_323_347).to_bytes(6), 1024, "2026-11-28T03:25:23.347Z"),
        (b"", 1024, "1970-01-01T00:00:00.000Z"),
        (b"\xff", 1280, -1),
        (struct.pack(">f", 1.5), 1536, 1.5),
        (struct.pack(">f", 0.1), 1536, 0.1),
        (bytes.fromhex("7f7fffff"), 1536, 3.4028235e38),
        (struct.pack(">d", 0.1), 1792, 0.1),
        (b"x", 4096, Plain(How.ANY, b"x")),
        (b"x", 7 << 16, Plain(How.ANY, b"x")),
    ],
)
def test_what_is_beyond_doubt_is_read(stored: bytes, flags: int, value: object) -> None:
    check(stored, AUTO, flags, value)


@pytest.mark.parametrize("family", [PHP, PYLIBMC, LIBMC, AUTO])
@pytest.mark.parametrize(
    ("stored", "flags"),
    [
        (b"0", 768),
        (b"42", 768),
        (b"-42", 768),
        (b"9223372036854775807", 768),
        # As memcached counts down.
        (b"9 ", 768),
        (b"1.5", 1792),
        (b"3.141592", 1792),
        (b"-0.25", 1792),
        (b"1.0E+25", 1792),
        (b"12345678", 1792),
    ],
)
def test_digits_of_phps_old_extension_are_no_number_of_javas(
    stored: bytes, flags: int, family: str
) -> None:
    check(stored, family, flags, text(stored))
    assert kind_of(stored, flags) == "a number, of PHP's memcache or of spymemcached"


@pytest.mark.parametrize(
    ("stored", "flags"),
    [
        (b"\x1f\x8bx", 2),
        (b"2", 3),
        (b'O:8:"stdClass":0:{}', 4),
        (b"[\1\0\0\0i\1\0\0\0", 32),
        (b"u\2\0\0\0x", 32),
        (b"i\1\0\0\0", 32),
        (zlib.compress(LONG.encode()), 52),
        (b"2", 256),
        (b"\1" * 5, 512),
        (b"\x7f" + b"\xff" * 7, 1024),
        (bytes.fromhex("7f800000"), 1536),
        (b"bytes of free choice", 2048),
        (b"x", 2050),
    ],
)
def test_the_rest_of_such_flags_is_not_read(stored: bytes, flags: int) -> None:
    with pytest.raises(Unreadable):
        families.read(stored, AUTO, flags)


@pytest.mark.parametrize(
    ("family", "stored", "flags", "value"),
    [
        (PYLIBMC, b"1", 2, True),
        (PYLIBMC, b"0", 2, False),
        (PYLIBMC, b"42", 4, number(b"42")),
        (PYLIBMC, b"hello", 16, text(b"hello")),
        (PYLIBMC, b"x", 0, Plain(How.ANY, b"x")),
        (PYLIBMC, zlib.compress(b"1" * 99), 12, number(b"1" * 99)),
        (PYLIBMC, zlib.compress(LONG.encode()), 24, text(LONG.encode())),
        (LIBMC, b"1", 8, True),
        (LIBMC, b"42", 4, number(b"42")),
        (LIBMC, b"x", 0, Plain(How.ANY, b"x")),
        (LIBMC, marshalled("x"), 32, "x"),
        (LIBMC, zlib.compress(marshalled(LONG)), 48, LONG),
        (LIBMC, zlib.compress(LONG.encode()), 16, Plain(How.ANY, LONG.encode())),
    ],
)
def test_a_family_of_pythons_has_its_own_booleans(
    family: str, stored: bytes, flags: int, value: object
) -> None:
    check(stored, family, flags, value)


@pytest.mark.parametrize(
    ("family", "stored", "flags"),
    [
        (PYLIBMC, b"2", 2),
        (PYLIBMC, b"x", 4),
        (PYLIBMC, b"hello", 24),
        (LIBMC, b"2", 8),
        (LIBMC, b"hello", 16),
    ],
)
def test_what_such_a_family_does_not_store_is_not_read(
    family: str, stored: bytes, flags: int
) -> None:
    with pytest.raises(Unreadable):
        families.read(stored, family, flags)


def test_a_digit_is_a_boolean_to_one_family_of_pythons() -> None:
    for flags, owner in ((2, PYLIBMC), (8, LIBMC)):
        for family in ("json", PHP, AUTO, PYLIBMC, LIBMC):
            assert is_boolean(family, flags) is (family == owner)
            assert not is_boolean(family, 4)


def test_messagepack_is_bounded() -> None:
    assert families.read(b"\x91" * 200 + b"\xc0", PHP, 7)
    for stored in (
        b"\x91" * MAX_DEPTH + b"\xc0",
        b"\x91" * 100_000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdd" + (1_000_001).to_bytes(4) + b"\xc0" * 1_000_001,
    ):
        with pytest.raises(Unreadable):
            families.read(stored, PHP, 7)
    assert families.read(msgspec.msgpack.encode({1: 2}), PHP, 7) == {"1": 2}
    with pytest.raises(Unreadable):
        families.read(bytes.fromhex("81c3c0"), PHP, 7)


FLAGS = st.integers(0, 2**32 - 1) | st.sampled_from([*range(96), 256, 512, 1024, 1536, 1794, 2048])


@given(st.binary(), st.sampled_from([PHP, PYLIBMC, LIBMC, AUTO]), FLAGS | st.none())
def test_any_bytes_and_flags_are_read_or_refused(
    stored: bytes, family: str, flags: int | None
) -> None:
    try:
        found = families.read(stored, family, flags)
    except Unreadable:
        return
    if not isinstance(found, Plain):
        json.dumps(found, allow_nan=False)


@given(st.integers(-(2**31), 2**31 - 1))
def test_javas_integers_are_read(whole: int) -> None:
    stored = whole.to_bytes(4, signed=True).lstrip(b"\0")
    assert families.read(stored, AUTO, 512) == whole


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_javas_short_fractions_are_read(fraction: float) -> None:
    stored = struct.pack(">f", fraction).lstrip(b"\0")
    found = families.read(stored, AUTO, 1536)
    assert struct.pack(">f", found) == struct.pack(">f", fraction)
