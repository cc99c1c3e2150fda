"""The table of backends in ``docs/backends.md``, made from their classes.

``python -m tests.support.comparison`` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backends.base import Backend
from backends.capabilities import Capability
from backends.registry import BUILT_IN, backend_class

NOT_SAID = "\N{EN DASH}"
# What a row of words or numbers says better.
SAID_ELSEWHERE = {Capability.INCREMENT, Capability.PERSISTENT}


def size(count: int | None) -> str:
    if count is None:
        return "no limit"
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if count % factor == 0:
            return f"{count // factor} {unit}"
    return f"{count} bytes"


def power(number: int) -> str:
    """Return a number, a power of two beside it as such."""
    for exponent in (31, 32, 63, 64):
        if number in (2**exponent, 2**exponent - 1, -(2**exponent)):
            sign, rest = ("-" if number < 0 else ""), ("-1" if number % 2 else "")
            return f"{sign}2^{exponent}{rest}"
    return str(number)


def longest_key(backend: type[Backend]) -> str:
    limits = backend.limits
    forbidden = f", no {limits.forbidden_name}" if limits.forbidden_name else ""
    return f"{size(limits.max_key_bytes)}{forbidden}"


def counts(backend: type[Backend]) -> str:
    if Capability.INCREMENT not in backend.capabilities:
        return "no"
    limits = backend.limits
    steps = (
        f", steps up to {power(limits.max_increment)}"
        if limits.max_increment < limits.max_count
        else ""
    )
    return f"from {power(limits.min_count)} to {power(limits.max_count)}{steps}"


def flag(capability: Capability) -> Callable[[type[Backend]], str]:
    return lambda backend: "yes" if capability in backend.capabilities else "no"


ROWS: dict[str, Callable[[type[Backend]], str]] = {
    "Needs": lambda backend: backend.traits.needs,
    "Shared by": lambda backend: backend.traits.shared_by,
    "Stores": lambda backend: backend.traits.data_types,
    "Full: what goes first": lambda backend: backend.traits.eviction,
    "After a restart": lambda backend: backend.traits.persistence,
    "Replication": lambda backend: backend.traits.replication,
    "Longest key": longest_key,
    "Largest value": lambda backend: (
        backend.traits.max_value or size(backend.limits.max_value_bytes)
    ),
    "Counts": counts,
} | {f"Can {kind.value}": flag(kind) for kind in Capability if kind not in SAID_ELSEWHERE}


def comparison() -> Iterator[str]:
    """Yield the table's lines: a column each built-in driver."""
    columns = [backend_class(driver) for driver in BUILT_IN]
    yield f"| | {' | '.join(f'`{backend.driver}`' for backend in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cell in ROWS.items():
        yield f"| {name} | {' | '.join(cell(backend) or NOT_SAID for backend in columns)} |"


if __name__ == "__main__":
    print(*comparison(), sep="\n")
