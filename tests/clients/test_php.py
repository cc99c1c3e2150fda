"""clients/php: the table, with the curl extension and without."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conformance import CLIENTS, check, run
from tests.support import tools
from tests.support.processes import Service

pytestmark = pytest.mark.timeout(600)
# Every notice is an error.
PHP = ["-d", "error_reporting=-1", "-d", "display_errors=stderr"]


@pytest.mark.parametrize("transport", ["curl", "stream"])
def test_the_table(live: Service, table: list[Any], transport: str) -> None:
    php = tools.tool("php")
    if transport == "curl" and "curl" not in tools.run(php, "-m").stdout.splitlines():
        pytest.skip("PHP's curl extension is not installed (`make test` installs it)")
    # Without an ini file there are no extensions but PHP's own.
    without = ["-n"] if transport == "stream" else []
    command = [php, *without, *PHP, CLIENTS / "conformance" / "run.php", transport]
    check(live, table, run(command, table))
