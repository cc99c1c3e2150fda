"""What an operator might change, in plain words: each advice from one stated rule.

The README's section "Statistics" has the same rules and thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from backends.statistics import Figures, ServerStatistics


class Advice(NamedTuple):
    """What to look into.

    :ivar rule: the name of the rule that found it.
    :ivar message: what is so, and what may help.
    """

    rule: str
    message: str


def advise(total: Figures, servers: Sequence[ServerStatistics]) -> list[Advice]:
    """Return the advice of all rules."""
    return [
        Advice(rule, message) for rule, find in RULES.items() for message in find(total, servers)
    ]


Rule = Callable[[Figures, Sequence[ServerStatistics]], Iterator[str]]

RULES: Final[dict[str, Rule]] = {}
