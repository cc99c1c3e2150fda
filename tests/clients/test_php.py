"""clients/php: the table, with the curl extension and without."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conformance import CLIENTS, check, php, run
from tests.support import tools
from tests.support.live import CACHE, call
from tests.support.processes import Service

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent


@pytest.mark.parametrize("transport", ["curl", "stream"])
def test_the_table(live: Service, table: list[Any], transport: str) -> None:
    check(live, table, run(php(transport), table))


def environ(live: Service) -> dict[str, str]:
    return {
        **os.environ,
        "CLIENTS": str(CLIENTS),
        "CACHE": f"{live.url}{CACHE}",
        "KEY": live.api_key,
    }


def needs(directory: str) -> None:
    if not (Path("/usr/share/php") / directory).is_dir():
        pytest.skip(f"PHP's {directory} is not installed (`make test` installs it)")


def test_it_is_what_psr_16_wants(live: Service, tmp_path: Path) -> None:
    phpunit = tools.tool("phpunit")
    needs("Cache/IntegrationTests")
    needs("Psr/SimpleCache")
    done = tools.run(
        *(phpunit, "--no-configuration", "--do-not-cache-result", HERE / "php" / "Psr16Test.php"),
        env=environ(live),
        cwd=tmp_path,
        timeout=500,
    )
    passed = re.search(r"^OK \((\d+) tests, ", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout + done.stderr
    assert int(passed[1]) > 60


@pytest.mark.parametrize("version", [2, 3])
def test_it_fits_the_later_interfaces(tmp_path: Path, version: int) -> None:
    """As PSR-16 has them, in short: 2 gave the parameters types, and 3 the results, too."""
    shown = """<?php namespace Psr\\SimpleCache;
        interface CacheException extends \\Throwable {}
        interface InvalidArgumentException extends CacheException {}
        interface CacheInterface {
            public function get(string $key, mixed $default = null): mixed;
            public function set(string $key, mixed $value, $TTL): bool;
            public function delete(string $key): bool;
            public function clear(): bool;
            public function getMultiple(iterable $keys, mixed $default = null): iterable;
            public function setMultiple(iterable $values, $TTL): bool;
            public function deleteMultiple(iterable $keys): bool;
            public function has(string $key): bool;
        }""".replace("$TTL", "null|int|\\DateInterval $ttl = null")
    if version == 2:
        shown = re.sub(r"\): \w+;", ");", shown)
    (tmp_path / "psr.php").write_text(shown)
    script = (
        f"require '{tmp_path}/psr.php'; require '{CLIENTS}/php/Cache.php';"
        "echo is_subclass_of(CacheApi\\Cache::class, Psr\\SimpleCache\\CacheInterface::class);"
    )
    done = tools.run(tools.tool("php"), "-d", "display_errors=stderr", "-r", script)
    assert (done.stdout, done.stderr) == ("1", "")


def test_laravel(live: Service) -> None:
    program = tools.tool("php")
    needs("Illuminate/Cache")
    done = tools.run(
        program, "-d", "display_errors=stderr", HERE / "php" / "laravel.php", env=environ(live)
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "miss": "instead",
        "put": [True, {"b": 1.0}, True],
        "many": [True, {"x": 1, "no": None, "y": 2}],
        "add": [False, True, 1],
        "forever": [True, 1],
        "count": [1, 5, 3],
        "remember": ["first", "first"],
        "object": [True, True],
        "lock": [True, False, True, True],
        "prefix": "app:",
        "forget": [True, None, 1, None],
        "over": [True, None],
        "flush": [True, None],
    }


@pytest.mark.parametrize("transport", ["curl", "stream"])
def test_what_only_php_has(live: Service, transport: str) -> None:
    command = php(transport)
    assert call(live.port, "POST", CACHE, {"key": "big", "value": 2**70}).status == 201
    # With the extensions of its ini file: it forks.
    done = tools.run(
        *(command[0], "-d", "error_reporting=-1", "-d", "display_errors=stderr"),
        *(HERE / "php" / "own.php", transport),
        env=environ(live),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "values": [True] * 4,
        "refused": [True] * 4,
        "closure": "Serialization of 'Closure' is not allowed",
        "never": [True, True, True, True, 0],
        "ours": [True, 1],
        "over": [True, False, False, 3, False],
        "interval": [True, 1],
        # PHP has no integer so large: its digits, not a float near it.
        "big": str(2**70),
        "float": [True, True],
        "option": "There is no option timeuot.",
        "key": "An API key is printable ASCII without spaces.",
        "told": [["The API key is not valid."], "The API key is not valid."],
        "child": 0,
    }
