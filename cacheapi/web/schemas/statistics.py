"""The statistics of a service, as administrators see them."""

from __future__ import annotations

from typing import Final

from marshmallow import Schema, fields

_MEANINGS: Final = {
    "curr_items": "Entries that it holds.",
    "get_hits": "Reads of a key that was there.",
    "get_misses": "Reads of a key that was not.",
    "evictions": "Entries that went before their time, to make room.",
    "bytes": "Memory or disk that the entries take.",
    "limit_bytes": "The most that they may take; `null`: no limit of its own.",
    "bytes_read": "What came in over the network, in bytes.",
    "bytes_written": "What went out, in bytes.",
    "curr_connections": "Clients that are connected, this service among them.",
    "max_connections": "The most that may be.",
    "uptime": "Seconds since it started; of several, since the last one did.",
}
FiguresSchema = Schema.from_dict(
    {
        **{
            name: fields.Integer(required=True, allow_none=True, metadata={"description": meaning})
            for name, meaning in _MEANINGS.items()
        },
        "hit_ratio": fields.Float(
            required=True,
            allow_none=True,
            metadata={
                "description": "`get_hits / (get_hits + get_misses)`; `null`: nothing was read."
            },
        ),
    },
    name="FiguresSchema",
)


class ServerStatisticsSchema(Schema):
    """What one server says."""

    server = fields.String(required=True, metadata={"example": "127.0.0.1:11211"})
    stats = fields.Nested(
        FiguresSchema,
        required=True,
        allow_none=True,
        metadata={"description": "`null` where it did not answer."},
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it did not answer."}
    )
    raw = fields.Dict(
        required=True,
        metadata={"description": "Its figures by its own names, of the section asked for."},
    )


class AdviceSchema(Schema):
    """What an operator might look into."""

    rule = fields.String(required=True, metadata={"example": "hit-ratio"})
    message = fields.String(required=True)


class StatisticsSchema(Schema):
    """Statistics. The figures are the servers' own: of all that use them, since they started."""

    name = fields.String(required=True, metadata={"example": "cache"})
    type = fields.String(required=True, metadata={"example": "cache_memcached"})
    stats = fields.Nested(
        FiguresSchema,
        required=True,
        metadata={
            "description": "The sum over the servers that answered. `null` is: not every one says."
        },
    )
    servers = fields.List(fields.Nested(ServerStatisticsSchema), required=True)
    advice = fields.List(fields.Nested(AdviceSchema), required=True)
    results = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={
            "description": "Of a service in front of an HTTP API alone: answers, by what the cache "
            "did.",
            "example": {"hit": 940, "miss": 60},
        },
    )
