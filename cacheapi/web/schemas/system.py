"""Types of service, and what a service can do, in responses."""

from __future__ import annotations

import dataclasses

from marshmallow import Schema, fields, validate

from backends.capabilities import Capability, Traits


class LimitsSchema(Schema):
    """The numbers. `null` is: no limit of the service, or one only the server knows."""

    max_key_bytes = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Longest key in bytes of UTF-8.", "example": 250},
    )
    max_value_bytes = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Longest JSON text of a value, in bytes of UTF-8."},
    )
    forbidden_in_key = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What a key may not contain, as a regular expression."},
    )
    forbidden_name = fields.String(
        required=True, metadata={"description": "The same in words; empty if there is none."}
    )
    min_count = fields.Integer(
        required=True, metadata={"description": "Lowest count; counting down stops there."}
    )
    max_count = fields.Integer(required=True, metadata={"description": "Highest count."})
    max_increment = fields.Integer(
        required=True, metadata={"description": "Largest step up or down in one request."}
    )


CapabilitiesSchema = Schema.from_dict(
    {
        flag.name.lower(): fields.Boolean(
            required=True, metadata={"description": f"Can it {flag.value}?"}
        )
        for flag in Capability
    },
    name="CapabilitiesSchema",
)
TraitsSchema = Schema.from_dict(
    {
        field.name: fields.String(required=True)
        for field in dataclasses.fields(Traits)
        if field.name not in ("title", "description")
    },
    name="TraitsSchema",
)


class ConfigFieldSchema(Schema):
    """A field of the `config` of a service."""

    name = fields.String(required=True, metadata={"example": "port"})
    label = fields.String(required=True, metadata={"example": "Port"})
    type = fields.String(required=True, validate=validate.OneOf(["string", "integer", "boolean"]))
    required = fields.Boolean(required=True)
    default = fields.Raw(
        required=True,
        metadata={"description": "What it is if not given.", "nullable": True, "example": 11211},
    )
    description = fields.String(required=True)
    allowed = fields.String(required=True, metadata={"description": "What it may be, in words."})
    unit = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "What a number is of, by its symbol: `ms`, `s`, `min`, `KiB`, `MiB`, or "
            "what a plugin says; null where it is no amount of anything. `label` has it too.",
            "example": None,
        },
    )
    secret = fields.Boolean(
        required=True, metadata={"description": "It is stored encrypted and never shown."}
    )


class ServiceTypeSchema(Schema):
    """A type of service."""

    name = fields.String(required=True, metadata={"example": "cache_memcached"})
    label = fields.String(required=True, metadata={"example": "Memcached"})
    description = fields.String(required=True)
    driver = fields.String(
        required=True,
        metadata={"description": "Its name in `CACHE_DRIVER`.", "example": "memcached"},
    )
    capabilities = fields.Nested(CapabilitiesSchema, required=True)
    limits = fields.Nested(LimitsSchema, required=True)
    traits = fields.Nested(
        TraitsSchema,
        required=True,
        metadata={"description": "What to choose it by, in words; empty: not said."},
    )
    config_schema = fields.List(
        fields.Nested(ConfigFieldSchema),
        required=True,
        metadata={"description": "The fields of the `config` of such a service."},
    )


class ServiceTypesSchema(Schema):
    """The types of service, those of other distributions last."""

    resource = fields.List(fields.Nested(ServiceTypeSchema), required=True)


class AbilitiesSchema(Schema):
    """What a service can do, with its own settings."""

    name = fields.String(required=True, metadata={"example": "cache"})
    type = fields.String(required=True, metadata={"example": "cache_memcached"})
    driver = fields.String(required=True, metadata={"example": "memcached"})
    capabilities = fields.Nested(CapabilitiesSchema, required=True)
    limits = fields.Nested(LimitsSchema, required=True)
