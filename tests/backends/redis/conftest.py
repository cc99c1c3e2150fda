"""All tests of this directory run on Redis, and those that talk to a server on Valkey too."""

from __future__ import annotations

import pytest

# Where a stand-in decides what is answered, or TLS does, which the package's Valkey has not.
_NO_MATTER_WHICH = {"line", "redis_tls"}


@pytest.fixture(autouse=True)
def _on_an_engine(engine: str) -> None:
    """Have each test take the engine among its parameters."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on both, unless its fixtures leave no difference."""
    if not _NO_MATTER_WHICH & set(metafunc.fixturenames):
        metafunc.parametrize("engine", ["redis", "valkey"], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked to run on Redis alone."""

    def is_left_out(item: pytest.Item) -> bool:
        marked = item.get_closest_marker("redis_alone") is not None
        return marked and item.callspec.params.get("engine") == "valkey"

    config.hook.pytest_deselected(items=[item for item in items if is_left_out(item)])
    items[:] = [item for item in items if not is_left_out(item)]
