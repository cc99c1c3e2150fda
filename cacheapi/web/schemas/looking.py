"""What happens now and what was changed, in responses."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class RequestSchema(Schema):
    """A request that was answered."""

    time = fields.Float(required=True, metadata={"description": "When it ended, as a Unix time."})
    method = fields.String(
        required=True,
        metadata={"description": "Empty of what was refused before it was read.", "example": "GET"},
    )
    route = fields.String(
        required=True,
        metadata={
            "description": "The path, with names instead of what stands in it.",
            "example": "/api/v2/{service}/{key}",
        },
    )
    service = fields.String(required=True, metadata={"example": "cache"})
    key = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The start of the SHA-256 of its key, with `CACHEAPI_LOG_KEYS=hash`; "
            "the key, or the first 200 characters of it, with `plain`; else `null`."
        },
    )
    status = fields.Integer(required=True, metadata={"example": 200})
    ms = fields.Float(required=True, metadata={"description": "How long it took."})
    bytes = fields.Integer(
        required=True, metadata={"description": "Size of the answer's body, in bytes."}
    )
    lane = fields.String(
        required=True,
        validate=validate.OneOf(["fast", "flask", ""]),
        metadata={"description": "Who answered; empty of what was refused before it was read."},
    )


class TailMetaSchema(Schema):
    """Where to go on."""

    next = fields.String(
        required=True, metadata={"description": "The `cursor` of what comes after."}
    )
    left_out = fields.Integer(
        required=True,
        metadata={
            "description": "How many others there were: of more than 200 a second and process, "
            "some are taken by chance."
        },
    )
    message = fields.String(
        metadata={"description": "Without a `cursor` only: how to ask for what comes from now on."}
    )


class TailSchema(Schema):
    """Requests since the cursor, the oldest first."""

    resource = fields.List(fields.Nested(RequestSchema), required=True)
    meta = fields.Nested(TailMetaSchema, required=True)


class SlowestSchema(Schema):
    """The requests of the last hour that took longest, the slowest first."""

    resource = fields.List(fields.Nested(RequestSchema), required=True)


class ActSchema(Schema):
    """What somebody did."""

    time = fields.Float(required=True, metadata={"description": "Unix time."})
    who = fields.String(
        required=True,
        metadata={
            "description": "`API key 3`; `API key`, of the settings; or `command line`.",
            "example": "API key 3",
        },
    )
    caller = fields.String(
        required=True,
        metadata={
            "description": "That API key's name, or where it stands (`CACHEAPI_API_KEY`, "
            "`var/api-key`); or the name of the person at the machine."
        },
    )
    action = fields.String(required=True, metadata={"example": "changed"})
    kind = fields.String(required=True, metadata={"example": "service"})
    id = fields.Integer(required=True, allow_none=True)
    name = fields.String(
        required=True, metadata={"description": "Its name at that time.", "example": "sessions"}
    )
    detail = fields.String(
        required=True,
        metadata={
            "description": "What of it: which fields changed, how many keys were deleted.",
            "example": "label, default_ttl",
        },
    )


class AuditMetaSchema(Schema):
    """Which page comes next, and what it is of."""

    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The `cursor` of the next page; `null`: this is the last one."},
    )
    machine = fields.String(
        required=True,
        metadata={"description": "Whose log this is: its host name.", "example": "web-1"},
    )
    whole = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether that is all there is: no other machine shares the database of "
            "services and API keys."
        },
    )


class AuditSchema(Schema):
    """What was changed on this machine, the newest first."""

    resource = fields.List(fields.Nested(ActSchema), required=True)
    meta = fields.Nested(AuditMetaSchema, required=True)
