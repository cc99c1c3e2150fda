"""Which name was meant, of names that there are."""

from __future__ import annotations

import string

import pytest

from cacheapi.registry.rights import VERBS
from cacheapi.slips import did_you_mean
from cacheapi.web import query

PARAMETERS = tuple(
    dict.fromkeys(
        (*query.OF_LISTS, *query.OF_READS, *query.OF_STORES, *query.OF_DELETES, *query.OF_PAGES)
    )
)
# What clients of DreamFactory, of caches of answers and of proxies send, and must be ignored.
OTHERS = [
    "_",
    "v",
    "t",
    "ts",
    "cb",
    "nocache",
    "rand",
    "fields",
    "related",
    "limit_by",
    "offset",
    "order",
    "group",
    "filter",
    "include_count",
    "include_schema",
    "count_only",
    "ids",
    "id_field",
    "id_type",
    "continue",
    "rollback",
    "refresh",
    "force",
    "method",
    "callback",
    "file",
    "session_token",
    "api_key",
    "app_name",
    "accept",
    "as_list",
    "type",
    "skip_cache",
    "utm_source",
    "sig",
    "expires",
]


def slips(name: str) -> set[str]:
    """Return what one slip makes of a name."""
    cuts = [(name[:at], name[at:]) for at in range(len(name) + 1)]
    made = {start + end[1:] for start, end in cuts if end}
    made |= {start + end[1] + end[0] + end[2:] for start, end in cuts if len(end) > 1}
    for letter in string.ascii_lowercase:
        made |= {start + letter + end for start, end in cuts}
        made |= {start + letter + end[1:] for start, end in cuts if end}
    return made - {name}


@pytest.mark.parametrize("name", [*PARAMETERS, *(verb.lower() for verb in VERBS)])
def test_one_slip_is_recognized(name: str) -> None:
    for slip in slips(name):
        assert did_you_mean(slip, [name, "quite_another"]) == f" Did you mean '{name}'?", slip


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_send_is_taken_for_none_of_ours(name: str) -> None:
    assert did_you_mean(name, PARAMETERS) == ""


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("Keys", PARAMETERS, "keys"),
        ("TTL", PARAMETERS, "ttl"),
        ("chek_exst", PARAMETERS, "check_exist"),
        ("keyss", PARAMETERS, "keys"),
        ("caceh", ["sessions", "cache"], "cache"),
        ("MEMCACHED_PASS", ["MEMCACHED_PORT", "MEMCACHED_PASSWORD"], "MEMCACHED_PASSWORD"),
    ],
)
def test_the_nearest_is_meant(name: str, known: tuple[str, ...], meant: str) -> None:
    assert did_you_mean(name, known) == f" Did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["", "x", "zzzzzz", "k" * 5_000_000])
def test_nothing_is_near(name: str) -> None:
    assert did_you_mean(name, PARAMETERS) == ""
    assert did_you_mean(name, []) == ""
