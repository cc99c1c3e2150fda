"""What fills a service, as administrators see it."""

from __future__ import annotations

from typing import Final

from marshmallow import Schema, fields

from cacheapi.observing.analysis import OWN
from cacheapi.observing.prefixes import CLASSES

_CLASSES: Final = {
    "minute": "A minute at most.",
    "hour": "An hour at most, and more than a minute.",
    "day": "A day at most, and more than an hour.",
    "week": "A week at most, and more than a day.",
    "longer": "More than a week.",
    "forever": "They do not expire.",
}
LifetimesSchema = Schema.from_dict(
    {
        name: fields.Integer(required=True, metadata={"description": _CLASSES[name]})
        for name in CLASSES
    },
    name="LifetimesSchema",
)


class AmountSchema(Schema):
    """How many entries, and how large."""

    keys = fields.Integer(required=True, metadata={"description": "How many."})
    bytes = fields.Integer(
        required=True,
        metadata={
            "description": "What they take: memory by Redis's `MEMORY USAGE`, whole items on "
            "memcached, keys and values in a file."
        },
    )


class GroupSchema(AmountSchema):
    """Entries taken together."""

    share = fields.Float(
        required=True, metadata={"description": "Of the bytes of all, from 0 to 1."}
    )
    lifetimes = fields.Nested(
        LifetimesSchema,
        required=True,
        metadata={"description": "How many of them have how long left."},
    )


class PrefixSchema(GroupSchema):
    """Entries whose keys begin alike."""

    prefix = fields.String(
        required=True,
        metadata={
            "description": "What their keys begin with. Each entry counts once, in the longest "
            "prefix that is told; the empty one has the rest.",
            "example": "user:",
        },
    )


class LargeEntrySchema(Schema):
    """One of the largest entries that were looked at."""

    key = fields.String(required=True)
    bytes = fields.Integer(required=True)
    ttl = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Seconds that it has left; `null`: for ever."},
    )


class AnalysisSchema(GroupSchema):
    """What fills a service. Where not all was looked at, the numbers are estimates."""

    name = fields.String(required=True, metadata={"example": "cache"})
    type = fields.String(required=True, metadata={"example": "cache_redis"})
    complete = fields.Boolean(
        required=True, metadata={"description": "All entries were looked at."}
    )
    looked_at = fields.Integer(
        required=True,
        metadata={"description": "How many entries were looked at, other programs' too."},
    )
    held = fields.Integer(
        required=True,
        metadata={"description": "How many entries the servers have, other programs' too, about."},
    )
    own = fields.Nested(
        AmountSchema,
        required=True,
        metadata={
            "description": "What cacheapi keeps for itself in this service, which nothing else "
            f"here counts: {OWN}."
        },
    )
    prefixes = fields.List(
        fields.Nested(PrefixSchema), required=True, metadata={"description": "The largest first."}
    )
    largest = fields.List(
        fields.Nested(LargeEntrySchema), required=True, metadata={"description": "Up to 20."}
    )
    notes = fields.List(
        fields.String(), required=True, metadata={"description": "What the figures lack."}
    )
