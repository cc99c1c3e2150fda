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
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec

_WHITE_SPACE: Final = " \t\n\r"

# Text has none of these; what has one and could be decoded was text by chance.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))


# Returns the JSON text of a string that has no lone surrogate.
string_text: Callable[[str], str] = encode_basestring


class InvalidJson(ValueError):
    """The text is no JSON, or JSON that has no value of the kind that can be stored."""


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
        LENIENT.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def refuse_constant(name: str) -> Any:
    """Raise for what Python takes for a number, and JSON has not.

    :raises InvalidJson: always.
    """
    raise InvalidJson(f"The body has {name}, which is no JSON value.")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# Numbers that only pass through are not converted: that would be slow for long ones.
LENIENT: Final = json.JSONDecoder(
    parse_float=lambda text: 0.0, parse_int=lambda text: 0, parse_constant=refuse_constant
)
_step_over: Final = msgspec.json.Decoder(msgspec.Raw).decode
