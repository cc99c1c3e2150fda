"""Tags of entries: what a name of one is, and how they stand in what is stored.

An entry with tags is stored in an envelope: a mark, the tags with the *generation* that each
had then, and the value. Whoever purges a tag gives it another generation, and so the entry is
gone, in every worker at once, however many entries there are. An entry without tags is stored
as it always was: not a byte more.

The mark begins with a byte that neither UTF-8 nor MessagePack has, so nothing that a client or
another program stores looks so but by intent; and what does is put into an envelope too, see
:func:`escaped`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from typing import Final

import msgspec

from backends.base import Flagged, flags_of, with_flags
from cacheapi.caching.reserved import TAG

MOST_TAGS: Final = 32
LONGEST: Final = 128
# How many may be purged at once.
MOST_PURGED: Final = 1000

MARK: Final = b"\xc1cacheapi-tags:1\xc1"
FIRST: Final = MARK[:1]
# What tells that a service has entries with tags; see cacheapi.caching.tagging.
IN_USE: Final = f"{TAG}in-use"

_NAME: Final = re.compile(r"[^\s,\x00-\x20\x7f-\x9f]+")
_LENGTH: Final = 2
_TOKEN: Final = 8


class InvalidTags(ValueError):
    """The tags are none; the message says what is allowed."""


class Tagged(Flagged):
    """A value that has tags.

    :ivar tags: each with the generation under which the value counts.
    """

    tags: tuple[tuple[str, bytes], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tags."""
        return tuple(name for name, _ in self.tags)


class _Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    flags: int
    tags: tuple[tuple[str, bytes], ...]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Head)


def check_tags(tags: object) -> tuple[str, ...]:
    """Return tags that a client gives to an entry, each once; ``None`` and an empty list: none.

    :raises InvalidTags: it is no list of at most :data:`MOST_TAGS` names.
    """
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidTags("The tags must be a list of texts.")
    checked = tuple(dict.fromkeys(tags))
    if len(checked) > MOST_TAGS:
        raise InvalidTags(f"An entry has at most {MOST_TAGS} tags.")
    for tag in checked:
        check_tag(tag)
    return checked


def check_tag(tag: str) -> None:
    """Raise :class:`InvalidTags` for a text that is no name of a tag."""
    if len(tag) > LONGEST or not _NAME.fullmatch(tag):
        raise InvalidTags(
            f"A tag has 1 to {LONGEST} characters, no white space, no comma and no control "
            "characters."
        )


def tags_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that are to be purged, each once, of lists with commas between them.

    :raises InvalidTags: there are none, or more than :data:`MOST_PURGED`.
    """
    tags = tuple(
        dict.fromkeys(tag.strip() for text in texts for tag in text.split(",") if tag.strip())
    )
    if not tags:
        raise InvalidTags("No tag is named: give one, or several with commas between them.")
    if len(tags) > MOST_PURGED:
        raise InvalidTags(f"There are more than {MOST_PURGED} tags.")
    return tags


def purged_text(tags: tuple[str, ...]) -> str:
    """Return what a purge of some tags has done, as a sentence."""
    which = f"the tag {tags[0]}" if len(tags) == 1 else f"one of the tags {', '.join(tags)}"
    return f"Every entry that had {which} is deleted."


def generation_key(tag: str) -> str:
    """Return the key of a tag's generation."""
    digest = hashlib.blake2b(tag.encode(errors="surrogatepass"), digest_size=16)
    return f"{TAG}{digest.hexdigest()}"


def new_generation() -> bytes:
    """Return a generation that no tag ever had."""
    return secrets.token_bytes(_TOKEN)


def tagged(value: bytes, tags: tuple[tuple[str, bytes], ...]) -> Tagged:
    """Return a value, its flags with it, with tags."""
    made = Tagged(value, flags_of(value))
    made.tags = tags
    return made


def like(value: bytes, other: bytes) -> bytes:
    """Return a value with the flags and tags of another."""
    made = with_flags(value, flags_of(other))
    return tagged(made, other.tags) if isinstance(other, Tagged) else made


def sealed(value: bytes) -> bytes:
    """Return what is stored of a value: of one with tags the envelope, else itself.

    The envelope has no flags: it is nothing that another program could read by them.
    """
    if not isinstance(value, Tagged):
        return value
    return _envelope(value, value.tags)


def escaped(value: bytes) -> bytes:
    """Return what is stored of bytes that a client has chosen, so that they come back equal."""
    return _envelope(value, ()) if value.startswith(MARK) else value


def unsealed(stored: bytes) -> bytes:
    """Return the value in what is stored, which may have tags.

    What only looks like an envelope is a value.
    """
    if not stored.startswith(MARK):
        return stored
    start = len(MARK) + _LENGTH
    end = start + int.from_bytes(stored[len(MARK) : start], "big")
    try:
        head = _decoder.decode(stored[start:end])
    except msgspec.DecodeError:
        return stored
    if len(head.tags) > MOST_TAGS or not 0 <= head.flags < 1 << 32:
        return stored
    value = with_flags(stored[end:], head.flags)
    return tagged(value, head.tags) if head.tags else value


def _envelope(value: bytes, tags: tuple[tuple[str, bytes], ...]) -> bytes:
    head = _encoder.encode(_Head(flags_of(value), tags))
    return b"".join((MARK, len(head).to_bytes(_LENGTH, "big"), head, value))
