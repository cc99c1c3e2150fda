"""``cacheapi explain`` says what is stored of a URL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from backends.file.backend import FileBackend
from cacheapi.responses import entries
from tests.cacheapi.commands.conftest import Program
from tests.cacheapi.responses.running import get, running
from tests.support import origin as scripted
from tests.support.origin import Origin, reply
from tests.support.processes import REPOSITORY

PAGE = (REPOSITORY / "docs" / "commands.md").read_text()
(SAMPLE,) = re.findall(
    r"^    cacheapi explain [^\n]*\n\n```text\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL
)


def words(shown: str) -> list[str]:
    """Return a sample's words, all numbers of seconds and bytes alike."""
    return re.sub(r"(?<= )\d+(?=\s)", "0", shown).split()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with scripted.origin() as server:
        yield server


@pytest.mark.parametrize("command", [("delete", "--tag", "prices"), ("flush", "--yes")])
def test_what_is_stored_of_an_api_is_purged(
    program: Program, origin: Origin, command: tuple[str, ...]
) -> None:
    services = program.directory / "services.toml"
    services.write_text(
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin.url}"\n'
    )
    program.settings["CACHEAPI_SERVICES_FILE"] = str(services)
    origin.on("/p", reply(200, {"Cache-Control": "max-age=600", "xkey": "prices"}, "body"))
    assert "Nothing is stored" in program("explain", "shop", "/p", code=1)

    async def fill() -> None:
        cache = FileBackend(data_dir=str(Path(program.settings["CACHEAPI_DATA_DIR"])))
        async with running(cache, origin.url) as engine:
            await get(engine, "/p")
        cache.close()

    asyncio.run(fill())
    assert program.json("explain", "shop", "/p")["decision"] == "hit"
    program(*command, "--service", "shop")
    assert program.json("explain", "shop", "/p", code=1)["decision"] != "hit"
    assert program.json("audit")["resource"][0]["action"] == "purged"


def test_it_says_what_is_stored_and_why(program: Program, origin: Origin) -> None:
    services = program.directory / "services.toml"
    services.write_text(
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin.url}"\n'
    )
    program.settings["CACHEAPI_SERVICES_FILE"] = str(services)
    assert "Nothing is stored" in program("explain", "shop", "/x?a=1", code=1)
    headers = {
        "Cache-Control": "max-age=600",
        "Vary": "Accept-Language",
        "xkey": "product-1 prices",
    }
    origin.on("/x", reply(200, headers, "body"))

    async def fill() -> None:
        cache = FileBackend(data_dir=str(Path(program.settings["CACHEAPI_DATA_DIR"])))
        async with running(cache, origin.url) as engine:
            await get(engine, "/x?a=1", accept_language="de")
        cache.close()

    asyncio.run(fill())
    found = program.json("explain", "shop", "/x?a=1", "-H", "Accept-Language: de")
    assert (found["url"], found["decision"], found["why"]) == (
        f"{origin.url}/x?a=1",
        "hit",
        "fresh",
    )
    (variant,) = found["variants"]
    assert 500 < variant.pop("ttl") <= 600
    assert 0 <= variant.pop("age") < 60
    assert variant == {
        "status": 200,
        "rule": "max-age",
        "vary": {"accept-language": "de"},
        "tags": ["product-1", "prices"],
        "bytes": 4,
        "stale_while_revalidate": 0,
        "stale_if_error": 0,
        "is_whole": True,
    }
    text = program("explain", "shop", "x?a=1", "-H", "Accept-Language: de")
    assert "hit (fresh)" in text
    assert "accept-language=de" in text
    shown = text.replace(f"{origin.url}/x?a=1", "https://shop.example/v1/items?page=2")
    assert words(shown) == words(SAMPLE)
    # What the API never sees decides nothing.
    others = ("-H", "Cookie: a=b", "-H", "X-DreamFactory-API-Key: k")
    assert program.json("explain", "shop", "/x?a=1", "-H", "Accept-Language: de", *others) == {
        **found,
        "variants": [ANY],
    }
    other = program.json("explain", "shop", "/x?a=1", "-H", "Accept-Language: fr", code=1)
    assert (other["decision"], other["why"]) == ("miss", "vary-miss")


