"""What all bodies of requests have in common: a member that there is not is refused."""

from __future__ import annotations

import itertools
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
        """Say of a member that there is not which was meant, or which there are."""
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
