"""JSON in, JSON out, and nothing lost on the way.

A client's value is stored as the JSON text that it sent, to the letter: no integer is too
long, no fraction is rounded, and it costs no decoding to give it back. What another
program stored comes back as JSON if it is JSON, as a string if it is text, else as base64;
:mod:`cacheapi.caching.values` knows more of other programs, where a service is told to.
Nothing that was read is executed or unpickled.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 512
# {"resource": [{"value": …}]}
DOCUMENT_LEVELS: Final = 3
# {"operations": [{"set": {"value": …}}]}
OPERATION_LEVELS: Final = 4
_WHITE_SPACE: Final = " \t\n\r"

# What a bracket does to the depth.
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - {*_STEPS, ord('"')})
# A text that is no deeper is known to be shallow without a look at each bracket.
_SHALLOW: Final = 8
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACES = re.compile(r"[ \t\n\r]*")
# Text has none of these; what has one and could be decoded was text by chance.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))


# Returns the JSON text of a string that has no lone surrogate.
string_text: Callable[[str], str] = encode_basestring


class InvalidJson(ValueError):
    """The text is no JSON, or JSON that has no value of the kind that can be stored."""


class TooManyItems(InvalidJson):
    """The text has more items than are taken at once.

    :param most: how many that are.
    """

    def __init__(self, most: int) -> None:
        super().__init__(
            f"There are more than {most} items; send them in several requests (CACHEAPI_MAX_BATCH)."
        )


class Text(str):
    """A JSON text that was found valid, as it was sent."""

    __slots__ = ()


class Value(msgspec.Struct, frozen=True, gc=False):
    """A stored value as a client gets it.

    :ivar json: its JSON text.
    :ivar encoding: ``"base64"`` where ``json`` is a string that stands for other bytes.
    :ivar flags: what its program noted about it, where the service reads by that; 0: nothing.
    """

    json: str
    encoding: str | None = None
    flags: int = 0

    @property
    def etag(self) -> str:
        """A strong validator: equal for equal values only (RFC 9110, section 8.8.3)."""
        if self.encoding:
            return hashlib.blake2b(b"b" + self.json.encode(), digest_size=16).hexdigest()
        return etag_of(self.json.encode())


def etag_of(text: bytes) -> str:
    """Return the validator of the value that a JSON text stands for."""
    return hashlib.blake2b(b"j" + text, digest_size=16).hexdigest()


def encode(value: Any) -> str:
    """Return the JSON text of a Python value.

    :raises InvalidJson: it has a part that JSON has no text for.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidJson("The value has no JSON text.") from error
    return text


def error_text(status: int, message: str, context: Mapping[str, Any] | Text | None = None) -> str:
    """Return the one shape of an error, as JSON text.

    :param context: details for programs: JSON values, or their text.
    """
    details = context if isinstance(context, Text) else encode(context)
    return (
        f'{{"error":{{"code":{status},"context":{details},"message":{string_text(message)},'
        f'"status_code":{status}}}}}'
    )


def entry_text(key: str, value: Value, left: str = "") -> str:
    """Return the JSON text of an entry; the value's own text goes in as it is.

    :param left: the JSON text of the seconds that it has left; empty: not asked for.
    """
    mark = "" if value.encoding is None else f',"encoding":{encode(value.encoding)}'
    if value.flags:
        mark = f'{mark},"flags":{value.flags}'
    if left:
        mark = f'{mark},"ttl":{left}'
    return f'{{"key":{string_text(key)},"value":{value.json}{mark}}}'


def read_stored(stored: bytes) -> Value:
    """Return what a cache holds as a client gets it, whoever stored it."""
    text = json_of(stored)
    return read_text(stored) if text is None else Value(text)


def json_of(stored: bytes) -> str | None:
    """Return the JSON text that bytes are; ``None`` if they are none."""
    try:
        text = stored.decode()
        # It steps over the text, and makes nothing of it; a lone surrogate is an error to it.
        _step_over(stored)
    except UnicodeDecodeError:
        return None
    except (msgspec.MsgspecError, RecursionError):
        if not _is_lenient_json(text):
            return None
    return text.strip(_WHITE_SPACE)


def read_text(stored: bytes) -> Value:
    """Return bytes as a string if they are text, else as base64."""
    try:
        text = stored.decode()
    except UnicodeDecodeError:
        return read_bytes(stored)
    # To look for them in a text takes ten times as long.
    if len(stored.translate(None, _CONTROLS)) < len(stored):
        return read_bytes(stored)
    return Value(string_text(text))


def read_bytes(stored: bytes) -> Value:
    """Return bytes as base64."""
    return Value(f'"{base64.b64encode(stored).decode()}"', "base64")


def _is_lenient_json(text: str) -> bool:
    try:
        _LENIENT.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Budget:
    """What is left of the work that a document may cost: each item may have four members.

    :param levels: as of :func:`parse_document`; what an item has in between costs too.
    """

    def __init__(self, most: int | None, levels: int) -> None:
        self._most = most or 0
        self._left = math.inf if most is None else (levels + 2) * most + 20

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooManyItems(self._most)


