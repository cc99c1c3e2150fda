"""``cacheapi explain`` says what is stored of a URL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.file.backend import FileBackend
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
    other = program.json("explain", "shop", "/x?a=1", "-H", "Accept-Language: fr", code=1)
    assert (other["decision"], other["why"]) == ("miss", "vary-miss")


def test_what_cannot_be_explained(program: Program, origin: Origin) -> None:
    services = program.directory / "services.toml"
    services.write_text(
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin.url}"\n'
        'cache = "gone"\n'
    )
    assert "no HTTP API" in program.fails("explain", "cache", "/x", code=2)
    program.settings["CACHEAPI_SERVICES_FILE"] = str(services)
    assert "'gone'" in program.fails("explain", "shop", "/x", code=3)
    services.write_text(services.read_text().replace('cache = "gone"\n', ""))
    assert "'..'" in program.fails("explain", "shop", "/../x", code=2)
    assert "Name: value" in program.fails("explain", "shop", "/x", "-H", "oops", code=2)
    assert "cacheapi explain shop URL" in program.fails("get", "x", "--service", "shop", code=2)
