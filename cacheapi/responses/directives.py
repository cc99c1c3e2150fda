"""``Cache-Control`` (RFC 9111, section 5.2) and ``CDN-Cache-Control`` (RFC 9213)."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from cacheapi.responses.messages import Fields, combined, every, split

# A directive's arguments, one for each time that it stands there; None where it has none.
Directives: TypeAlias = dict[str, list[str | None]]

# RFC 9111, section 1.2.2: more seconds mean the same.
LONGEST: Final = 2**31

_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"')
_ESCAPE: Final = re.compile(r"\\(.)")
_DIGITS: Final = re.compile(r"[0-9]+")

_NUMBERS: Final = frozenset(
    {"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "max-stale", "min-fresh"}
)
_FLAGS: Final = frozenset(
    {
        "immutable", "must-revalidate", "must-understand", "no-store", "no-transform",
        "proxy-revalidate", "public",
    }
)  # fmt: skip
_FLAGS_OR_NAMES: Final = frozenset({"no-cache", "private"})

_KEY: Final = r"[a-z*][a-z0-9_.*-]*"
_ITEM: Final = (
    r"(?:-?[0-9]{1,15}(?![0-9.])|-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])"  # integer, decimal
    r'|"(?:[ !#-\[\]-~]|\\["\\])*+"'  # string
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+"  # token
    r"|:[A-Za-z0-9+/=]*+:|\?[01]|@-?[0-9]{1,15})"  # bytes, boolean, date
)
_PARAMETERS: Final = rf"(?:; *+{_KEY}(?:={_ITEM})?)*+"
_INNER_LIST: Final = rf"\( *+(?:{_ITEM}{_PARAMETERS}(?: ++|(?=\))))*+\)"
_MEMBER: Final = re.compile(
    rf"(?P<key>{_KEY})(?:=(?P<value>{_ITEM}|{_INNER_LIST}))?{_PARAMETERS}(?P<more>[ \t]*+,[ \t]*+)?"
)


def parse_directives(fields: Fields, name: str = "cache-control") -> Directives:
    """Return the directives of all lines of a field, names in lower case.

    An argument may be a token or a quoted string, whatever the directive's grammar says. Where
    white space stands beside the ``=`` it is an argument that no directive understands.
    """
    found: Directives = {}
    for line in every(fields, name):
        # A quote without its end must not swallow a no-store that follows.
        whole = '"' not in line or '"' not in _QUOTED.sub("", line)
        for member in split(line) if whole else line.split(","):
            key, equals, argument = member.partition("=")
            key_name = key.strip(" \t").lower()
            if not key_name:
                continue
            value: str | None = None
            if equals:
                value = "" if key[-1] in " \t" or argument[:1] in " \t" else _unquote(argument)
            found.setdefault(key_name, []).append(value)
    return found


def _unquote(argument: str) -> str:
    argument = argument.rstrip(" \t")
    if _QUOTED.fullmatch(argument):
        return _ESCAPE.sub(r"\1", argument[1:-1])
    return argument


def parse_targeted(fields: Fields) -> Directives | None:
    """Return the directives of ``CDN-Cache-Control``, which rule alone where they are valid.

    The field is a Dictionary (RFC 8941, section 3.2). ``None`` where it is absent, empty,
    malformed, or has a known directive of a wrong type: then ``Cache-Control`` and ``Expires``
    count (RFC 9213, section 2.1 and 2.2).
    """
    text = combined(fields, "cdn-cache-control")
    if text is None:
        return None
    text = text.strip(" ")
    found: Directives = {}
    place = 0
    while place < len(text):
        match = _MEMBER.match(text, place)
        if match is None:
            return None
        place = match.end()
        if (match["more"] is None) != (place == len(text)):
            return None
        key, value = match["key"], match["value"]
        # A later member takes an earlier one's place.
        found.pop(key, None)
        if key in _NUMBERS:
            if value is None or not _DIGITS.fullmatch(value.removeprefix("-")):
                return None
            found[key] = [value]
        elif key in _FLAGS or key in _FLAGS_OR_NAMES:
            if value is None or value == "?1":
                found[key] = [None]
            elif key in _FLAGS_OR_NAMES and value[0] == '"':
                found[key] = [_unquote(value)]
            elif value != "?0":
                return None
        else:
            found[key] = [value]
    return found or None


def seconds(directives: Directives, name: str) -> int | None:
    """Return the seconds that a directive states, ``None`` where it is absent.

    The first of several counts; what is no number is 0: invalid freshness is none
    (RFC 9111, section 4.2.1).
    """
    arguments = directives.get(name)
    if arguments is None:
        return None
    argument = arguments[0]
    if argument is None or not _DIGITS.fullmatch(argument):
        return 0
    digits = argument.lstrip("0") or "0"
    # Python refuses to read thousands of digits.
    return min(int(digits), LONGEST) if len(digits) < 12 else LONGEST


def is_whole(directives: Directives, name: str) -> bool:
    """Whether ``no-cache`` or ``private`` is about the whole response, not about some fields."""
    return any(not argument for argument in directives.get(name, ()))


def listed(directives: Directives, name: str) -> frozenset[str]:
    """Return the field names that ``no-cache`` or ``private`` lists, in lower case."""
    return frozenset(
        field.lower()
        for argument in directives.get(name, ())
        if argument
        for field in split(argument)
    )
