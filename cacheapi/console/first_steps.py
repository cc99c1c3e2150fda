"""The lines of curl with which an application's first request is tried in a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from flask import request

from cacheapi.caching.codec import encode
from cacheapi.registry.environment import SYSTEM_CACHE
from cacheapi.registry.rights import EVERY_SERVICE, FLUSH, VERBS, Rule
from cacheapi.registry.snapshot import Snapshot
from cacheapi.web.auth import HEADER

# What an application does with keys of its own.
USING: Final = tuple(verb for verb in VERBS if verb != FLUSH)
# What an administrator may.
ALL: Final = (Rule(EVERY_SERVICE, frozenset(VERBS)),)
_KEY: Final = "hello"
_BODY: Final = '{{"resource": [{{"key": {key}, "value": "world", "ttl": 60}}]}}'


def lines(snapshot: Snapshot, rules: Iterable[Rule]) -> str:
    """Return what stores and reads with the first rule that allows one of them.

    The shell's ``$KEY`` has the API key. In front of an API, what is read is its first page.

    :return: a line for each request; empty where no rule allows any.
    """
    for rule in rules:
        service = SYSTEM_CACHE if rule.service == EVERY_SERVICE else rule.service
        is_remote = service in snapshot.remotes
        key = rule.prefix if is_remote else f"{rule.prefix}{_KEY}"
        found = []
        if "POST" in rule.verbs and not is_remote:
            body = shlex.quote(_BODY.format(key=encode(key)))
            found.append(f"{_curl(service)} -H 'Content-Type: application/json' -d {body}")
        if "GET" in rule.verbs:
            found.append(_curl(service, f"/{quote(key, safe='/:' if is_remote else ':')}"))
        if found:
            return "\n".join(found)
    return ""


def _curl(service: str, path: str = "") -> str:
    url = f"{request.url_root}api/v2/{service}{path}"
    return f'curl {shlex.quote(url)} -H "{HEADER}: $KEY"'
