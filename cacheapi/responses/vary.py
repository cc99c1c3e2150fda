"""Which of a URL's stored responses a request selects (RFC 9111, section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cacheapi.responses.messages import Fields, Stored, combined, first, names_in, split

# More variants of a URL than a Vary on a field with a few values makes: the oldest goes.
MOST_VARIANTS: Final = 32

_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
# RFC 9110, section 8.4.1: the names of old are the same codings.
_SAME_CODING: Final = {"x-gzip": "gzip", "x-compress": "compress"}


def vary_names(fields: Fields) -> tuple[str, ...]:
    """Return the names in ``Vary``, sorted; ``("*",)`` where ``*`` is among them."""
    names = names_in(fields, "vary")
    return ("*",) if "*" in names else tuple(sorted(names))


def selecting_values(fields: Fields, names: Sequence[str]) -> tuple[str | None, ...]:
    """Return the normalised values of a request's fields, ``None`` for those that are absent."""
    return tuple(normalise(name, combined(fields, name)) for name in names)


def normalise(name: str, value: str | None) -> str | None:
    """Return a selecting field's value in the one form of all that mean the same.

    Lines are joined and white space around commas is dropped. Of ``Accept-Language`` and
    ``Accept-Encoding`` neither case nor the order of equal weights counts (RFC 9110, sections
    12.5.3 and 12.5.4); nothing is left out, so that no two wishes become one.
    """
    if value is None:
        return None
    members = split(value)
    if name not in ("accept-encoding", "accept-language"):
        return ", ".join(members)
    wishes = _wishes(members)
    if wishes is None:
        return ", ".join(members)
    return ", ".join(
        f"{wish};q={weight:g}" if weight < 1 else wish for weight, wish in sorted(wishes)
    )


def _wishes(members: Iterable[str]) -> set[tuple[float, str]] | None:
    """Return what members with weights wish, ``None`` if one is malformed."""
    wishes = set()
    for member in members:
        wish, _, parameters = member.partition(";")
        wish = wish.strip(" \t").lower()
        weight = 1.0
        if parameters:
            key, _, text = parameters.partition("=")
            if key.strip(" \t").lower() != "q" or not _WEIGHT.fullmatch(text.strip(" \t")):
                return None
            weight = float(text)
        wishes.add((weight, _SAME_CODING.get(wish, wish)))
    return wishes


def matches(stored: Stored, fields: Fields) -> bool:
    """Whether a request selects a stored response (RFC 9111, section 4.1).

    Beyond equal values: a response in the one language that the request likes best is what it
    asks for, whatever languages it names behind that.
    """
    names = stored.vary
    if not names:
        return True
    if names == ("*",):
        return False
    for name, kept in zip(names, stored.selecting, strict=True):
        value = combined(fields, name)
        if normalise(name, value) != kept and not (
            name == "accept-language" and value is not None and _has_best_language(stored, value)
        ):
            return False
    return True


def _has_best_language(stored: Stored, wanted: str) -> bool:
    language = first(stored.fields, "content-language")
    wishes = _wishes(split(wanted))
    if language is None or not wishes:
        return False
    best = max(weight for weight, _ in wishes)
    return best > 0 and [wish for weight, wish in wishes if weight == best] == [language.lower()]


def select(variants: Iterable[Stored], target: str, fields: Fields) -> Stored | None:
    """Return the stored response that a request selects, of several the newest.

    One of another URL is never selected, whatever key it was found by.
    """
    chosen: Stored | None = None
    for stored in variants:
        if (
            stored.target == target
            and (chosen is None or stored.response_time > chosen.response_time)
            and matches(stored, fields)
        ):
            chosen = stored
    return chosen


def add_variant(
    variants: Iterable[Stored], stored: Stored, most: int = MOST_VARIANTS
) -> tuple[Stored, ...]:
    """Return the variants of a URL with a new one, newest first, in place of its forerunner.

    :param most: how many stay.
    """
    others = (
        other
        for other in variants
        if (other.vary, other.selecting) != (stored.vary, stored.selecting)
    )
    newest = sorted(others, key=lambda other: other.response_time, reverse=True)
    return (stored, *newest[: most - 1])
