"""API keys and their rules."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from cacheapi.moments import moment_or_none, moment_text
from cacheapi.registry.names import PATTERN, name_fault
from cacheapi.registry.rights import EVERY_SERVICE, FLUSH, VERBS, Rate, Rule
from cacheapi.web.schemas.bodies import BodySchema
from cacheapi.web.schemas.cache import WholeNumber
from cacheapi.web.schemas.pages import PageSchema

WARNINGS: dict[str, Any] = {
    "required": True,
    "metadata": {
        "description": "What may not be meant: a rule for a service that does not exist (yet)."
    },
}


class Moment(fields.String):
    """A time as ISO 8601 with a zone in JSON, a Unix time inside."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        try:
            moment = dt.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            return int(moment.timestamp())
        except (ValueError, OverflowError) as error:
            raise ValidationError(
                "It must be a time with its zone, such as 2030-01-31T12:00:00Z."
            ) from error

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return moment_or_none(value)


class TrueOrFalse(fields.Boolean):
    """A JSON boolean: no text, no number."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


def _check_service(name: str) -> None:
    fault = None if name == EVERY_SERVICE else name_fault(name)
    if fault is not None:
        raise ValidationError(fault)


class RuleSchema(BodySchema):
    """What may be done with some keys of a service."""

    service = fields.String(
        required=True,
        validate=_check_service,
        metadata={
            "description": "The name of a service; `*` is every service.",
            "pattern": rf"^(\*|{PATTERN})$",
            "example": "sessions",
        },
    )
    verbs = fields.List(
        fields.String(validate=validate.OneOf(VERBS)),
        required=True,
        metadata={
            "description": "What may be done; with none, nothing. `FLUSH` deletes every key at "
            "once, and is only for a rule on all keys.",
            "example": ["GET", "PUT"],
        },
    )
    keys = fields.String(
        validate=[
            validate.Length(max=1000),
            validate.Regexp(r"^[^\x00]*\*\Z", error="It must end in '*', as 'user:*' does."),
        ],
        metadata={
            "description": "Which keys: those that start with what is before the `*`.",
            "pattern": r"^[^\x00]*\*$",
            "example": "user:*",
        },
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Rule:
        prefix = data.get("keys", "*")[:-1]
        if prefix and FLUSH in data["verbs"]:
            raise ValidationError("FLUSH is of all keys; leave keys out.", "verbs")
        return Rule(data["service"], frozenset(data["verbs"]), prefix)


# Of a rate limit: so many requests, in so many seconds.
MOST_REQUESTS: Final = 10**9
LONGEST_WINDOW: Final = 86400


class RateSchema(BodySchema):
    """How many requests there may be in a window of time."""

    requests = WholeNumber(
        required=True, validate=validate.Range(1, MOST_REQUESTS), metadata={"example": 1000}
    )
    seconds = WholeNumber(
        required=True,
        validate=validate.Range(1, LONGEST_WINDOW),
        metadata={"description": "The window.", "example": 60},
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Rate:
        return Rate(data["requests"], data["seconds"])


RATE = {
    "description": "More requests than this in a window are a 429; `null`: no limit. It is counted "
    "in the system cache, for all workers and machines."
}


class KeyChangeSchema(BodySchema):
    """What to change of an API key."""

    name = fields.String(
        validate=[validate.Length(min=1, max=200), lambda text: _printable(text)],
        metadata={"description": "Whose it is, or what for.", "example": "web shop"},
    )
    administrator = TrueOrFalse(
        metadata={"description": "It may do everything; its rules do not count."}
    )
    rules = fields.List(
        fields.Nested(RuleSchema),
        validate=validate.Length(max=1000),
        metadata={
            "description": "The first that is for the service and the key decides; those that "
            "name the service go before those for `*`. Where none is, nothing may be done."
        },
    )
    expires = Moment(
        allow_none=True,
        validate=lambda moment: _to_come(moment),
        metadata={
            "description": "When it ends, which must be to come; `null`: never.",
            "example": "2030-01-31T12:00:00Z",
        },
    )
    rate_limit = fields.Nested(RateSchema, allow_none=True, metadata=RATE)


class KeyFieldsSchema(KeyChangeSchema):
    """An API key to make."""

    name = fields.String(
        required=True,
        validate=[validate.Length(min=1, max=200), lambda text: _printable(text)],
        metadata={"description": "Whose it is, or what for.", "example": "web shop"},
    )


class KeysToMakeSchema(BodySchema):
    """API keys to make."""

    resource = fields.List(
        fields.Nested(KeyFieldsSchema), required=True, validate=validate.Length(min=1)
    )


class NewKeySchema(Schema):
    """A new API key. This is the only time that it is shown."""

    id = fields.Integer(required=True, attribute="number")
    name = fields.String(required=True)
    api_key = fields.String(required=True, attribute="text")
    warnings = fields.List(fields.String(), **WARNINGS)


class NewKeysSchema(Schema):
    """The API keys that were made, in the order asked."""

    resource = fields.List(fields.Nested(NewKeySchema), required=True)


class ShownRuleSchema(Schema):
    """A rule of an API key."""

    service = fields.String(required=True)
    verbs = fields.Function(
        lambda rule: [verb for verb in VERBS if verb in rule.verbs],
        required=True,
        metadata={"type": "array", "items": {"type": "string"}},
    )
    keys = fields.Function(
        lambda rule: f"{rule.prefix}*", required=True, metadata={"type": "string"}
    )


class ApiKeySchema(Schema):
    """An API key, without the key."""

    id = fields.Integer(required=True, attribute="number")
    name = fields.String(required=True)
    prefix = fields.String(
        required=True, metadata={"description": "How the key starts.", "example": "ca_3yGmQ1"}
    )
    administrator = fields.Boolean(required=True)
    rules = fields.List(fields.Nested(ShownRuleSchema), required=True)
    created = Moment(required=True)
    expires = Moment(required=True, allow_none=True)
    rate_limit = fields.Nested(RateSchema, required=True, allow_none=True)
    last_used = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "Up to a minute late; `null`: never."},
    )
    warnings = fields.List(fields.String(), **WARNINGS)


class ApiKeysSchema(Schema):
    """A page of the API keys but those of the environment."""

    resource = fields.List(fields.Nested(ApiKeySchema), required=True)
    meta = fields.Nested(PageSchema, required=True)


def _to_come(moment: int) -> None:
    if moment <= time.time():
        raise ValidationError(
            f"{moment_text(moment)} is over: the key would be worth nothing. Give a time to come, "
            "or null for a key that never expires; who wants it to end now revokes it."
        )


def _printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("It must be printable characters.")
