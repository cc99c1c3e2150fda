"""A stored value as a person reads it: a tree of JSON, a text, or bytes."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final

from cacheapi.amounts import counted
from cacheapi.caching.codec import Value

# What is shown of a large value; all of it is in the form, or a request of the API away.
MOST_NODES: Final = 500
MOST_LEVELS: Final = 20
MOST_BYTES: Final = 512
MOST_TEXT: Final = 200_000
_ROW: Final = 16
# Of several values on one page each has its share; a tree of fewer nodes is better read as JSON.
_FEWEST_NODES: Final = 50


@dataclasses.dataclass
class Node:
    """A value in a tree of JSON.

    :ivar name: its name or number in what it is part of.
    :ivar kind: ``object``, ``array``, ``string``, ``number``, ``word`` or ``more``.
    """

    name: str
    kind: str
    text: str
    children: list[Node] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Shown:
    """A value as a page shows it.

    :ivar kind: ``tree``, ``text``, ``json`` or ``bytes``.
    :ivar size: its bytes, as they are stored.
    :ivar text: the text of a string, else the JSON text; base64 of bytes.
    :ivar rows: for bytes, the first of them: offset, hexadecimal, characters.
    :ivar is_cut: whether ``text`` is not all of it.
    """

    kind: str
    size: int
    text: str
    tree: Node | None = None
    rows: tuple[tuple[str, str, str], ...] = ()
    is_cut: bool = False

    @property
    def is_editable(self) -> bool:
        """Whether a form can hold it without changing it."""
        return self.kind != "bytes" and not self.is_cut


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, those with the same name too."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number
)


def show(value: Value, among: int = 1) -> Shown:
    """Return a value as a page shows it.

    :param among: how many values the page has, which share its room.
    """
    most_text = MOST_TEXT // among
    if value.encoding is not None:
        raw = base64.b64decode(json.loads(value.json))
        most_bytes = max(_ROW, MOST_BYTES // among)
        return Shown(
            "bytes",
            len(raw),
            json.loads(value.json)[:most_text],
            rows=tuple(_rows(raw[:most_bytes])),
            is_cut=len(raw) > most_bytes,
        )
    size = len(value.json.encode())
    try:
        parsed = _DECODER.decode(value.json)
    except (ValueError, RecursionError):
        return Shown("json", size, value.json[:most_text], is_cut=len(value.json) > most_text)
    if type(parsed) is str:
        return Shown("text", size, parsed[:most_text], is_cut=len(parsed) > most_text)
    left = [MOST_NODES // among]
    kind = "tree" if isinstance(parsed, list) and left[0] >= _FEWEST_NODES else "json"
    tree = _node("", parsed, left, 0) if kind == "tree" else None
    return Shown(kind, size, value.json[:most_text], tree, is_cut=len(value.json) > most_text)


def _node(name: str, value: Any, left: list[int], level: int) -> Node:
    left[0] -= 1
    if not isinstance(value, list):
        return Node(name, *_leaf(value))
    is_object = isinstance(value, _Pairs)
    node = Node(name, "object" if is_object else "array", _summary(value, is_object))
    pairs = value if is_object else enumerate(value)
    for index, (key, part) in enumerate(pairs):
        if left[0] <= 0 or level >= MOST_LEVELS:
            node.children.append(Node("", "more", f"{len(value) - index} more"))
            break
        node.children.append(_node(str(key), part, left, level + 1))
    return node


def _leaf(value: Any) -> tuple[str, str]:
    if isinstance(value, _Number):
        return "number", str(value)
    if isinstance(value, str):
        return "string", json.dumps(value, ensure_ascii=False)
    return "word", json.dumps(value)


def _summary(value: list[Any], is_object: bool) -> str:
    return counted(len(value), "member" if is_object else "element")


def _rows(raw: bytes) -> Iterator[tuple[str, str, str]]:
    for start in range(0, len(raw), _ROW):
        part = raw[start : start + _ROW]
        characters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{start:04x}", part.hex(" "), characters
