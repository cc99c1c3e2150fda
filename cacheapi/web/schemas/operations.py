"""Several different operations in one request, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from cacheapi.web.schemas.cache import (
    TTL_HELP,
    EntrySchema,
    Key,
    PairSchema,
    RequestSchema,
    Ttl,
    WholeNumber,
)

# Of an operation that takes nothing but its key.
_KEY_ALONE: Final = (
    "It must be the key itself, a string. (The seconds that a key has left are told by GET with "
    "ttl=true.)"
)


def _key(description: str, *, required: bool = False) -> Key:
    return Key(
        required=required,
        validate=validate.Length(min=1),
        error_messages={} if required else {"invalid": _KEY_ALONE},
        metadata={"description": description, "example": "user:123:name"},
    )


def _ttl() -> Ttl:
    return Ttl(allow_none=True, metadata={"description": TTL_HELP, "example": 3600, "minimum": -1})


class LifetimeSchema(RequestSchema):
    """A key and its new lifetime."""

    key = _key("The key.", required=True)
    ttl = _ttl()


class CountSchema(RequestSchema):
    """A key and what to count on its number."""

    key = _key("The key.", required=True)
    by = WholeNumber(
        load_default=1,
        metadata={"description": "Added to the stored number; may be negative.", "example": 1},
    )
    initial = WholeNumber(
        metadata={
            "description": "The number that an absent key gets (for `ttl`), and that is the "
            "outcome. Without it an absent key stays absent.",
            "example": 0,
        },
    )
    ttl = _ttl()


class OperationSchema(RequestSchema):
    """One operation: a single member, by its name."""

    get = _key("Read a value.")
    pull = _key("Read a value and delete it in one step.")
    exists = _key("Say whether the key is there.")
    set = fields.Nested(PairSchema, metadata={"description": "Store, overwriting."})
    add = fields.Nested(PairSchema, metadata={"description": "Store if the key is absent."})
    replace = fields.Nested(PairSchema, metadata={"description": "Store if the key is there."})
    touch = fields.Nested(
        LifetimeSchema, metadata={"description": "Give a new lifetime and leave the value."}
    )
    increment = fields.Nested(
        CountSchema, metadata={"description": "Count on a stored number and leave its lifetime."}
    )
    delete = _key("Delete the key.")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def one_member(self, _read: Mapping[str, Any], sent: Any, **_: Any) -> None:
        """Refuse what is no operation, or two, of which nobody said which is first."""
        if not isinstance(sent, dict):
            return
        if not sent:
            raise ValidationError(f"It must have one of {', '.join(self.fields)}.")
        if len(sent.keys() & self.fields.keys()) > 1:
            raise ValidationError("It has more than one operation; give each an item of its own.")


class OutcomeSchema(EntrySchema):
    """What became of one operation."""

    class Meta:
        """Leave out what is of lists alone."""

        exclude = ("ttl", "bytes", "kind")

    success = fields.Boolean(
        required=True, metadata={"description": "Whether it was done; if not, `message` says why."}
    )
    exists = fields.Boolean(
        metadata={
            "description": "Of `get`, `pull`, `exists` and `delete`: whether the key was there. "
            "Elsewhere only with `success` false: why it was not done."
        }
    )
    code = fields.Integer(
        metadata={
            "description": "With `success` false: the status that a request of its own would have "
            "had.",
            "example": 404,
        }
    )
    message = fields.String(
        metadata={
            "description": "Why it was not done; or that it is not known whether it was.",
            "example": "Key 'user:123:name' does not exist.",
        }
    )


class PerformedSchema(Schema):
    """What became of each operation, in the order asked."""

    resource = fields.List(fields.Nested(OutcomeSchema), required=True)
