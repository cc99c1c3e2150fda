"""Compressed values: what is announced, what is allowed, and what php-memcached made."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.formats.compression import fastlz, unframe, unzip
from cacheapi.formats.limits import MAX_BYTES, Unreadable

BOMB = zlib.compress(bytes(MAX_BYTES + 1))


def test_a_whole_stream_is_inflated() -> None:
    assert unzip(zlib.compress(b"hello" * 99)) == b"hello" * 99
    assert unzip(zlib.compress(b"hello"), 5) == b"hello"
    assert unzip(zlib.compress(b"")) == b""
    assert unzip(gzip.compress(b"hello"), gzip=True) == b"hello"


@pytest.mark.parametrize(
    "packed",
    [b"", b"hello", zlib.compress(b"hello")[:-1], zlib.compress(b"hello") + b"x", b"x^2"],
)
def test_what_is_no_whole_stream_is_not_inflated(packed: bytes) -> None:
    with pytest.raises(Unreadable):
        unzip(packed)


@pytest.mark.parametrize("size", [4, 6, 0, MAX_BYTES + 1, 2**32 - 1])
def test_the_announced_size_must_be_right(size: int) -> None:
    with pytest.raises(Unreadable):
        unzip(zlib.compress(b"hello"), size)


def test_a_bomb_is_not_inflated_beyond_the_limit() -> None:
    assert len(unzip(zlib.compress(bytes(MAX_BYTES)))) == MAX_BYTES
    tracemalloc.start()
    with pytest.raises(Unreadable):
        unzip(BOMB)
    with pytest.raises(Unreadable):
        unframe((100).to_bytes(4, "little") + BOMB, fast=False)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * MAX_BYTES


@pytest.mark.parametrize("size", [0, 5])
def test_a_frame_needs_more_than_its_length(size: int) -> None:
    for fast in (True, False):
        with pytest.raises(Unreadable):
            unframe(size.to_bytes(4, "little"), fast=fast)


@pytest.mark.parametrize(
    ("packed", "made"),
    [
        # Literals; a repetition of one byte; one that overlaps itself.
        ("04 68656c6c6f", b"hello"),
        ("00 78 20 00", b"xxxx"),
        ("00 78 e0 05 00", b"x" * 15),
        ("01 6162 40 01", b"ababab"),
        # Level 2: a length in several bytes.
        ("20 78 e0 ff 05 00", b"x" * (1 + 6 + 255 + 5 + 3)),
    ],
)
def test_a_block_of_fastlz_is_inflated(packed: str, made: bytes) -> None:
    assert fastlz(bytes.fromhex(packed), len(made)) == made
    for size in (len(made) - 1, len(made) + 1):
        with pytest.raises(Unreadable):
            fastlz(bytes.fromhex(packed), size)


@pytest.mark.parametrize(
    "packed",
    # Nothing; a level that there is none of; cut off; pointing before the start.
    ["", "40 78", "04 68656c", "00 78 20", "00 78 e0", "00 78 20 01", "20 00", "20 78 e0 ff ff"],
)
def test_what_is_no_block_of_fastlz_is_not_inflated(packed: str) -> None:
    with pytest.raises(Unreadable):
        fastlz(bytes.fromhex(packed), 4)


def test_a_far_repetition_is_found() -> None:
    start = bytes(range(256)) * 40
    literals = b"".join(
        bytes([31]) + start[at : at + 32] if at else bytes([0x20 | 31]) + start[:32]
        for at in range(0, len(start), 32)
    )
    # 8,192 and 100 bytes back.
    packed = literals + bytes.fromhex("3f ff 0064")
    assert fastlz(packed, len(start) + 3) == start + start[-8292:][:3]


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_any_bytes_are_inflated_or_refused(packed: bytes, size: int) -> None:
    for work in (lambda: fastlz(packed, size), lambda: unzip(packed, size)):
        with contextlib.suppress(Unreadable):
            assert len(work()) == size


def test_fastlz_makes_no_more_than_was_announced() -> None:
    # Each three bytes repeat 264: a megabyte would make 88.
    packed = bytes.fromhex("00 78") + bytes.fromhex("e0 ff 00") * 300_000
    with pytest.raises(Unreadable):
        fastlz(packed, 1000)
    with pytest.raises(Unreadable):
        fastlz(packed, 2**32 - 1)
