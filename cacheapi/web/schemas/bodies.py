"""What all bodies of requests have in common: a member that there is not is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError

from cacheapi.slips import did_you_mean

# To how many of a body it is said what they were meant to be, as so many faults are listed.
_TOLD: Final = 20


class BodySchema(Schema):
    """A body of a request, or a part of one."""

    class Meta:
        """Refuse unknown members: a misspelt ``ttl`` would store for the wrong time."""

        unknown = RAISE

    def handle_error(
        self, error: ValidationError, data: Any, *, many: bool, **options: Any
    ) -> None:
        """Say of a member that there is not which was meant, or which there are.

        Faults stand in the order of the request; what is missing comes behind, in ours.
        """
        messages: Any = error.messages
        said = self.error_messages["unknown"]
        unknown = (
            (item, name)
            for item in (messages.values() if many else [messages])
            if isinstance(item, dict)
            for name, texts in item.items()
            if texts == [said]
        )
        known = [field.data_key or name for name, field in self.load_fields.items()]
        for item, name in itertools.islice(unknown, _TOLD):
            hint = did_you_mean(str(name), known) or f" There are {', '.join(known)}."
            item[name] = [f"{said}{hint}"]
        parts: Any = enumerate(data) if many and isinstance(data, list) else ()
        for index, part in parts:
            if index in messages:
                messages[index] = _in_order(messages[index], part, known)
        own = range(len(data)) if parts else data
        error.messages = _in_order(messages, own, known)


def _in_order(messages: Any, data: Any, known: Iterable[str]) -> Any:
    """Return the faults of a body, or of a part of one, in the order of its members or items."""
    if not isinstance(messages, dict):
        return messages
    names = data if isinstance(data, Mapping | range) else ()
    order = {name: index for index, name in enumerate(dict.fromkeys([*names, *known]))}
    return dict(sorted(messages.items(), key=lambda each: order.get(each[0], len(order))))
