"""The form of an API key: whose it is, its rules in order, until when, how often."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

from marshmallow import Schema, ValidationError
from werkzeug.datastructures import MultiDict

from cacheapi.registry.key_administration import ApiKey
from cacheapi.registry.rights import VERBS
from cacheapi.web.schemas.api_key import LONGEST_WINDOW, MOST_REQUESTS, ApiKeySchema

READING: Final = ("GET",)
_ROW = re.compile(r"rules-(\d{1,4})-service")
# The form's own fields, by those of the API; a fault elsewhere stands at the top.
_PLACES: Final = ("name", "expires", "rate_limit", "rules")


@dataclasses.dataclass
class Rule:
    """A rule as it is typed."""

    service: str = "*"
    verbs: tuple[str, ...] = READING
    prefix: str = ""
    fault: str = ""


@dataclasses.dataclass
class Form:
    """What is typed, and what is wrong with it by field; ``""``: with no field."""

    name: str = ""
    is_administrator: bool = False
    rules: list[Rule] = dataclasses.field(default_factory=lambda: [Rule()])
    expires: str = ""
    requests: str = ""
    seconds: str = ""
    faults: dict[str, str] = dataclasses.field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return what the API would be sent."""
        return {
            "name": self.name,
            "administrator": self.is_administrator,
            "rules": [
                {"service": rule.service, "verbs": list(rule.verbs), "keys": f"{rule.prefix}*"}
                for rule in self.rules
            ],
            "expires": f"{self.expires}Z" if self.expires else None,
            "rate_limit": self._rate(),
        }

    def _rate(self) -> dict[str, Any] | None:
        if not self.requests and not self.seconds:
            return None
        return {"requests": _number(self.requests), "seconds": _number(self.seconds or "60")}


def read(sent: MultiDict[str, str]) -> Form:
    """Return the form that was sent."""
    numbers = sorted(int(match[1]) for name in sent if (match := _ROW.fullmatch(name)))
    return Form(
        name=sent.get("name", "").strip(),
        is_administrator=sent.get("administrator") == "yes",
        rules=[
            Rule(
                sent.get(f"rules-{number}-service", ""),
                tuple(verb for verb in VERBS if verb in sent.getlist(f"rules-{number}-verbs")),
                sent.get(f"rules-{number}-prefix", "").removesuffix("*"),
            )
            for number in numbers
        ],
        expires=sent.get("expires", "").strip(),
        requests=sent.get("requests", "").strip(),
        seconds=sent.get("seconds", "").strip(),
    )


def of(key: ApiKey) -> Form:
    """Return the form of a key that there is."""
    shown = ApiKeySchema().dump(key)
    rate = key.rate_limit
    return Form(
        name=key.name,
        is_administrator=key.administrator,
        rules=[
            Rule(rule["service"], tuple(rule["verbs"]), rule["keys"].removesuffix("*"))
            for rule in shown["rules"]
        ],
        expires=(shown["expires"] or "").removesuffix("Z"),
        requests="" if rate is None else str(rate.requests),
        seconds="" if rate is None else str(rate.seconds),
    )


def rearrange(form: Form, action: str) -> bool:
    """Add, move or remove a rule, if that is what a button says; return whether it is."""
    what, _, where = action.partition(":")
    index = _number(where)
    rules = form.rules
    if what == "add":
        rules.append(Rule())
    elif not isinstance(index, int) or index >= len(rules):
        return False
    elif what == "remove":
        del rules[index]
    elif what == "up":
        rules.insert(max(0, index - 1), rules.pop(index))
    elif what == "down":
        rules.insert(index + 1, rules.pop(index))
    else:
        return False
    return True


def check(form: Form, schema: Schema) -> dict[str, Any] | None:
    """Return the checked fields; ``None`` where some are wrong, and the form says which."""
    try:
        loaded: dict[str, Any] = schema.load(form.body())
    except ValidationError as error:
        _place(form, error)
        return None
    return loaded


def _place(form: Form, error: ValidationError) -> None:
    """Put each message where its field is."""
    for name, found in error.messages_dict.items():
        told = " ".join(_texts(found))
        if name == "rules" and isinstance(found, dict):
            for index, part in found.items():
                form.rules[index].fault = " ".join(_texts(part))
            told = "A rule is wrong."
        elif name == "name" and not form.name:
            told = "Give it a name."
        elif name == "rate_limit":
            told = (
                f"Type two whole numbers: 1 to {MOST_REQUESTS} requests, in 1 to {LONGEST_WINDOW} "
                "seconds."
            )
        elif name == "expires":
            # An empty field is how the form says it.
            told = told.replace("or null for", "or leave it empty for")
        form.faults[name if name in _PLACES else ""] = told


def _texts(found: Any) -> list[str]:
    """Return all messages of a part, however deep."""
    if isinstance(found, dict):
        return [text for part in found.values() for text in _texts(part)]
    if isinstance(found, list):
        return [text for part in found for text in _texts(part)]
    return [str(found)]


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text
