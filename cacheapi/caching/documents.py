"""Request bodies: JSON documents in which values stay the text that was sent.

What stands beside values is parsed as Python does it; what is wrong is told by line and column.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from cacheapi.caching.codec import LENIENT, InvalidJson, Text, refuse_constant
from cacheapi.caching.depth import check_depth

# {"resource": [{"value": …}]}
DOCUMENT_LEVELS: Final = 3
# {"operations": [{"set": {"value": …}}]}
OPERATION_LEVELS: Final = 4
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACES = re.compile(r"[ \t\n\r]*")


class TooManyItems(InvalidJson):
    """The text has more items than are taken at once.

    :param most: how many that are.
    """

    def __init__(self, most: int) -> None:
        super().__init__(
            f"There are more than {most} items; send them in several requests (CACHEAPI_MAX_BATCH)."
        )


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
        surrogate, or nested deeper than :data:`~cacheapi.caching.depth.MAX_DEPTH`.
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


def _check_surrogates(text: str) -> None:
    try:
        json.dumps(LENIENT.decode(text), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidJson("The body has a lone surrogate, which is no character.") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJson(f"The body has {text[:40]}, which is too large for a number.")
    return number


def _integer(text: str) -> int:
    # Longer ones stand in values only, which stay text; in a ttl or a count they are too large.
    return int(text) if len(text) < 40 else int(text[:40])


_STRICT: Final = json.JSONDecoder(
    parse_float=_finite, parse_int=_integer, parse_constant=refuse_constant
)
