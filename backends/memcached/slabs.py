"""What memcached's slab classes show: memory in the wrong place, and values near the limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backends.statistics import Signs

# What a slab class gets and gives; a little less, for chunks that do not fill it.
PAGE: Final = 1_000_000
# The part of its chunks that a class has free when it is called full.
FULL: Final = 0.05

_CAS: Final = {"yes": True, "no": False}

# A section of statistics.
Raw = dict[str, int | float | str]


def signs(sections: dict[str, Raw]) -> Signs:
    """Return what the general figures and the sections of :data:`SECTIONS` show."""
    limit = sections["settings"].get("item_size_max")
    slabs, items = _by_class(sections["slabs"]), _by_class(sections["items"])
    return Signs(
        starved_slabs=tuple(_starved(slabs, items)),
        largest_value=_average_of_the_largest(slabs, items),
        max_value=limit if isinstance(limit, int) else None,
        process=_process(sections[""]),
        cas=_CAS.get(str(sections["settings"].get("cas_enabled"))),
    )


def _process(general: Raw) -> tuple[int, int] | None:
    pid, now, uptime = (general.get(name) for name in ("pid", "time", "uptime"))
    if isinstance(pid, int) and isinstance(now, int) and isinstance(uptime, int):
        return pid, now - uptime
    return None


def _by_class(raw: Raw) -> dict[int, dict[str, int]]:
    """Return the figures of each slab class: ``1:chunk_size``, ``items:1:evicted``."""
    classes: dict[int, dict[str, int]] = {}
    for name, value in raw.items():
        number, _, figure = name.removeprefix("items:").partition(":")
        if number.isdigit() and isinstance(value, int):
            classes.setdefault(int(number), {})[figure] = value
    return classes


def _starved(slabs: dict[int, dict[str, int]], items: dict[int, dict[str, int]]) -> Iterator[int]:
    """Yield the classes that evicted and are full, while another one has a page to spare."""
    spare = {
        number: slab.get("free_chunks", 0) * slab.get("chunk_size", 0)
        for number, slab in slabs.items()
    }
    for number, slab in sorted(slabs.items()):
        is_full = slab.get("free_chunks", 0) <= slab.get("total_chunks", 0) * FULL
        others = (bytes_ for other, bytes_ in spare.items() if other != number)
        if items.get(number, {}).get("evicted") and is_full and max(others, default=0) >= PAGE:
            yield number


def _average_of_the_largest(
    slabs: dict[int, dict[str, int]], items: dict[int, dict[str, int]]
) -> int | None:
    """Return the average size in the class with the largest chunks; the server tells no more."""
    held = [number for number in items if number in slabs and items[number].get("number")]
    if not held:
        return None
    largest = items[max(held)]
    return largest.get("mem_requested", 0) // largest["number"]
