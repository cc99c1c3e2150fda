"""Which of a URL's stored responses a request selects (RFC 9111, section 4.1)."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from cacheapi.responses.dates import parse_date
from cacheapi.responses.messages import Fields, Stored, combined, first, members, names_in, split

# More variants of a URL than a Vary on a field with a few values makes: the oldest goes.
MOST_VARIANTS: Final = 32

_SECRET: Final = frozenset({"authorization", "cookie", "x-api-key"})
_LONGEST_VALUE: Final = 200

_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
# RFC 9110, section 8.4.1: the names of old are the same codings.
_SAME_CODING: Final = {"x-gzip": "gzip", "x-compress": "compress"}


def vary_names(fields: Fields) -> tuple[str, ...]:
    """Return the names in ``Vary``, sorted; ``("*",)`` where ``*`` is among them."""
    names = names_in(fields, "vary")
    return ("*",) if "*" in names else tuple(sorted(names))


def selecting_values(fields: Fields, names: Sequence[str]) -> tuple[str | None, ...]:
    """Return the normalised values of a request's fields, ``None`` for those that are absent.

    Secrets and long values are digests, which are equal where the values are: they are stored
    beside the response.
    """
    return tuple(
        None if (value := combined(fields, name)) is None else _kept(name, normalise(name, value))
        for name in names
    )


def _kept(name: str, value: str) -> str:
    if len(value) <= _LONGEST_VALUE and name not in _SECRET:
        return value
    data = value.encode(errors="surrogatepass")
    return f"blake2b:{hashlib.blake2b(data, digest_size=32).hexdigest()}"


def normalise(name: str, value: str) -> str:
    """Return a selecting field's value in the one form of all that mean the same.

    Lines are joined and white space around commas is dropped. Of ``Accept-Language`` and
    ``Accept-Encoding`` neither case nor the order of equal weights counts (RFC 9110, sections
    12.5.3 and 12.5.4); nothing is left out, so that no two wishes become one.
    """
    if name not in ("accept-encoding", "accept-language"):
        return ", ".join(split(value))
    return _normal_wishes(value) if len(value) < _SHORT else _as_wishes(value)


def _as_wishes(value: str) -> str:
    wanted = split(value)
    wishes = _wishes(wanted)
    if wishes is None:
        return ", ".join(wanted)
    return ", ".join(
        f"{wish};q={weight:g}" if weight < 1 else wish for weight, wish in sorted(wishes)
    )


# Browsers send few different ones. Longer ones are rare, and could fill the memory.
_SHORT: Final = 256
_normal_wishes = functools.lru_cache(maxsize=1024)(_as_wishes)


def _wishes(wanted: Iterable[str]) -> set[tuple[float, str]] | None:
    """Return what members with weights wish, ``None`` if one is malformed."""
    wishes = set()
    for member in wanted:
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


def _likes(stored: Stored, fields: Fields, wanted: Sequence[str | None]) -> bool:
    """Whether other values select a stored response all the same.

    One in the one language that the request likes best is what it asks for, whatever
    languages it names behind that.
    """
    return all(
        kept == value or (name == "accept-language" and _has_best_language(stored, fields))
        for name, kept, value in zip(stored.vary, stored.selecting, wanted, strict=True)
    )


def _has_best_language(stored: Stored, fields: Fields) -> bool:
    language = first(stored.fields, "content-language")
    wishes = _wishes(members(fields, "accept-language"))
    if language is None or not wishes:
        return False
    best = max(weight for weight, _ in wishes)
    return best > 0 and [wish for weight, wish in wishes if weight == best] == [language.lower()]


def select(variants: Iterable[Stored], target: str, fields: Fields) -> Stored | None:
    """Return the stored response that a request selects.

    Of several it is the one with the latest ``Date`` (RFC 9111, section 4), of those the last
    to come. One of another URL is never selected, whatever key it was found by.
    """
    chosen: Stored | None = None
    wanted: dict[tuple[str, ...], tuple[str | None, ...]] = {(): ()}
    for stored in variants:
        names = stored.vary
        if stored.target != target or names == ("*",):
            continue
        if chosen is not None and names == chosen.vary and "accept-language" not in names:
            # One that the same values select would be in its place.
            continue
        values = wanted.get(names)
        if values is None:
            values = wanted[names] = selecting_values(fields, names)
        if values == stored.selecting or (
            "accept-language" in names and _likes(stored, fields, values)
        ):
            chosen = stored if chosen is None else max(chosen, stored, key=_made)
    return chosen


def _made(stored: Stored) -> tuple[float, float]:
    came = stored.response_time
    made = parse_date(first(stored.fields, "date") or "", came)
    return (came if made is None else made, came)


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
