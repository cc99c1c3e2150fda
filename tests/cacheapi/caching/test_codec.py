"""JSON in and out: nothing lost, nothing run, everything else refused with a reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacheapi.caching.codec import InvalidJson, Value, encode, error_text, read_stored
from cacheapi.caching.documents import parse_document
from tests.cacheapi.caching.conftest import json_values


def stored(text: str) -> Value:
    """Return what is read of a value that a client sent."""
    document = parse_document(b'{"value":%s}' % text.encode())
    return read_stored(document["value"].encode())


@given(value=json_values, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]))
@example(value=10**5000, ascii_only=True, indent=None)
@example(value=-(7**7000), ascii_only=True, indent=None)
@example(value=[5e-324, 1.7976931348623157e308, -0.0, 0.1], ascii_only=True, indent=None)
@example(value={"": "\x00\u2028\U0010ffff"}, ascii_only=False, indent=None)
def test_a_value_comes_back_equal_and_to_the_letter(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    back = stored(text)
    assert back.json == text
    assert back.encoding is None
    assert repr(json.loads(back.json)) == repr(value)


def is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return not any((char < " " and char not in "\t\r\n") or char == "\x7f" for char in text)


@given(data=st.binary())
@example(data=b"a\x00b")
@example(data=b"a\tb\r\n")
@example(data=b"[" * 100_000)
@example(data=b"\x80\x04\x95\x0b.")
@example(data=b'"\\ud800"')
@example(data=b"9" * 20_000)
def test_whatever_was_stored_is_json_text_a_string_or_base64(data: bytes) -> None:
    value = read_stored(data)
    read = json.loads(value.json)
    if value.encoding == "base64":
        assert base64.b64decode(read) == data
        assert not is_text(data)
    elif value.json.encode() == data.strip(b" \t\n\r"):
        assert read == json.loads(data)
    else:
        assert read == data.decode()


@given(text=st.text())
@example(text="NaN")
@example(text="-Infinity")
@example(text="\ufeff1")
@example(text="1 2")
def test_text_that_is_no_json_comes_back_as_a_string(text: str) -> None:
    value = read_stored(text.encode())
    try:
        expected = json.loads(text, parse_constant=lambda name: text)
    except ValueError:
        expected = text
    if text.strip() in ("NaN", "Infinity", "-Infinity"):
        expected = text
    if isinstance(expected, str) and expected == text and not is_text(text.encode()):
        assert value.encoding == "base64"
        return
    assert json.loads(value.json) == expected
    assert value.encoding is None


def test_many_brackets_that_are_not_nested_are_fine() -> None:
    text = "[" + ",".join(["[]"] * 2000) + "]"
    assert stored(text).json == text


def test_brackets_within_strings_are_no_levels() -> None:
    text = json.dumps(["[{" * 1000, '"[' * 1000, "\\"])
    assert stored(text).json == text


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert stored('"\\ud83d\\ude00"').json == '"\\ud83d\\ude00"'
    assert parse_document(b'{"key":"\\ud83d\\ude00"}') == {"key": "😀"}
    assert stored('"\\\\ud800"').json == '"\\\\ud800"'


@given(first=st.binary(max_size=20), second=st.binary(max_size=20))
@example(first=b"\xff", second=b'"/w=="')
@example(first=b"1", second=b'"1"')
@example(first=b"a", second=b'"a"')
@example(first=b" 1\n", second=b"1")
@example(first=b"1", second=b"1.0")
def test_equal_etags_are_of_equal_values(first: bytes, second: bytes) -> None:
    one, other = read_stored(first), read_stored(second)
    assert (one.etag == other.etag) == (one == other)


@given(value=json_values)
def test_a_value_has_the_etag_of_its_text(value: Any) -> None:
    text = json.dumps(value)
    assert Value(text).etag == stored(text).etag
    assert stored(text).etag != stored(f"[{text}]").etag


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {1, 2}, b"bytes", {"a": object()}, {(1,): 2}]
)
def test_what_has_no_json_text_is_not_encoded(value: Any) -> None:
    with pytest.raises(InvalidJson):
        encode(value)


@given(value=json_values)
def test_what_is_encoded_is_read_back(value: Any) -> None:
    assert repr(json.loads(encode(value))) == repr(value)


def test_an_error_has_one_shape() -> None:
    assert json.loads(error_text(404, "Gone.")) == {
        "error": {"code": 404, "context": None, "message": "Gone.", "status_code": 404}
    }
    assert json.loads(error_text(400, "Bad.", {"errors": []}))["error"]["context"] == {"errors": []}
