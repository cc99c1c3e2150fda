"""igbinary's format: by the bytes that were seen, spoiled ones, and beside igbinary itself."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.formats import igbinary
from cacheapi.formats.limits import MAX_BYTES, MAX_DEPTH, Unreadable
from tests.cacheapi.formats.test_php import SAMPLES
from tests.support import php as real

HEADER = b"\0\0\0\2"


@pytest.mark.parametrize(
    ("tail", "value"),
    [
        ("00", None),
        ("05", True),
        ("04", False),
        ("062a", 42),
        ("0701", -1),
        ("080100", 256),
        ("0a00010000", 65536),
        ("0b80000001", -(2**31) - 1),
        ("207fffffffffffffff", 2**63 - 1),
        ("218000000000000000", -(2**63)),
        ("0c3ff8000000000000", 1.5),
        ("0d", ""),
        ("1102c3a9", "é"),
        ("1400", []),
        ("1401110161 0601", {"a": 1}),
        ("1402 0600 0601 0601 0602", [1, 2]),
        ("1401 110161 1401 0e00 0e00", {"a": {"a": "a"}}),
        ("1402 0601 0601 110178 00", {"1": 1, "x": None}),
        ("1401 0d 0601", {"": 1}),
    ],
)
def test_a_value_is_read_with_its_type(tail: str, value: object) -> None:
    assert json.dumps(igbinary.read(HEADER + bytes.fromhex(tail))) == json.dumps(value)


@pytest.mark.parametrize(
    "tail",
    [
        *("", "06", "0c3ff8", "110261", "1401", "16ffffffff0600", "13ffffffff61"),
        # More than one value; more than 64 bits; not finite; not UTF-8.
        *("0000", "208000000000000000", "218000000000000001"),
        *("0c7ff0000000000000", "0c7ff8000000000000", "1101ff"),
        # A text that was never there; a key that is none.
        *("0e00", "1401 0e00 00", "1401 00 00", "1401 05 00", "1401 1400 00"),
        # Objects, references, what is unknown.
        *("1708737464436c617373 1400", "1402 0600 1400 0601 0101", "0100", "2500", "2200", "ff"),
    ],
)
def test_what_is_no_plain_value_is_not_read(tail: str) -> None:
    with pytest.raises(Unreadable):
        igbinary.read(HEADER + bytes.fromhex(tail))


def test_without_its_header_nothing_is_read() -> None:
    for stored in (b"", b"\0\0\0", b"\0\0\0\3\0", b"hello"):
        assert not igbinary.seems(stored)
        with pytest.raises(Unreadable):
            igbinary.read(stored)


def test_nesting_is_bounded() -> None:
    def nested(levels: int) -> bytes:
        return HEADER + bytes.fromhex("14010600") * (levels - 1) + bytes.fromhex("1400")

    igbinary.read(nested(MAX_DEPTH))
    with pytest.raises(Unreadable):
        igbinary.read(nested(MAX_DEPTH + 1))


def test_texts_that_are_pointed_to_are_bounded() -> None:
    text = b"x" * 60_000
    few, many = MAX_BYTES // len(text) - 1, MAX_BYTES // len(text) + 1

    def repeated(times: int) -> bytes:
        first = bytes.fromhex("0600") + b"\x12" + len(text).to_bytes(2) + text
        rest = b"".join(b"\x08" + index.to_bytes(2) + b"\x0e\0" for index in range(1, times))
        return HEADER + b"\x15" + times.to_bytes(2) + first + rest

    assert len(igbinary.read(repeated(few))) == few
    with pytest.raises(Unreadable):
        igbinary.read(repeated(many))


@given(st.binary())
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    with contextlib.suppress(Unreadable):
        json.dumps(igbinary.read(HEADER + tail), allow_nan=False)


def test_what_igbinary_wrote_is_read() -> None:
    code = """
    $out = [];
    foreach (json_decode($argv[1], true) as $value) {
        $out[] = base64_encode(igbinary_serialize($value));
    }
    echo json_encode($out);
    """
    values = [*SAMPLES, ["x" * 300, "x" * 70_000, list(range(300))], [["same", "same"]] * 40]
    # An argument has a limit: what is long is made there.
    stored = real.php(code, json.dumps(values), needs=("igbinary",))
    assert [igbinary.read(base64.b64decode(one)) for one in stored] == values
    whole = real.php(
        "echo json_encode([base64_encode(igbinary_serialize(new stdClass))]);", needs=("igbinary",)
    )
    with pytest.raises(Unreadable):
        igbinary.read(base64.b64decode(whole[0]))
