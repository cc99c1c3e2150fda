"""The newcomer's map shows each room that there is, and each function that it says is passed."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.processes import REPOSITORY

MAP = (REPOSITORY / "docs/architecture.md").read_text()
ROOMS = sorted(
    str(path.parent.relative_to(REPOSITORY))
    for package in ("backends", "cacheapi")
    for path in (REPOSITORY / package).glob("**/__init__.py")
    if len(path.relative_to(REPOSITORY).parts) == 3
)
PASSED = [
    (path, name)
    for line in re.findall(r"^(?:\d\.|   ) .*$", MAP, re.MULTILINE)
    for path, rest in re.findall(r"`([\w/]+\.py)`:((?:(?!\.py`).)*)", line)
    for name in re.findall(r"`(\w+)`", rest)
]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_on_the_map_and_says_what_belongs_there(room: str) -> None:
    assert f"{room}/" in MAP
    docstring = ast.get_docstring(ast.parse((REPOSITORY / room / "__init__.py").read_text()))
    assert docstring


@pytest.mark.parametrize(("path", "name"), PASSED)
def test_each_journey_passes_functions_that_there_are(path: str, name: str) -> None:
    assert re.search(rf"\b{name}\b", (REPOSITORY / path).read_text())


def test_every_file_that_the_map_names_is_there() -> None:
    named = re.findall(r"`((?:cacheapi|backends)/[\w/]+\.py)`", MAP)
    assert len(named) > 20
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []
    assert len(PASSED) > 15
