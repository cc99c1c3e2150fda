"""PHP's serialize format, read and written: by its rules, and beside PHP itself."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.formats import php
from cacheapi.formats.limits import MAX_DEPTH, Unreadable
from tests.support import php as real

WHOLE = st.integers(php.LOWEST, php.HIGHEST)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def as_php_keeps_it(value: object) -> object:
    """Return a value without what an array of PHP cannot tell apart."""
    if isinstance(value, dict):
        kept = {key: as_php_keeps_it(element) for key, element in value.items()}
        return list(kept.values()) if [*kept] == [*map(str, range(len(kept)))] else kept
    return [as_php_keeps_it(element) for element in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b"N;", None),
        (b"b:1;", True),
        (b"b:0;", False),
        (b"i:42;", 42),
        (b"i:-9223372036854775808;", -(2**63)),
        (b"d:1.5;", 1.5),
        (b"d:1.0E+25;", 1e25),
        (b"d:0.1;", 0.1),
        (b's:5:"hello";', "hello"),
        (b's:2:"42";', "42"),
        (b's:0:"";', ""),
        (b's:9:"a";s:1:"b";', 'a";s:1:"b'),
        ('s:2:"é";'.encode(), "é"),
        (b"a:0:{}", []),
        (b'a:1:{s:1:"a";i:1;}', {"a": 1}),
        (b"a:2:{i:0;i:1;i:1;N;}", [1, None]),
        (b"a:2:{i:1;i:1;i:0;N;}", {"1": 1, "0": None}),
        (b'a:1:{s:1:"x";a:2:{i:0;a:0:{}i:1;b:1;}}', {"x": [[], True]}),
    ],
)
def test_a_value_is_read_with_its_type(stored: bytes, value: object) -> None:
    found = php.read(stored)
    assert json.dumps(found) == json.dumps(value)
    assert php.seems(stored)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"N",
        b"N;N;",
        b"b:2;",
        b"i:1",
        b"i:;",
        b"i:9223372036854775808;",
        b"d:INF;",
        b"d:-INF;",
        b"d:NAN;",
        b"d:1e999;",
        b"d:.;",
        b's:5:"hell";',
        b's:99999999999:"x";',
        b's:1:"\xff";',
        b's:1:"x"',
        b'S:1:"x";',
        b'a:1:{s:1:"a";i:1;',
        b"a:4000000000:{i:0;N;}",
        b"a:1:{b:1;N;}",
        b"a:1:{d:1;N;}",
        b"a:1:{a:0:{}N;}",
        b"a:-1:{}",
        b'O:8:"stdClass":1:{s:1:"a";i:1;}',
        b'a:1:{i:0;O:8:"stdClass":0:{}}',
        b'C:3:"Foo":0:{}',
        b"a:2:{i:0;a:0:{}i:1;R:2;}",
        b"r:1;",
        b'E:7:"Foo:Bar";',
        b"{}",
        b'"x"',
    ],
)
def test_what_is_no_plain_value_is_not_read(stored: bytes) -> None:
    with pytest.raises(Unreadable):
        php.read(stored)


@pytest.mark.parametrize("stored", [b'"N;"', b"42", b"hello", b"{}", b"null", b"N;x", b"a:b"])
def test_other_text_does_not_seem_to_be_php(stored: bytes) -> None:
    assert not php.seems(stored)


def nested(levels: int) -> bytes:
    return b"a:1:{i:0;" * (levels - 1) + b"a:0:{}" + b"}" * (levels - 1)


def test_nesting_is_bounded() -> None:
    found = php.read(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH - 1):
        (found,) = found
    assert found == []
    for levels in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(Unreadable):
            php.read(nested(levels))


def test_a_count_takes_no_memory() -> None:
    stored = b"a:9999999:{" * 200
    tracemalloc.start()
    with pytest.raises(Unreadable):
        php.read(stored)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_elements_are_bounded() -> None:
    stored = b"a:1000001:{" + b"".join(b"i:%d;N;" % index for index in range(1_000_001)) + b"}"
    with pytest.raises(Unreadable):
        php.read(stored)


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert php.read(php.write(value)) == as_php_keeps_it(value)


@given(st.binary())
def test_any_bytes_are_read_or_refused(stored: bytes) -> None:
    with contextlib.suppress(Unreadable):
        php.write(php.read(stored))


@given(VALUES, st.data())
def test_spoiled_bytes_are_read_or_refused(value: object, data: st.DataObject) -> None:
    stored = bytearray(php.write(value))
    stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = php.read(bytes(stored))
    except Unreadable:
        return
    assert not isinstance(found, float) or math.isfinite(found)


def test_a_number_that_php_has_no_room_for_is_not_written() -> None:
    for value in (2**63, [-(2**63) - 1], {"a": [2**70]}):
        with pytest.raises(php.NotWritable, match="64 bits"):
            php.write(value)


def test_a_deep_value_is_written() -> None:
    value: list[object] = []
    for _ in range(sys.getrecursionlimit() * 2):
        value = [value]
    assert php.write(value).count(b"a:1:{i:0;") == sys.getrecursionlimit() * 2


SAMPLES = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    0.1,
    -1.5e300,
    5e-324,
    "",
    "42",
    "größe \U0001f40d",
    'a";s:1:"b',
    [],
    [1, [2, [3]]],
    {"a": 1, "b": None},
    {"1": "x", "a": [True, False]},
    {"01": 1, "-0": 2, "-5": 3, "9223372036854775808": 4, "": 5},
]


def test_php_reads_what_is_written() -> None:
    written = [base64.b64encode(php.write(value)).decode() for value in SAMPLES]
    code = """
    $out = [];
    foreach (json_decode($argv[1]) as $written) {
        $raw = base64_decode($written);
        $value = unserialize($raw, ['allowed_classes' => false]);
        $out[] = [serialize($value) === $raw, $value];
    }
    echo json_encode($out, JSON_PRESERVE_ZERO_FRACTION);
    """
    found = real.php(code, json.dumps(written))
    assert [value for _, value in found] == SAMPLES
    # To the byte, but for fractions, which it writes in its own way.
    assert all(same or isinstance(value, float) for same, value in found)


def test_what_php_wrote_is_read() -> None:
    code = """
    $out = [];
    foreach (json_decode($argv[1], true) as $value) {
        $out[] = base64_encode(serialize($value));
    }
    echo json_encode($out);
    """
    stored = real.php(code, json.dumps(SAMPLES))
    assert [php.read(base64.b64decode(one)) for one in stored] == SAMPLES
