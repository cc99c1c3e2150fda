"""What is said of a service that cannot be worked on: here and elsewhere in the same words."""

from __future__ import annotations

from collections.abc import Iterable

from cacheapi.commands.failures import Exit, Failure
from cacheapi.slips import did_you_mean


def unknown(name: str, names: Iterable[str]) -> Failure:
    """Return what ends a command whose service does not exist.

    :param names: of those that do.
    """
    known = sorted(names)
    return Failure(
        f"Service '{name}' does not exist; there are: {', '.join(known)}."
        + did_you_mean(name, known),
        Exit.USAGE,
    )


def switched_off(name: str) -> Failure:
    """Return what ends a command whose service nobody can ask now."""
    return Failure(f"Service '{name}' is switched off.")


def without_keys(name: str, where: str = "") -> Failure:
    """Return what ends a command about keys of a service in front of an HTTP API.

    :param where: the other command works there alone.
    """
    place = f", {where}," if where else ""
    return Failure(
        f"Service '{name}' stands in front of an HTTP API and has no keys; 'cacheapi explain "
        f"{name} URL'{place} says what is stored of it.",
        Exit.USAGE,
    )
