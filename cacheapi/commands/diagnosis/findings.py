"""What the doctor found, and how much it weighs."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Level(enum.IntEnum):
    """How much a finding weighs."""

    FAILURE = 0
    WARNING = 1
    ADVICE = 2


class Finding(NamedTuple):
    """One thing that is not as it should be.

    :ivar where: what it is about.
    :ivar message: what is so.
    :ivar action: what to do about it.
    """

    level: Level
    where: str
    message: str
    action: str

    def shown(self) -> dict[str, str]:
        """Return it for programs."""
        return {**self._asdict(), "level": self.level.name.lower()}
