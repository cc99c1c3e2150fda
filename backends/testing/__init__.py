"""The conformance suite: what every backend must do, for its author to run.

In the tests of a distribution that has a backend, once and for all its configurations::

    import pytest

    pytest.register_assert_rewrite("backends.testing")
    from backends.testing import BackendConformance

    class TestMyBackend(BackendConformance):
        @pytest.fixture(params=["", "prefix:"])
        def backend(self, request):
            backend = MyBackend(prefix=request.param)  # empty, on a real server
            yield backend
            backend.close()

Nothing is to be overridden: where a backend differs, it has a flag off or a limit, and the
suite tests both sides of each. Off, the call must raise ``Unsupported`` with that flag. The
suite runs for a few seconds, in which it waits for lifetimes of 2 seconds to end, and takes
``Backend.prefix`` as an attribute that may change between two calls.
"""

from __future__ import annotations

from backends.testing.abilities import Abilities
from backends.testing.cases import CALLS as CALLS
from backends.testing.entries import Entries
from backends.testing.operations import Operations
from backends.testing.services import Services


class BackendConformance(Entries, Operations, Abilities, Services):
    """Subclass it in a test module; ``backend`` is a fixture, an empty backend a test."""
