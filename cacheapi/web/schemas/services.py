"""Services in responses."""

from __future__ import annotations

from marshmallow import Schema, fields


class ServiceSchema(Schema):
    """A service."""

    name = fields.String(required=True, metadata={"example": "cache"})
    aliases = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Other ways to write its name in a URL: of `cache`, its driver's own.",
            "example": ["local"],
        },
    )
    label = fields.String(required=True)
    description = fields.String(required=True)
    type = fields.String(required=True, metadata={"example": "cache_local"})


class ServicesSchema(Schema):
    """The services that a key may use."""

    services = fields.List(fields.Nested(ServiceSchema), required=True)
