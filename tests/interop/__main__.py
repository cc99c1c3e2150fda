"""Print both tables of docs/sharing.md, as the clients that are installed make them.

``python -m tests.interop [DIRECTORY]``: clients of Python's are looked for in the environment
``DIRECTORY/venv``, those of Node's in ``DIRECTORY/node_modules``; ``make interop`` makes both, and
installs the others from the system's packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from backends.base import MISSING, Backend, flags_of
from cacheapi.caching.codec import Value, string_text
from cacheapi.caching.pairs import Pair
from cacheapi.caching.service import CacheService
from cacheapi.caching.values import AUTO, JSON, LIBMC, PHP, PYLIBMC, make
from tests.conftest import connect, connect_redis
from tests.support.processes import memcached
from tests.support.redis import redis_server

SCRIPTS = Path(__file__).with_name("clients")
STORED = {
    "text": '"hello"',
    "whole": "42",
    "object": '{"a":1}',
    "null": "null",
    "true": "true",
    "fraction": "1.5",
    "long": string_text("x" * 3000),
}
CLIENTS = {
    "python": (
        *("pymemcache", "pymemcache pickle", "pymemcache compressed", "pylibmc"),
        *("libmc", "libmc compressed"),
        *("django pymemcache", "django pylibmc", "django redis"),
        *("flask-caching memcached", "flask-caching redis"),
        *("dogpile memcached", "dogpile redis", "aiocache memcached", "aiocache redis"),
    ),
    "node": (
        *("memcached", "memjs", "ioredis", "keyv memcached", "keyv redis"),
        *("cache-manager memcached", "cache-manager redis"),
    ),
    "php": (
        *("php-memcached php", "php-memcached igbinary", "php-memcached json"),
        *("php-memcached zlib", "laravel memcached"),
        *("php-redis none", "php-redis php", "php-redis igbinary", "laravel redis"),
        *("symfony memcached", "symfony redis"),
    ),
    "ruby": ("dalli", "dalli raw", "dalli json", "rails", "rails raw", "ruby-redis"),
    "perl": ("Cache::Memcached::Fast", "Cache::Memcached::Fast json"),
    "java": ("spymemcached",),
    "go": ("gomemcache",),
    "nginx": ("memcached_pass", "memc", "srcache"),
}
# Debian's places.
SPYMEMCACHED = "/usr/share/java/spymemcached.jar"
GO = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "-mod=mod"}


def on_redis(client: str) -> bool:
    return "redis" in client


class Caller:
    """Runs the script of a client."""

    def __init__(self, directory: Path) -> None:
        python = directory / "venv" / "bin" / "python"
        chosen = str(python) if python.exists() else sys.executable
        # The program, with what stands before the script, and the script's suffix.
        self._programs: dict[str, tuple[list[str], str]] = {
            "python": ([chosen], "py"),
            "node": (["node"], "js"),
            "php": (["php"], "php"),
            "ruby": (["ruby"], "rb"),
            "perl": (["perl"], "pl"),
            "java": (["java", "-cp", SPYMEMCACHED], "java"),
            "go": (["go", "run"], "go"),
            "nginx": ([sys.executable], "py"),
        }
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/bin",
            "NODE_PATH": str(directory / "node_modules"),
            "GOCACHE": str(directory / "go"),
            **GO,
        }

    def run(
        self, language: str, client: str, port: int, verb: str, sent: str = ""
    ) -> dict[str, str] | None:
        """Return what it printed; ``None``: it is not installed."""
        program, suffix = self._programs[language]
        script = SCRIPTS / f"{language}.{suffix}"
        try:
            done = subprocess.run(
                [*program, str(script), client, str(port), verb],
                input=sent,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except FileNotFoundError as error:
            print(f"{client}: left out: {error}", file=sys.stderr)
            return None
        if done.returncode == 0:
            found: dict[str, str] = json.loads(done.stdout)
            return found
        print(f"{client}: left out: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None


def service(backend: Backend, form: str, flags: int | None = None) -> CacheService:
    values = make(backend, form, flags, raw_bytes=False)
    return CacheService("cache", backend, default_ttl=0, values=values)


def shown(value: Value) -> str:
    if value.encoding is not None:
        return "b64"
    text = value.json.replace("|", "\\|")
    return f"`{text}`" if len(text) < 40 else f"`{text[:20]}…` ({len(text)})"


def reads(caller: Caller, ports: dict[bool, int], backends: dict[bool, Backend]) -> None:
    """Print what each client stores, and what is answered."""
    forms = (JSON, PHP, PYLIBMC, LIBMC, AUTO)
    print(f"| client | value | bytes | flags | {' | '.join(forms)} |")
    print(f"|{'---|' * (4 + len(forms))}")
    for language, clients in CLIENTS.items():
        for client in clients:
            backend = backends[on_redis(client)]
            backend.flush()
            stored = caller.run(language, client, ports[on_redis(client)], "put")
            for label, key in (stored or {}).items():
                raw = backend.get(key)
                if raw is MISSING:
                    print(f"| {client} | {label} | {key} |")
                    continue
                answers = [shown(service(backend, form).get(key) or Value("")) for form in forms]
                head = raw[:16].decode("latin-1")
                seen = head if head.isprintable() else raw[:10].hex(" ")
                print(
                    f"| {client} | {label} | `{seen}` ({len(raw)}) | {flags_of(raw)} "
                    f"| {' | '.join(answers)} |"
                )


def writes(caller: Caller, ports: dict[bool, int], backends: dict[bool, Backend]) -> None:
    """Print what each client reads of what is stored here."""
    print(f"\n| stored with | client | {' | '.join(STORED)} |")
    print(f"|{'---|' * (2 + len(STORED))}")
    for form, flags in ((JSON, 0), (JSON, 1), (JSON, 2), (JSON, 16), (PHP, None)):
        for language, clients in CLIENTS.items():
            for client in clients:
                if on_redis(client) and flags:
                    continue
                backend = backends[on_redis(client)]
                backend.flush()
                cache = service(backend, form, flags)
                cache.set_many([Pair(name, text, 600) for name, text in STORED.items()])
                port = ports[on_redis(client)]
                found = caller.run(language, client, port, "get", json.dumps([*STORED]))
                if found is not None:
                    told = form if not flags else f"{form}, flags {flags}"
                    answers = " | ".join(f"`{found[name]}`" for name in STORED)
                    print(f"| {told} | {client} | {answers} |")


def main() -> None:
    """Print them."""
    caller = Caller(Path(sys.argv[1] if len(sys.argv) > 1 else ".interop").resolve())
    with memcached() as cache, redis_server() as other:
        ports = {False: cache.port, True: other.port}
        backends: dict[bool, Backend] = {
            False: connect(cache),
            True: connect_redis(other, REDIS_PREFIX="", REDIS_ALLOW_FLUSHDB="true"),
        }
        reads(caller, ports, backends)
        writes(caller, ports, backends)
        for backend in backends.values():
            backend.close()


if __name__ == "__main__":
    main()
