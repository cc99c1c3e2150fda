"""clients/javascript: the table, in Node and in a browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conformance import CLIENTS, check, node, run
from tests.support import tools
from tests.support.browser import chromium, window
from tests.support.processes import Service

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
# A page asks where it comes from, and nobody else.
ASIDE = ("away", "other")


def test_the_table_in_node(live: Service, table: list[Any]) -> None:
    check(live, table, run(node(), table))


def test_the_table_in_a_browser(live: Service, table: list[Any]) -> None:
    given = [case for case in table if case.get("cache") not in ASIDE]
    with chromium() as browser, window(browser) as context:
        page = context.new_page()
        for path in ("conformance/run.js", "javascript/cacheapi.js"):
            page.route(f"**/clients/{path}", lambda route, _, path=path: serve(route, path))
        page.goto(f"{live.url}/health/live")
        found = page.evaluate(
            "async (cases) => (await import('/clients/conformance/run.js')).run(cases)", given
        )
    check(live, given, found)


def serve(route: Any, path: str) -> None:
    body = (CLIENTS / path).read_text()
    route.fulfill(body=body, content_type="text/javascript; charset=utf-8")


def test_its_types(tmp_path: Path) -> None:
    tsc = tools.tool("tsc")
    for path in (HERE / "javascript" / "use.ts", CLIENTS / "javascript" / "cacheapi.d.ts"):
        shutil.copy(path, tmp_path)
    strict = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"]
    kind = ["--module", "esnext", "--moduleResolution", "node"]
    done = tools.run(tsc, *strict, *kind, "use.ts", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_its_types_have_each_method() -> None:
    script = (
        f"import {{ Cache }} from '{CLIENTS}/javascript/cacheapi.js';"
        "console.log(Object.getOwnPropertyNames(Cache.prototype).join(' '));"
    )
    done = tools.run(tools.tool("node"), "--input-type=module", "-e", script)
    declared = (CLIENTS / "javascript" / "cacheapi.d.ts").read_text()
    body = declared[declared.index("export class Cache {") :]
    methods = re.findall(r"^  (\w+)[<(]", body, re.MULTILINE)
    assert sorted(set(methods)) == sorted(done.stdout.split())
