"""JSON in and out: nothing lost, nothing run, everything else refused with a reason."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacheapi.caching.codec import (
    MAX_DEPTH,
    InvalidJson,
    Text,
    Value,
    encode,
    error_text,
    parse_document,
    read_stored,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**305)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(autouse=True, scope="module")
def unlimited_digits() -> Iterator[None]:
    """Let Python read and write integers of any length."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


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


@given(value=json_values)
def test_a_value_of_every_shape_of_body_stays_text(value: Any) -> None:
    text = json.dumps(value)
    pair = f'{{"key":"k","value":{text},"ttl":5}}'
    for body, find in (
        (pair, lambda document: document),
        (f"[{pair}]", lambda document: document[0]),
        (f'{{"resource":[{pair}]}}', lambda document: document["resource"][0]),
    ):
        found = find(parse_document(body.encode()))
        assert type(found["value"]) is Text
        assert found == {"key": "k", "value": text, "ttl": 5}


@given(value=json_values)
def test_what_stands_beside_values_is_parsed(value: Any) -> None:
    body = json.dumps({"other": value, "resource": [value]}).encode()
    if '"value"' in body.decode() or any(abs(number) >= 10**39 for number in integers(value)):
        return
    assert repr(parse_document(body)) == repr({"other": value, "resource": [value]})


