"""Several different operations at once, as the API has them, and each outcome in words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flask import Blueprint, request
from werkzeug.wrappers import Response

from backends.base import MISSING
from backends.errors import BackendError
from cacheapi.caching.codec import InvalidJson, Value
from cacheapi.caching.ttl import OVER
from cacheapi.console import frame, values
from cacheapi.console.deleting import shown_again
from cacheapi.registry import administration
from cacheapi.web.access import WITHIN
from cacheapi.web.batch import SHAPE, invalid_items
from cacheapi.web.blueprints import find_service, permit_operations, registry
from cacheapi.web.errors import ApiError, answer_here, fault_text
from cacheapi.web.http import max_batch
from cacheapi.web.large import Turn
from cacheapi.web.operations import Asked, read_operations
from cacheapi.web.performing import failure_of, outcome_text, perform

_STORED: Final = "Stored."
# What has been done, by what was asked for; later ones may have changed it since.
_DONE: Final = {
    "set": _STORED,
    "add": _STORED,
    "replace": _STORED,
    "touch": "It got its new lifetime.",
    "exists": "It was there.",
    "delete": "Deleted.",
}
_PULLED: Final = "Deleted. It was:"


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one operation.

    :ivar name: the operation's, as it was asked for.
    :ivar told: in words.
    :ivar value: what was read, if that was asked for and the key was there.
    :ivar is_done: whether it was; also if the key was not there.
    """

    name: str
    key: str
    told: str
    value: values.Shown | None = None
    is_done: bool = True


def register(blueprint: Blueprint) -> None:
    """Add the view."""
    blueprint.add_url_rule("/service/<name>/operations", "operate", operate, methods=["POST"])


def operate(name: str) -> Response:
    """Do the operations that were typed, and show what became of each.

    If one is bad or not allowed, none is done.
    """
    definition = administration.find(registry(), name)
    cache = find_service(definition.name).uncounted()
    typed = request.form.get("operations", "")
    shown: dict[str, Any] = {"operations_asked": typed}
    try:
        asked = read_operations(cache, typed.encode(), MISSING, max_batch())
        if asked is None:
            raise ApiError(400, SHAPE)
        _check_lifetimes(asked)
        permit_operations(definition.name, asked)
        with Turn(may_wait=WITHIN not in request.environ) as turn:
            outcomes = perform(cache, [each.operation for each in asked], turn)
    except (InvalidJson, BackendError, ApiError) as error:
        return shown_again(definition, **shown, operations_fault=_told(error))
    shown["outcomes"] = _rows(asked, outcomes, cache.backend.told)
    failure = failure_of(outcomes)
    if failure is None:
        return shown_again(definition, 200, **shown)
    return shown_again(definition, **shown, operations_failed=frame.faults_of(failure)[""])


def _check_lifetimes(asked: Sequence[Asked]) -> None:
    """Refuse lifetimes that are over already, which the API takes: here a person has typed them.

    :raises ApiError: 400, with each.
    """
    faults = [
        {
            "index": index,
            "field": f"{each.name}.ttl",
            "message": f"It is over already, so nothing was done: {OVER}.",
        }
        for index, each in enumerate(asked)
        if (getattr(each.operation, "ttl", None) or 1) <= 0
    ]
    if faults:
        raise invalid_items(faults)


def _told(error: Exception) -> str:
    """Return what is wrong with the operations, in the words of the API, item by item."""
    told = answer_here(error)
    details = told.context.get("errors", ()) if isinstance(told.context, Mapping) else ()
    return " ".join(map(fault_text, details)) or told.message


def _rows(
    asked: Sequence[Asked], outcomes: Sequence[Any], shown: Callable[[str], str]
) -> list[Row]:
    among = sum(isinstance(outcome, Value) for outcome in outcomes)
    return [
        _row(each, outcome, among, shown) for each, outcome in zip(asked, outcomes, strict=True)
    ]


def _row(asked: Asked, outcome: Any, among: int, shown: Callable[[str], str]) -> Row:
    name, made = asked
    if isinstance(outcome, Value):
        told = _PULLED if name == "pull" else ""
        return Row(name, made.key, told, values.show(outcome, among))
    about = json.loads(outcome_text(made, outcome, shown))
    if not about["success"]:
        return Row(name, made.key, f"Not done: {about['message']}", is_done=False)
    if about.get("exists") is False:
        return Row(name, made.key, "It was not there.")
    told = f"It became {about['value']}." if "value" in about else _DONE[name]
    return Row(name, made.key, told)
