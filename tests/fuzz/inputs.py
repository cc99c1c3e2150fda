"""The readers, what each of them reads, and how that is spoiled."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cacheapi.formats import families, igbinary, java, messagepack, php
from cacheapi.formats.compression import fastlz, unframe, unzip
from cacheapi.formats.python import read_marshal

VALUES: Sequence[Any] = (
    None,
    True,
    -1,
    2**63 - 1,
    0.1,
    "größe",
    "x" * 400,
    [1, [2, [3, []]]],
    {"a": {"a": ["a", None]}, "7": 1.5},
    list(range(300)),
)
_PHP = [php.write(value) for value in VALUES]
_IGBINARY = [
    b"\0\0\0\2" + bytes.fromhex(tail.replace(" ", ""))
    for tail in (
        *("00", "05", "062a", "0b80000001", "207fffffffffffffff", "0c3ff8000000000000"),
        *("1102c3a9", "1401110161110162", "1402060006010601 0602", "1401110161140 10e000e00"),
        *("150003060011016106010e00080100160000000 0", "1401060014010600140106001400"),
    )
]
_PACKED = [zlib.compress(one) for one in (*_PHP, bytes(50_000), bytes(range(256)) * 9)]
_FASTLZ = [
    bytes.fromhex(packed)
    for packed in (
        *("0468656c6c6f", "00782000", "0078e00500", "0161624001", "2078e0ff0500"),
        *("3f" + "61" * 32 + "3fff0000", "0078" + "e0ff00" * 40, "2078" + "e0ffffff0500" * 9),
    )
]
_JAVA = [
    flags.to_bytes(2) + stored
    for flags, stored in (
        *((256, b"1"), (512, b"9"), (768, b"\xff" * 8), (1024, b"\1" * 6), (1280, b"\xff")),
        *((1536, struct.pack(">f", 0.1)), (1792, struct.pack(">d", 0.1)), (2048, b"x")),
        (514, gzip.compress(b"9")),
    )
]
_MARSHAL = [b"N", b"g" + struct.pack("<d", 1.5), b"u\5\0\0\0hello", b"[\1\0\0\0N"]
_FLAGS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 52, 80, 84, 256, 514, 1536, 2048)


def _announced(read: Callable[[bytes, int], bytes]) -> Callable[[bytes], int]:
    def work(stored: bytes) -> int:
        made = 0
        for size in (4, len(stored), 4096, 2**32 - 1):
            try:
                made = max(made, len(read(stored, size)))
            except families.Unreadable:
                continue
        return made

    return work


def _framed(stored: bytes) -> int:
    return len(unframe(stored, fast=bool(stored) and stored[-1] % 2 == 0))


def _of_any_family(stored: bytes) -> Any:
    flags = int.from_bytes(stored[:2])
    found: list[Any] = []
    for family in (families.PHP, families.PYLIBMC, families.LIBMC, families.AUTO):
        for said in (flags, None):
            try:
                found.append(families.read(stored[2:], family, said))
            except families.Unreadable:
                continue
    return found


READERS: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
    "php": (php.read, _PHP),
    "igbinary": (igbinary.read, _IGBINARY),
    "messagepack": (messagepack.read, [msgspec.msgpack.encode(value) for value in VALUES]),
    "zlib": (lambda stored: len(unzip(stored)), _PACKED),
    "gzip": (lambda stored: len(unzip(stored, gzip=True)), [gzip.compress(one) for one in _PHP]),
    "frame": (_framed, [len(one).to_bytes(4, "little") + zlib.compress(one) for one in _PHP]),
    "fastlz": (_announced(fastlz), _FASTLZ),
    "java": (lambda stored: java.read(stored[2:], int.from_bytes(stored[:2])), _JAVA),
    "marshal": (read_marshal, _MARSHAL),
    "families": (
        _of_any_family,
        [
            flags.to_bytes(2) + stored
            for flags in _FLAGS
            for stored in (*_PHP[:8], *_IGBINARY, *_PACKED[:3], *_FASTLZ, *_MARSHAL, b"42", b"")
        ],
    ),
}


def spoiled(kept: Sequence[bytes], chance: random.Random) -> bytes:
    """Return some of the inputs with a few changes; now and then bytes that are none of them."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(200))
    stored = bytearray(chance.choice(kept))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        _change(stored, kept, chance)
    return bytes(stored)


def _change(stored: bytearray, kept: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(stored) + 1)
    end = min(len(stored), at + chance.choice((1, 1, 2, 4, 16, 100)))
    match chance.randrange(7):
        case 0:
            stored[at:end] = chance.randbytes(end - at)
        case 1:
            stored[at:at] = chance.randbytes(chance.randrange(1, 9))
        case 2:
            del stored[at:end]
        case 3:
            # A piece again, also often: deep nesting, long repetitions.
            stored[at:at] = stored[at:end] * chance.choice((1, 2, 50, 600))
        case 4:
            other = chance.choice(kept)
            cut = chance.randrange(len(other) + 1)
            stored[at:end] = other[cut : cut + 64]
        case 5:
            stored[at:end] = chance.choice((b"0", b"9" * 10, b"\xff" * 4, b"\0" * 4, b"-1"))
        case _:
            if at < len(stored):
                stored[at] ^= 1 << chance.randrange(8)
    # A few mebibytes are enough to see what grows.
    del stored[2 * 1024 * 1024 :]
