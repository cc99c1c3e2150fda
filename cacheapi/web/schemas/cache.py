"""Keys, values and lifetimes in requests and responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from backends.errors import InvalidKey
from cacheapi.caching.codec import Text
from cacheapi.caching.tags import LONGEST, MOST_TAGS, InvalidTags, check_tags
from cacheapi.caching.ttl import InvalidTtl, check_ttl
from cacheapi.web.schemas.bodies import BodySchema

TTL_HELP = (
    "Absent, null or -1: the service's default. 0: never expires. 1 to 2592000: seconds from "
    "now. More: a Unix time; one in the past expires the key at once."
)


class Key(fields.String):
    """A key that the backend of the schema's service can carry."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        key: str = super()._deserialize(value, *args, **kwargs)
        try:
            self.root.check_key(key)  # type: ignore[union-attr]
        except InvalidKey as error:
            raise ValidationError(str(error)) from error
        return key


class JsonValue(fields.Raw):
    """Any JSON value, as the text that the client sent."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Text:
        assert isinstance(value, Text)
        return value


class Ttl(fields.Integer):
    """A lifetime, by the rule of :mod:`cacheapi.caching.ttl`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return check_ttl(value)
        except InvalidTtl as error:
            raise ValidationError(str(error)) from error


class Tags(fields.List[str]):
    """The tags of an entry, by the rule of :mod:`cacheapi.caching.tags`."""

    def __init__(self) -> None:
        super().__init__(
            fields.String(validate=validate.Length(1, LONGEST)),
            allow_none=True,
            metadata={
                "description": "Tags: `DELETE` of the service with one of them as `tag` deletes "
                f"the entry. At most {MOST_TAGS}, without white space and commas.",
                "example": ["product-1", "prices"],
                "maxItems": MOST_TAGS,
            },
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return check_tags(value)
        except InvalidTags as error:
            raise ValidationError(str(error)) from error


class WholeNumber(fields.Integer):
    """A JSON integer: no text, no fraction, no boolean."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


class RequestSchema(BodySchema):
    """A body of a request to one service.

    :param check_key: raises :class:`~backends.errors.InvalidKey`.
    """

    def __init__(self, check_key: Callable[[str], None] = lambda key: None, **options: Any) -> None:
        super().__init__(**options)
        self.check_key = check_key
        # A schema within another does not know that.
        for field in self.load_fields.values():
            if isinstance(field, fields.Nested) and isinstance(field.schema, RequestSchema):
                field.schema.check_key = check_key


class ValueSchema(RequestSchema):
    """A value to store under the key in the path."""

    value = JsonValue(
        required=True,
        metadata={
            "description": "Any JSON value, null too.",
            "nullable": True,
            "example": "John Doe",
        },
    )
    ttl = Ttl(
        allow_none=True,
        metadata={"description": TTL_HELP, "example": 3600, "minimum": -1},
    )
    encoding = fields.String(
        validate=validate.Equal("base64"),
        metadata={
            "description": "`value` is base64 of the bytes to store: only where the service's "
            "setting `raw_bytes` allows that."
        },
    )
    tags = Tags()


class PairSchema(ValueSchema):
    """A key and the value to store under it."""

    class Meta(ValueSchema.Meta):
        """What is told of its members begins with the key."""

        fields = ("key", "value", "ttl", "encoding", "tags")

    key = Key(
        required=True,
        validate=validate.Length(min=1),
        metadata={"description": "The key.", "example": "user:123:name"},
    )


class StoreSchema(BodySchema):
    """One or more pairs to store."""

    resource = fields.List(
        fields.Nested(PairSchema), required=True, validate=validate.Length(min=1)
    )


class ChangeSchema(RequestSchema):
    """A new lifetime, or a count."""

    ttl = Ttl(
        allow_none=True,
        metadata={"description": TTL_HELP, "example": 3600, "minimum": -1},
    )
    increment = WholeNumber(
        metadata={
            "description": "Added to the stored number, atomically; may be negative.",
            "example": 1,
        },
    )
    initial = WholeNumber(
        metadata={
            "description": "The number that an absent key gets (for `ttl`) and that is returned. "
            "Without it an absent key is a 404.",
            "example": 0,
        },
    )


class KeyOutcomeSchema(Schema):
    """What became of one key."""

    key = fields.String(required=True)
    success = fields.Boolean(required=True)


class OutcomesSchema(Schema):
    """What became of each key, in the order asked."""

    resource = fields.List(fields.Nested(KeyOutcomeSchema), required=True)


class SuccessSchema(Schema):
    """It was done."""

    success = fields.Boolean(required=True)


class DeletedSchema(SuccessSchema):
    """Every key with a prefix was deleted."""

    deleted = fields.Integer(required=True, metadata={"description": "How many that were."})


class EntrySchema(Schema):
    """A key and its value."""

    key = fields.String(required=True, metadata={"example": "user:123:name"})
    value = fields.Raw(
        metadata={"description": "Any JSON value.", "nullable": True, "example": "John Doe"}
    )
    encoding = fields.String(
        validate=validate.Equal("base64"),
        metadata={"description": "Only where the stored bytes are no text: they are base64 here."},
    )
    flags = fields.Integer(
        metadata={
            "description": "What the program that stored the value noted about it in memcached; "
            "only where the service's setting `values` is not `json`, and where it is not 0."
        },
    )
    ttl = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Only with `ttl=true` or `details=true`: the seconds left; null: for "
            "ever."
        },
    )
    exists = fields.Boolean(metadata={"description": "Instead of a value, for `check_exist`."})
    bytes = fields.Integer(
        metadata={"description": "In a list with `details=true`: the size of the value in bytes."}
    )
    kind = fields.String(
        metadata={
            "description": "In a list with `details=true`: `value`, or what another program "
            "stored instead, such as `hash`.",
            "example": "value",
        }
    )


class MetaSchema(Schema):
    """What a list of entries or keys does not say."""

    missing = fields.List(
        fields.String(), metadata={"description": "Those of the keys asked for that are absent."}
    )
    next = fields.String(
        allow_none=True, metadata={"description": "The cursor of the next page of keys."}
    )


class EntriesSchema(Schema):
    """Entries, in the order asked; or keys."""

    resource = fields.List(fields.Nested(EntrySchema), required=True)
    meta = fields.Nested(MetaSchema, required=True)


# In place of marshmallow's words, which say what something is not: what it must be.
_WORDS: Final[Mapping[str, str]] = {
    "Missing data for required field.": "It must be given.",
    "Field may not be null.": "It may not be null.",
    "Invalid input type.": "It must be an object.",
    "Not a valid string.": "It must be a string.",
    "Not a valid integer.": "It must be a whole number.",
    "Not a valid boolean.": "It must be true or false.",
    "Not a valid list.": "It must be a list.",
    "Not a valid mapping type.": "It must be an object.",
    "Shorter than minimum length 1.": "It may not be empty.",
    "Must be equal to base64.": "It must be base64, or left out.",
}


def validation_details(messages: Any, index: int | None = None) -> list[dict[str, Any]]:
    """Return marshmallow's messages as the contract's list: index, field, message."""
    details: list[dict[str, Any]] = []
    for name, found in messages.items():
        if isinstance(name, int):
            details.extend(validation_details(found, name))
        else:
            details.extend(
                {"index": index, "field": field, "message": text}
                for field, text in _texts(None if name == "_schema" else name, found)
            )
    return details


def _texts(
    field: str | None, found: Mapping[Any, Any] | list[Any] | str
) -> Iterator[tuple[str | None, str]]:
    """Yield each message with its field: of a member of a member, such as ``rules.0.verbs``."""
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _texts(field if name == "_schema" else f"{field}.{name}", inner)
    elif isinstance(found, list):
        for inner in found:
            yield from _texts(field, inner)
    else:
        text = str(found)
        yield field, _WORDS.get(text, text)
