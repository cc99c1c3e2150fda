"""The bar of a long command."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cacheapi.commands import progress


def test_a_bar_is_full_in_the_end_where_less_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "stderr", lambda: terminal)
    with progress.bar("Looking at", 10_000) as move:
        move(9, 9)
    assert "100%" in shown.getvalue()
    assert "9 entries" in shown.getvalue()
