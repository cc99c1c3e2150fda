"""Stored responses as bytes under keys.

Everything about a URL is one record: its variants, with their bodies where these are small.
A larger body stands in parts of its own under a name that no other body ever has, so that
parts of two are never mixed. Keys are hashes over framed parts: what a URL has in it cannot
make another URL's key, and :attr:`Record.target` is compared at each use all the same.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import msgspec

from cacheapi.caching.reserved import RESPONSE
from cacheapi.responses.messages import Stored

# Changed with the form of a record: one of another form is as good as none.
FORM: Final = 1

_TOKEN: Final = 8


class Generation(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a group of entries must still be stored under to count.

    :ivar hard: another one than an entry has: the entry is gone.
    :ivar soft: another one: the entry is stale since ``since``.
    :ivar since: Unix time of the last soft purge.
    """

    hard: bytes
    soft: bytes
    since: float = 0.0

    def renewed(self, *, soft: bool, now: float) -> Generation:
        """Return the next one: all stored under this one is gone, or stale."""
        made = new_token()
        return Generation(self.hard if soft else made, made, now if soft else 0.0)


class Place(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where a body is: in the record, or in parts.

    :ivar inline: the body, if it is in the record.
    :ivar name: of its parts; empty where there are none.
    :ivar parts: how many.
    """

    inline: bytes | None = None
    name: str = ""
    parts: int = 0


class Variant(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A stored response with what the store knows of it.

    :ivar tags: by which it can be purged.
    :ivar generations: hard and soft tokens of the service, the URL and each tag, when the
        fetch of it began.
    """

    stored: Stored
    place: Place
    tags: tuple[str, ...] = ()
    generations: tuple[tuple[bytes, bytes], ...] = ()


class Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All that is stored of a URL.

    :ivar generation: the URL's own.
    :ivar alone_until: Unix time until which fetches of it are not worth waiting for.
    """

    form: int
    target: str
    generation: Generation
    variants: tuple[Variant, ...] = ()
    alone_until: float = 0.0


_encoder = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_generations = msgspec.msgpack.Decoder(Generation)


def new_token() -> bytes:
    """Return a token that was never there."""
    return secrets.token_bytes(_TOKEN)


def new_generation() -> Generation:
    """Return a generation under which nothing is stored."""
    token = new_token()
    return Generation(token, token)


def encode(thing: Record | Generation) -> bytes:
    """Return the bytes of a record or a generation."""
    return _encoder.encode(thing)


def read_record(raw: bytes, target: str) -> Record | None:
    """Return a record; ``None`` if it is none, of another form, or another URL's."""
    try:
        record = _records.decode(raw)
    except msgspec.DecodeError:
        return None
    return record if record.form == FORM and record.target == target else None


def read_generation(raw: bytes | None) -> Generation | None:
    """Return a generation; ``None`` if it is none, or nothing is there."""
    if raw is None:
        return None
    try:
        return _generations.decode(raw)
    except msgspec.DecodeError:
        return None


def framed(*parts: str) -> str:
    """Return a hash of parts that differs where any of them does."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()[:48]


def record_key(service: str, target: str) -> str:
    """Return the key of a URL's record."""
    return f"{RESPONSE}url:{framed(service, target)}"


def lease_key(service: str, target: str, selecting: tuple[str | None, ...] = ()) -> str:
    """Return the key of the right to fetch a URL, or a variant of it."""
    words = [part for value in selecting for part in ("" if value is None else "=", value or "")]
    return f"{RESPONSE}lease:{framed(service, target, *words)}"


def service_key(service: str) -> str:
    """Return the key of a service's generation."""
    return f"{RESPONSE}all:{framed(service)}"


def tag_key(service: str, tag: str) -> str:
    """Return the key of a tag's generation."""
    return f"{RESPONSE}tag:{framed(service, tag)}"


def tags_key(service: str) -> str:
    """Return the key of what changes with each purge of any tag."""
    return f"{RESPONSE}tags:{framed(service)}"


def part_key(name: str, number: int) -> str:
    """Return the key of a part of a body."""
    return f"{RESPONSE}body:{name}:{number}"
