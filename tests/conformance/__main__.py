"""Run the public suite of HTTP caching against a service of the type ``rws``.

``python -m tests.conformance SUITE``: ``SUITE`` is the directory of npm's package
``http-cache-tests``; ``make conformance`` installs it. Its origin, a memcached and the service
are started on free ports. It fails if a required case does that is not in :data:`CONTRADICTED`,
or one that is passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.support.processes import Service, free_port, memcached, wait_for_port

# A shared cache as the standards allow one: what our defaults refuse is allowed.
SETTINGS: Final = """
forward_authorization = true
shared_cookies = "a"
stale_if_error = 3600
when_coding_unknown = "ignore"
"""

# What the package's release demands and RFC 9111, or a setting that cannot be off, does not.
_FIRST: Final = "RFC 9111, section 5.1: the first of several counts, what is no number is ignored"
_ERROR: Final = "it wants the origin's answer of a connection that the origin broke off"
_LOCATION: Final = "a Location into the base is rewritten to the service's address"
CONTRADICTED: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            f"age-parse-{name}"
            for name in (
                *("nonnumeric", "negative", "float", "prefix-twoline", "dup-0", "dup-0-twoline"),
                *("dup-old", "parameter", "numeric-parameter"),
            )
        ),
        _FIRST,
    ),
    **dict.fromkeys(
        (
            f"stale-close-{name}"
            for name in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2")
        ),
        _ERROR,
    ),
    **dict.fromkeys(
        (
            f"invalidate-{method}-{name}"
            for method in ("POST", "PUT", "DELETE", "M-SEARCH")
            for name in ("location", "cl")
        ),
        _LOCATION,
    ),
    "304-etag-update-response-Content-MD5": "RFC 9111, section 3.2: a 304 updates all fields",
    "304-etag-update-response-ETag": "RFC 9111, section 4.3.4: a 304 with another tag updates none",
}


def ask(suite: Path) -> dict[str, dict[str, Any]]:
    """Run all cases, and return what became of each."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="conformance.") as directory, memcached() as cache:
        place = Path(directory)
        environ = os.environ | {
            "npm_config_protocol": "http",
            "npm_config_port": str(port),
            "npm_config_pidfile": str(place / "pid"),
        }
        with (place / "origin").open("wb") as log:
            origin = subprocess.Popen(
                ["node", "server/server.mjs"], cwd=suite, env=environ, stdout=log, stderr=log
            )
        try:
            wait_for_port(port, origin)
            services = place / "services.toml"
            services.write_text(
                '[[service]]\nname = "suite"\ntype = "rws"\n[service.config]\n'
                f'base_url = "http://127.0.0.1:{port}"\n{SETTINGS}'
            )
            service = Service(
                place,
                CACHE_DRIVER="memcached",
                MEMCACHED_HOST="127.0.0.1",
                MEMCACHED_PORT=str(cache.port),
                CACHEAPI_SERVICES_FILE=str(services),
            )
            try:
                run = subprocess.run(
                    [
                        *("node", "--no-warnings", str(Path(__file__).with_name("run.mjs"))),
                        *(str(suite), f"{service.url}/api/v2/suite", service.api_key),
                    ],
                    stdout=subprocess.PIPE,
                    check=True,
                    timeout=600,
                )
            finally:
                service.stop()
        finally:
            origin.terminate()
            origin.wait()
    found: dict[str, dict[str, Any]] = json.loads(run.stdout)
    return found


def report(found: dict[str, dict[str, Any]]) -> int:
    """Print how many pass and which do not; return the exit code."""
    failed = {kind: [] for kind in ("required", "optimal", "check")}
    for name, case in found.items():
        if case["result"] is not True:
            failed[case["kind"]].append(name)
    for kind, names in failed.items():
        total = sum(case["kind"] == kind for case in found.values())
        print(f"{kind:10}{total - len(names):4} of {total}")
    for name in (*failed["required"], *failed["optimal"]):
        why = CONTRADICTED.get(name) or found[name]["result"][1]
        print(f"  {found[name]['kind']:10}{name}: {why}")
    news = set(failed["required"]) ^ CONTRADICTED.keys()
    if news:
        print("Otherwise than it was:", ", ".join(sorted(news)))
    return bool(news)


if __name__ == "__main__":
    sys.exit(report(ask(Path(sys.argv[1]).resolve())))
