"""Backends of other distributions, whole and broken, made from the example's source."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import REPOSITORY

SOURCE = (REPOSITORY / "examples" / "lru-backend" / "lru_backend.py").read_text()
SECRET = "s3cret-7391"
NO_BACKEND = "it names no subclass of backends.base.Backend"
IMPORT = "import math\n"


@dataclasses.dataclass
class Plugin:
    """What differs from the example, and what is said about it."""

    fault: str = ""
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    value: str = "lru_backend:LruBackend"

    @property
    def message(self) -> str:
        return f"The plugin lru-backend 1.0 (lru = {self.value}) is broken: {self.fault}."

    def install(self, directory: Path, name: str = "lru-backend") -> None:
        """Install it as pip does: a module, and the distribution's information beside it."""
        text = SOURCE
        for old, new in self.changes.items():
            assert old in text
            text = text.replace(old, new)
        (directory / "lru_backend.py").write_text(text)
        information = directory / f"{name.replace('-', '_')}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        (information / "entry_points.txt").write_text(f"[cacheapi.backends]\nlru = {self.value}\n")


BROKEN = {
    "import error": Plugin(
        "it cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        {IMPORT: "import nowhere_to_be_found\n"},
    ),
    "error of several lines": Plugin(
        "it cannot be imported: ValueError: first second",
        {IMPORT: "raise ValueError('first\\n  second')\n"},
    ),
    "error without words": Plugin(
        "it cannot be imported: AssertionError", {IMPORT: "assert not str()\nassert str()\n"}
    ),
    "no such class": Plugin(
        "it cannot be imported: AttributeError: module 'lru_backend' has no attribute 'Nothing'",
        value="lru_backend:Nothing",
    ),
    "a function": Plugin(NO_BACKEND, value="lru_backend:_end"),
    "another class": Plugin(NO_BACKEND, value="lru_backend:Entry"),
    "a module": Plugin(NO_BACKEND, value="lru_backend"),
    "missing method": Plugin("LruBackend lacks replace", {"def replace(": "def replaces("}),
    "missing methods": Plugin(
        "LruBackend lacks add, set", {"def set(": "def put(", "def add(": "def create("}
    ),
    "missing service_name": Plugin(
        "LruBackend lacks the class attribute service_name", {'    service_name = "lru"\n': ""}
    ),
    "empty label": Plugin(
        "LruBackend lacks the class attribute label", {'label = "the LRU backend"': 'label = ""'}
    ),
    "another driver": Plugin(
        "its class says driver = 'other', its entry point 'lru'",
        {'driver = "lru"': 'driver = "other"'},
    ),
    "wrong limits": Plugin(
        "LruBackend.limits is no Limits", {'driver = "lru"': 'driver = "lru"; limits = {}'}
    ),
    "wrong traits": Plugin(
        "LruBackend.traits is no Traits", {"traits = Traits(": "traits = dict("}
    ),
    "wrong options": Plugin(
        "LruBackend.options is no tuple of Option with a name each", {'name="size"': 'name=""'}
    ),
    "an option that the constructor does not take": Plugin(
        "the constructor does not take what LruBackend.options says: "
        # The word is inspect's from Python 3.12 on.
        f"missing a required {'keyword-only ' if sys.version_info >= (3, 12) else ''}"
        "argument: 'size'",
        {'name="size"': 'name="length"'},
    ),
    "wrong capabilities": Plugin(
        "LruBackend.capabilities is no frozenset of Capability",
        {"capabilities = frozenset(Capability)": 'capabilities = frozenset({"touch"})'},
    ),
    "flag without its method": Plugin(
        "LruBackend has the flag TOUCH on, but no method touch", {"def touch(": "def touches("}
    ),
    "flag without one of its methods": Plugin(
        "LruBackend has the flag COMPARE_AND_SET on, but no method compare_and_delete",
        {"def compare_and_delete(": "def compare_then_delete("},
    ),
    "flag of an object without its method": Plugin(
        "LruBackend has the flag LIST_KEYS on, but no method list_keys",
        {"self._size = size": "self.capabilities = frozenset(Capability)"},
    ),
    "constructor": Plugin(
        "its constructor raises ValueError",
        {"self._size = size": f"raise ValueError({SECRET!r})"},
    ),
}
