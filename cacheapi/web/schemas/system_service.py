"""Services as administrators describe and see them.

What a field may be is the rule of :mod:`cacheapi.registry.definition`, which a file of
services keeps to as well; here it is told to clients.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from cacheapi.registry.definition import LONGEST_TEXT, Source
from cacheapi.registry.names import PATTERN
from cacheapi.web.schemas.bodies import BodySchema
from cacheapi.web.schemas.pages import PageSchema

NAME: dict[str, Any] = {
    "required": True,
    "validate": [validate.Length(max=64), validate.Regexp(f"^{PATTERN}$")],
    "metadata": {"description": "Its name in the URL.", "example": "sessions"},
}
TYPE: dict[str, Any] = {
    "required": True,
    "validate": validate.Length(max=LONGEST_TEXT),
    "metadata": {
        "description": "A `name` of `/system/service_type`.",
        "example": "cache_memcached",
    },
}
SHORT: dict[str, Any] = {"validate": validate.Length(max=LONGEST_TEXT)}
CONFIG = {
    "description": "The settings of its type, the fields of its `config_schema`. A secret is "
    "read as `**********`; that sent back keeps it.",
    "example": {"host": "127.0.0.1", "port": 11211, "default_ttl": 300},
}


class ServiceFieldsSchema(BodySchema):
    """A service to make, or to put in the place of another."""

    name = fields.String(**NAME)
    type = fields.String(**TYPE)
    label = fields.String(**SHORT, metadata={"example": "Sessions"})
    description = fields.String(**SHORT)
    is_active = fields.Boolean(
        load_default=True, metadata={"description": "If not, it answers 404."}
    )
    config = fields.Dict(keys=fields.String(), metadata=CONFIG)


class ServiceChangeSchema(BodySchema):
    """What to change of a service; of `config`, the members given, and `null` is the default."""

    name = fields.String(**{**NAME, "required": False})
    type = fields.String(
        validate=validate.Length(max=LONGEST_TEXT), metadata={"description": "Only what it is."}
    )
    label = fields.String(**SHORT)
    description = fields.String(**SHORT)
    is_active = fields.Boolean()
    config = fields.Dict(keys=fields.String(), metadata=CONFIG)


class ServicesToMakeSchema(BodySchema):
    """Services to make."""

    resource = fields.List(
        fields.Nested(ServiceFieldsSchema), required=True, validate=validate.Length(min=1)
    )


class TrialConfigSchema(BodySchema):
    """Settings that are not saved, to try instead of the saved ones; those given count."""

    config = fields.Dict(keys=fields.String(), metadata=CONFIG)


WARNINGS: dict[str, Any] = {
    "required": True,
    "metadata": {"description": "What may not be meant: keys that it shares with another service."},
}


class MadeServiceSchema(Schema):
    """A service that was made."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    warnings = fields.List(fields.String(), **WARNINGS)


class MadeServicesSchema(Schema):
    """The services that were made, in the order asked."""

    resource = fields.List(fields.Nested(MadeServiceSchema), required=True)


class SystemServiceSchema(Schema):
    """A service, as administrators see it."""

    id = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "`null` unless it was made over the API."},
    )
    name = fields.String(required=True)
    aliases = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Other ways to write its name in a URL."},
    )
    label = fields.String(required=True)
    description = fields.String(required=True)
    type = fields.String(required=True)
    is_active = fields.Boolean(required=True)
    config = fields.Dict(
        required=True,
        metadata={
            "description": "All settings of its type, defaults filled in. A secret is read as "
            "`**********`."
        },
    )
    source = fields.String(
        required=True,
        validate=validate.OneOf([source.value for source in Source]),
        metadata={"description": "Where it is set up; only those of `database` change here."},
    )
    fault = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it cannot be used, although it is active."},
    )
    warnings = fields.List(fields.String(), **WARNINGS)


class SystemServicesSchema(Schema):
    """A page of the services."""

    resource = fields.List(fields.Nested(SystemServiceSchema), required=True)
    meta = fields.Nested(PageSchema, required=True)


class StepSchema(Schema):
    """A step of a trial."""

    name = fields.String(
        required=True,
        validate=validate.OneOf(["configure", "connect", "write", "read", "delete"]),
    )
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    ms = fields.Float(required=True, metadata={"description": "How long it took."})


class TrialSchema(Schema):
    """What became of a trial. It ends at the first step that fails."""

    success = fields.Boolean(required=True)
    steps = fields.List(fields.Nested(StepSchema), required=True)
    cause = fields.String(
        required=True, allow_none=True, metadata={"description": "What is likely wrong."}
    )
