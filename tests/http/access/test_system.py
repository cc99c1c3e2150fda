"""``/api/v2/system``: what each type of service can do, and each service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from backends.capabilities import Capability
from backends.registry import BUILT_IN
from tests.http.client import ALL, Api, MemcachedStore
from tests.http.conftest import make_app_api
from tests.support import scripts
from tests.support.plugins import Plugin
from tests.support.processes import Memcached

TYPES = "/api/v2/system/service_type"
# What the settings of a service make of the numbers of its type.
DIFFERS = {
    "file": {"max_value_bytes": 256 * 2**20 // 8},
    "redis": {"max_key_bytes": 512 * 2**20 - len("cacheapi:")},
}


def abilities(name: str) -> str:
    return f"/api/v2/system/service/{name}/capabilities"


def types(api: Api) -> dict[str, dict[str, Any]]:
    answer = api.call("GET", TYPES)
    assert answer.status == 200
    document = answer.json
    assert list(document) == ["resource"]
    return {kind["name"]: kind for kind in document["resource"]}


def test_each_driver_is_a_type(file_api: Api) -> None:
    found = types(file_api)
    assert [kind["driver"] for kind in found.values()] == [*BUILT_IN, "rws"]
    for kind in found.values():
        assert list(kind) == [
            *("name", "label", "description", "driver", "capabilities", "limits", "traits"),
            "config_schema",
        ]
        assert list(kind["capabilities"]) == [flag.name.lower() for flag in Capability]
        assert kind["label"]
        assert kind["description"]


def test_the_types_say_what_the_document_says_of_memcached(file_api: Api) -> None:
    memcached = types(file_api)["cache_memcached"]
    assert (memcached["label"], memcached["driver"]) == ("Memcached", "memcached")
    limits, traits = memcached["limits"], memcached["traits"]
    assert limits["max_key_bytes"] == 250
    assert limits["max_count"] == 2**63 - 1
    assert "1 MB" in traits["max_value"]
    assert "strings" in traits["data_types"]
    assert traits["persistence"] == "values are gone"
    assert "none" in traits["replication"]
    assert memcached["capabilities"]["persistent"] is False
    assert types(file_api)["cache_local"]["capabilities"]["persistent"] is True


def test_a_service_has_the_abilities_of_its_backend(
    api: Api, request: pytest.FixtureRequest
) -> None:
    listed = api.call("GET", "/api/v2/").json["services"]
    (service,) = listed
    for name in (service["name"], *service["aliases"]):
        answer = api.call("GET", abilities(name))
        assert answer.status == 200
        shown = answer.json
        assert list(shown) == ["name", "type", "driver", "capabilities", "limits"]
        assert (shown["name"], shown["type"]) == (service["name"], service["type"])
        assert shown["driver"] == api.driver
        kind = types(api)[service["type"]]
        # With a login, memcached has no command that says how long a value will live, nor a dump.
        lacks = {"remaining_ttl": False, "analyze": False}
        less = lacks if request.node.callspec.id.startswith("sasl") else {}
        assert shown["capabilities"] == kind["capabilities"] | less
        assert shown["limits"] == kind["limits"] | DIFFERS.get(api.driver, {})


def test_what_is_shown_is_what_the_service_does(short_key_api: Api) -> None:
    shown = short_key_api.call("GET", abilities("cache")).json
    longest = "k" * shown["limits"]["max_key_bytes"]
    short_key_api.store_one(longest, 1)
    assert short_key_api.call("GET", f"{ALL}/{longest}k").status == 400
    lists = shown["capabilities"]["list_keys"]
    assert short_key_api.call("GET", ALL).status == (200 if lists else 400)


def test_a_prefix_is_taken_off(memcached_server: Memcached, tmp_path: Path) -> None:
    api = make_app_api(
        "memcached",
        MemcachedStore(memcached_server),
        tmp_path,
        MEMCACHED_HOST="127.0.0.1",
        MEMCACHED_PORT=str(memcached_server.port),
        MEMCACHED_PREFIX="äpp:",
    )
    shown = api.call("GET", abilities("memcache")).json
    assert shown["limits"]["max_key_bytes"] == 245
    api.store_one("k" * 245, 1)
    refused = api.call("GET", f"{ALL}/{'k' * 246}")
    assert "takes at most 245" in refused.message
    flushed = api.call("DELETE", ALL).status
    assert flushed == (200 if shown["capabilities"]["flush_prefix"] else 400)
    api.close()


def test_a_limit_that_a_setting_makes_is_shown(tmp_path: Path, file_app: Api) -> None:
    api = make_app_api("file", file_app.store, tmp_path, CACHE_FILE_MAX_MB="8")
    assert api.call("GET", abilities("cache")).json["limits"]["max_value_bytes"] == 2**20
    assert types(api)["cache_local"]["limits"]["max_value_bytes"] is None
    api.close()


def test_a_plugin_appears_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_app: Api
) -> None:
    undescribed = {
        "    traits = Traits(": "    _ = Traits(",
        "    capabilities = frozenset(Capability) -": "    __ = set(Capability) -",
    }
    Plugin(changes=undescribed).install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lru_backend", raising=False)
    lru = types(file_app)["cache_lru"]
    assert (lru["label"], lru["description"]) == ("lru", "A cache on the LRU backend.")
    assert not any(lru["capabilities"].values())
    assert lru["limits"]["max_key_bytes"] is None
    assert set(lru["traits"].values()) == {""}


def test_a_type_whose_driver_is_not_installed_is_listed() -> None:
    output = scripts.run(
        """
        import sys
        sys.modules.update(dict.fromkeys(["pylibmc", "_pylibmc", "redis"]))
        from cacheapi.registry.service_types import service_types
        print(*(kind["driver"] for kind in service_types()))
        """
    )
    assert output.split() == [*BUILT_IN, "rws"]


@pytest.mark.parametrize("name", ["nothing", "system", "Cache", "k%C3%A9y"])
def test_an_unknown_service_is_a_404(file_api: Api, name: str) -> None:
    answer = file_api.call("GET", abilities(name))
    assert answer.status == 404
    assert answer.message.endswith("does not exist; GET /api/v2/ lists those that do.")


@pytest.mark.parametrize("path", [TYPES, abilities("cache")])
def test_the_system_wants_a_key_and_takes_only_reads(api: Api, path: str) -> None:
    assert api.call("GET", path, {"X-DreamFactory-API-Key": None}).status == 401
    assert api.call("HEAD", path).status == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = api.call(method, path)
        assert answer.status == 405
        assert answer.headers["Allow"].replace(",", "").split().count("GET") == 1
        assert answer.message


@pytest.mark.parametrize("name", ["system", "docs"])
@pytest.mark.parametrize("rest", ["", "/", "/k", "/service_type/k"])
def test_what_is_reserved_is_no_cache(file_api: Api, name: str, rest: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        if (method, name) == ("GET", "docs") and rest in ("", "/"):
            continue
        answer = file_api.call(method, f"/api/v2/{name}{rest}", body={"value": 1})
        assert answer.status in (404, 405)
        assert answer.error["context"] is None
    assert file_api.call("GET", f"/api/v2/{name}/k").message.startswith(
        "There is nothing at this path"
    )
