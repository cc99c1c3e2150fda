"""All figures of a run, kept as JSON."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.processes import REPOSITORY


def save(document: Any, kind: str = "") -> None:
    """Write all of it, and say where.

    :param kind: what it is about, where it is not the whole benchmark.
    """
    name = time.strftime(f"%Y-%m-%d-%H%M%S{kind and '-' + kind}.json")
    path = REPOSITORY / "benchmarks" / "results" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1))
    print(f"All figures: {path.relative_to(REPOSITORY)}")