def parse_document(body: bytes, most: int | None = None, levels: int = DOCUMENT_LEVELS) -> Any:
    """Parse a request body; each member ``value`` stays a :class:`Text`.

    Of members with the same name the last counts.

    :param most: how many items there may be, about; the caller counts.
    :param levels: how deep members ``value`` are looked for.
    :raises TooManyItems: there are far more.
    :raises InvalidJson: not UTF-8, not JSON, a number that is not finite, a lone
        surrogate, or nested deeper than :data:`MAX_DEPTH`.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} is wrong.") from error
    check_depth(body)
    try:
        start = _skip(text, 0)
        document, end = _parse(text, start, levels, _Budget(most, levels))
        end = _skip(text, end)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except json.JSONDecodeError as error:
        # Some of Python's messages end in "at" already.
        fault = error.msg.removesuffix(" at")
        raise InvalidJson(
            f"The body is not valid JSON: {fault} at line {error.lineno}, column {error.colno}."
        ) from error
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(text)
    return document


def _parse(text: str, start: int, levels: int, budget: _Budget) -> tuple[Any, int]:
    """Parse the JSON value at ``start``, looking for members to keep so many levels deep."""
    first = text[start : start + 1]
    if levels and first == "{":
        return _parse_object(text, start + 1, levels - 1, budget)
    if levels and first == "[":
        return _parse_array(text, start + 1, levels - 1, budget)
    return _STRICT.raw_decode(text, start)


def _parse_text(text: str, start: int) -> tuple[Text, int]:
    _, end = _STRICT.raw_decode(text, start)
    return Text(text[start:end]), end


def _parse_object(
    text: str, index: int, levels: int, budget: _Budget
) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    index = _skip(text, index)
    if text[index : index + 1] == "}":
        return members, index + 1
    while True:
        budget.spend()
        if text[index : index + 1] != '"':
            raise json.JSONDecodeError("Expecting a name in double quotes", text, index)
        name, index = _STRICT.raw_decode(text, index)
        index = _skip(text, index)
        if text[index : index + 1] != ":":
            raise json.JSONDecodeError("Expecting ':'", text, index)
        index = _skip(text, index + 1)
        if name == "value":
            members[name], index = _parse_text(text, index)
        else:
            members[name], index = _parse(text, index, levels, budget)
        index, more = _next(text, index, "}")
        if not more:
            return members, index


def _parse_array(text: str, index: int, levels: int, budget: _Budget) -> tuple[list[Any], int]:
    elements: list[Any] = []
    index = _skip(text, index)
    if text[index : index + 1] == "]":
        return elements, index + 1
    while True:
        budget.spend()
        element, index = _parse(text, index, levels, budget)
        elements.append(element)
        index, more = _next(text, index, "]")
        if not more:
            return elements, index


def _next(text: str, index: int, closing: str) -> tuple[int, bool]:
    """Step over the comma or the closing bracket after an element."""
    index = _skip(text, index)
    found = text[index : index + 1]
    if found == closing:
        return index + 1, False
    if found != ",":
        raise json.JSONDecodeError(f"Expecting ',' or '{closing}'", text, index)
    return _skip(text, index + 1), True


def _skip(text: str, index: int) -> int:
    match = _SPACES.match(text, index)
    assert match is not None
    return match.end()


def check_depth(text: bytes, levels: int = 0) -> None:
    """Refuse what a parser of limited depth, ours or the reader's, would choke on.

    A text that is no JSON may be refused for its depth, or not; its parser stops where it is none.

    :param levels: so deep within its document the text stands.
    :raises InvalidJson: it is nested deeper than :data:`MAX_DEPTH`.
    """
    if levels + text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    # Steps of some milliseconds a megabyte, none of which holds up other threads for long.
    left = brackets = _brackets(text)
    for _ in range(_SHALLOW):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    depth = levels
    for bracket in brackets if left else b"":
        depth += _STEPS[bracket]
        if depth > MAX_DEPTH:
            raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _brackets(text: bytes) -> bytes:
    """Return the brackets of a JSON text that are in no string."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    kept = text.translate(None, _NO_BRACKETS)
    # Strings that have none. Two quotes less are as many strings that begin or end.
    kept = kept.replace(b'""', b"")
    return b"".join(kept.split(b'"')[::2]) if b'"' in kept else kept


def _check_surrogates(text: str) -> None:
    try:
        json.dumps(_LENIENT.decode(text), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidJson("The body has a lone surrogate, which is no character.") from error


def _refuse_constant(name: str) -> Any:
    raise InvalidJson(f"The body has {name}, which is no JSON value.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJson(f"The body has {text[:40]}, which is too large for a number.")
    return number


def _integer(text: str) -> int:
    # Longer ones stand in values only, which stay text; in a ttl or a count they are too large.
    return int(text) if len(text) < 40 else int(text[:40])


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# Numbers that only pass through are not converted: that would be slow for long ones.
_LENIENT: Final = json.JSONDecoder(
    parse_float=lambda text: 0.0, parse_int=lambda text: 0, parse_constant=_refuse_constant
)
_STRICT: Final = json.JSONDecoder(
    parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant
)
_step_over: Final = msgspec.json.Decoder(msgspec.Raw).decode