def test_it_says_what_a_client_would_get(program: Program, origin: Origin) -> None:
    """By the settings of now, and with what is there of what is stored."""
    services = program.directory / "services.toml"
    program.settings["CACHEAPI_SERVICES_FILE"] = str(services)

    def configure(*lines: str) -> None:
        services.write_text(
            '[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\n'
            + "\n".join([f'base_url = "{origin.url}"', *lines])
        )

    control = "max-age=600, stale-while-revalidate=60, stale-if-error=90"
    origin.on("/big", reply(200, {"Cache-Control": control, "Vary": "X-T, Cookie"}, "b" * 20_000))
    origin.on("/plain", reply(200, {"Cache-Control": control}, "body"))
    cache = FileBackend(data_dir=str(Path(program.settings["CACHEAPI_DATA_DIR"])))
    taken: list[str] = []

    async def fill() -> None:
        async with running(cache, origin.url, cookies=frozenset({"user"})) as engine:
            await get(engine, "/big", x_t="1", cookie="user=me; other=1")
            looked = engine.store.look(f"{origin.url}/big")
            taken.append(entries.part_key(looked.variants[0].place.name, 0))
        async with running(cache, origin.url) as engine:
            await get(engine, "/plain")

    asyncio.run(fill())

    def says(path: str, code: int, *fields: str) -> tuple[str, str]:
        sent = [part for field in fields for part in ("-H", field)]
        found = program.json("explain", "shop", path, *sent, code=code)
        return found["decision"], found["why"]

    mine = ("X-T: 1", "Cookie: user=me; another=2")
    configure('cookies = "user"')
    assert says("/big", 0, *mine) == ("hit", "fresh")
    assert says("/big", 1, "X-T: 1", "Cookie: user=other") == ("miss", "vary-miss")
    # What was stored before cookies parted the answers counts no more.
    assert says("/plain", 1) == ("miss", "uri-miss")
    text = program("explain", "shop", "/big", "-H", mine[0], "-H", mine[1])
    assert "60 while fetched, 90 on errors" in text
    configure()
    assert says("/plain", 0) == ("hit", "fresh")
    configure("cache_enabled = false")
    assert says("/plain", 1) == ("pass", "off")
    configure('methods = "POST"')
    assert "GET" in program.fails("explain", "shop", "/plain", code=2)
    configure('cookies = "user"')
    cache.delete(taken[0])
    cache.close()
    assert says("/big", 1, *mine) == ("miss", "gone")
    assert "20000 (gone)" in program(
        "explain", "shop", "/big", "-H", mine[0], "-H", mine[1], code=1
    )


def test_what_cannot_be_explained(program: Program, origin: Origin) -> None:
    services = program.directory / "services.toml"
    services.write_text(
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin.url}"\n'
        'cache = "gone"\n'
    )
    ended = program.fails("explain", "cache", "/x", code=2)
    assert ended == "Service 'cache' stands in front of no HTTP API; none here does."
    known = "Service 'nosuch' does not exist; there are: cache."
    assert program.fails("explain", "nosuch", "/x", code=2) == known
    base = ("--set", f"base_url={origin.url}")
    program("services", "create", "dark", "--type", "rws", *base, "--off")
    assert program.fails("explain", "dark", "/x", code=3) == "Service 'dark' is switched off."
    program("services", "delete", "dark", "--yes")
    program.settings["CACHEAPI_SERVICES_FILE"] = str(services)
    assert "'gone'" in program.fails("explain", "shop", "/x", code=3)
    assert program.fails("explain", "cache", "/x", code=2).endswith("; those that do: shop.")
    services.write_text(services.read_text().replace('cache = "gone"\n', ""))
    assert "'..'" in program.fails("explain", "shop", "/../x", code=2)
    assert "Name: value" in program.fails("explain", "shop", "/x", "-H", "oops", code=2)
    assert "cacheapi explain shop URL" in program.fails("get", "x", "--service", "shop", code=2)
