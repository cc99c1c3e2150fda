"""A purge holds up nobody else while it is noted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cacheapi.registry import audit
from cacheapi.registry.rights import Caller
from cacheapi.web.remotes import Door, Purge


def test_a_disk_that_hangs_stops_no_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, kept = threading.Event(), threading.Event(), audit._keep

    def hangs(*arguments: Any) -> None:
        begun.set()
        assert go.wait(5)
        kept(*arguments)

    async def purge_all(*, soft: bool) -> None:
        assert not soft

    monkeypatch.setattr(audit, "_keep", hangs)
    registry: Any = SimpleNamespace(
        data_dir=tmp_path,
        watch=None,
        names_keys=False,
        snapshot=SimpleNamespace(definitions={}),
    )
    engine: Any = SimpleNamespace(purge_all=purge_all)
    sought: Any = SimpleNamespace(remote=SimpleNamespace(name="shop"))

    async def work() -> int:
        purge = Door(registry).purge(engine, sought, Purge(False), Caller(b"", "boss"))
        doing = asyncio.create_task(purge)
        while not begun.is_set():
            await asyncio.sleep(0.001)
        # All others go on meanwhile.
        go.set()
        return (await doing).status

    assert asyncio.run(work()) == 200
    assert [act.name for act in audit.acts(tmp_path, 9).acts] == ["shop"]
