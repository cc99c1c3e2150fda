"""Request bodies: parsed to the letter, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.caching.codec import InvalidJson, Text, read_stored
from cacheapi.caching.depth import MAX_DEPTH
from cacheapi.caching.documents import parse_document
from tests.cacheapi.caching.conftest import json_values


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


def test_a_string_that_never_ends_is_refused_without_trying_every_quote_in_it() -> None:
    body = b'{"value":' + b"[" * 600 + b'"' + b'\\"' * 2_000_000
    with pytest.raises(InvalidJson, match="nested deeper"):
        parse_document(body)
    body = b'{"value":' + b"[" * 400 + b"]" * 400 + b',"x":["' + b"{" * 600 + b'\\"' * 2_000_000
    with pytest.raises(InvalidJson, match="not valid JSON"):
        parse_document(body)