def integers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from integers(item)
    elif type(value) is int:
        yield value


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


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"value":NaN}', "NaN"),
        (b'{"value":Infinity}', "Infinity"),
        (b'{"value":[-Infinity]}', "-Infinity"),
        (b'{"ttl":NaN}', "NaN"),
        (b'{"value":1e999}', "1e999"),
        (b'{"value":-1e999}', "-1e999"),
        (b'{"ttl":1e400}', "1e400"),
        (b'{"value":1' + b"0" * 400 + b".0}", "too large"),
        (b'{"value":"\\ud800"}', "lone surrogate"),
        (b'{"value":"\\uDC00"}', "lone surrogate"),
        (b'{"value":["\\udc00\\ud800"]}', "lone surrogate"),
        (b'{"value":{"\\ud800":1}}', "lone surrogate"),
        (b'{"key":"\\ud800"}', "lone surrogate"),
        (b'{"value":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "deeper than 512 levels"),
        (b"[" * (MAX_DEPTH + 1), "deeper than 512 levels"),
        (b'{"a":' * (MAX_DEPTH + 1), "deeper than 512 levels"),
        (b"[" * 1_000_000, "deeper than 512 levels"),
        (b'{"value":"\xff"}', "not UTF-8: byte 10 is wrong"),
        (b"\xed\xa0\x80", "not UTF-8: byte 0 is wrong"),
        ('{"value":1}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"value":1}', "not valid JSON: .* line 1, column 1"),
        (b'{"value":1} x', "not valid JSON: Extra data at line 1, column 13"),
        (b'{"value":1}\n}', "not valid JSON: Extra data at line 2, column 1"),
        (b"", "not valid JSON: .* line 1, column 1"),
        (b" ", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[", "not valid JSON"),
        (b'{"a"', "not valid JSON: Expecting ':'"),
        (b'{"a":', "not valid JSON"),
        (b'{"value":', "not valid JSON"),
        (b'{"value":}', "not valid JSON"),
        (b'{"a" 1}', "not valid JSON: Expecting ':'"),
        (b'{"a":1 "b":2}', "not valid JSON: Expecting ',' or '}'"),
        (b"[1 2]", r"not valid JSON: Expecting ',' or '\]'"),
        (b"[1,]", "not valid JSON"),
        (b'{"a":1,}', "not valid JSON: Expecting a name in double quotes"),
        (b"{'a':1}", "not valid JSON: Expecting a name in double quotes"),
        (b"{a:1}", "not valid JSON"),
        (b'{"value":01}', "not valid JSON"),
        (b'{"value":.5}', "not valid JSON"),
        (b'{"value":"a\nb"}', "not valid JSON"),
        (b'{"value":"\\x"}', "not valid JSON"),
        (b'{"value":"\\u12"}', "not valid JSON"),
        (b'{"value":"open}', "not valid JSON"),
        (b'{"value":nul}', "not valid JSON"),
        (b'{"value":[1}', "not valid JSON"),
        (b'\xc2\xa0{"value":1}', "not valid JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_json_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidJson, match=reason):
        parse_document(body)


@given(
    body=st.binary() | st.text(alphabet='{}[]",: \\value0123456789.eE+-ntrufals\n').map(str.encode)
)
def test_a_body_is_parsed_as_python_does_or_refused(body: bytes) -> None:
    try:
        document = parse_document(body)
    except InvalidJson as error:
        refusal = str(error)
        assert refusal.startswith("The body ")
        return
    expected = json.loads(body)
    assert isinstance(document, (type(expected), Text))
    if b"value" not in body and isinstance(expected, (str, bool, float, type(None))):
        assert document == expected


@pytest.mark.parametrize("opening", [b"[", b'{"value":', b'{"a":'], ids=repr)
def test_512_levels_are_fine(opening: bytes) -> None:
    closing = {b"[": b"]"}.get(opening, b"}")
    inner = b"" if opening == b"[" else b"1"
    body = opening * MAX_DEPTH + inner + closing * MAX_DEPTH
    assert parse_document(body)
    text = body.decode()
    assert read_stored(body).json == text


def test_many_brackets_that_are_not_nested_are_fine() -> None:
    text = "[" + ",".join(["[]"] * 2000) + "]"
    assert stored(text).json == text


def test_brackets_within_strings_are_no_levels() -> None:
    text = json.dumps(["[{" * 1000, '"[' * 1000, "\\"])
    assert stored(text).json == text


@pytest.mark.parametrize(
    "text", ["", "]", "[{", '"', '"]', "\\", "\\\\", '\\"[', "\\\\[", "n]", "é["]
)
@pytest.mark.parametrize("opening", ["[%s,", '{"%s":'])
def test_strings_between_levels_change_no_depth(text: str, opening: str) -> None:
    begins = opening.replace(
        "%s", json.dumps(text) if opening[0] == "[" else json.dumps(text)[1:-1]
    )
    ends = "]" if opening[0] == "[" else "}"
    # One level is the document's; flat ones around do not count.
    for depth in (MAX_DEPTH - 2, MAX_DEPTH - 1):
        deep = begins * depth + "1" + ends * depth
        whole = f"[{','.join(['[{}]'] * 600)},{json.dumps(text)},{deep}]"
        body = b'{"value":%b}' % whole.encode()
        if depth == MAX_DEPTH - 2:
            assert parse_document(body) == {"value": whole}
        else:
            with pytest.raises(InvalidJson, match="deeper than 512 levels"):
                parse_document(body)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"value":1,"value":2}', {"value": "2"}),
        (b'{"val\\u0075e":1}', {"value": "1"}),
        (b'{"resource":[1],"resource":[{"value": [1, 2] }]}', {"resource": [{"value": "[1, 2]"}]}),
        (b" {\n} ", {}),
        (b"[ ]", []),
        (b"null", None),
        (b' "text" ', "text"),
        (b'{"ttl":-0}', {"ttl": 0}),
    ],
)
def test_a_document_is_parsed(body: bytes, document: Any) -> None:
    assert parse_document(body) == document


@pytest.mark.parametrize("text", ["9" * 39, "9" * 6000, "-" + "9" * 6000])
def test_a_long_integer_beside_values_keeps_its_sign_and_is_large(text: str) -> None:
    number = parse_document(f'{{"ttl":{text}}}'.encode())["ttl"]
    assert abs(number) > 2**64
    assert (number < 0) == text.startswith("-")


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


def test_a_string_that_never_ends_is_refused_without_trying_every_quote_in_it() -> None:
    body = b'{"value":' + b"[" * 600 + b'"' + b'\\"' * 2_000_000
    with pytest.raises(InvalidJson, match="nested deeper"):
        parse_document(body)
    body = b'{"value":' + b"[" * 400 + b"]" * 400 + b',"x":["' + b"{" * 600 + b'\\"' * 2_000_000
    with pytest.raises(InvalidJson, match="not valid JSON"):
        parse_document(body)
