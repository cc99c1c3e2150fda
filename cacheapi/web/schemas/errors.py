"""The one shape of every error."""

from __future__ import annotations

from marshmallow import Schema, fields


class ErrorDetailSchema(Schema):
    """An error."""

    code = fields.Integer(required=True, metadata={"example": 404})
    context = fields.Dict(
        required=True,
        allow_none=True,
        metadata={
            "description": "`errors`: each bad item by index, field and message. "
            "`resource`: what became of each item of a batch that was stored in part. "
            "`reason`: of a 404 that is no miss, `unknown_service` or `service_off`."
        },
    )
    message = fields.String(
        required=True, metadata={"example": "Key 'user:123:name' does not exist."}
    )
    status_code = fields.Integer(required=True, metadata={"example": 404})


class ErrorSchema(Schema):
    """The answer to a request that failed."""

    error = fields.Nested(ErrorDetailSchema, required=True)
