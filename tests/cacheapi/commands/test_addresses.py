"""``--url`` as people paste it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cacheapi.commands.addresses import read_address
from cacheapi.commands.main import cacheapi


@pytest.mark.parametrize(
    ("given", "url", "base"),
    [
        ("http://h:8000", "http://h:8000", ""),
        (" https://h/ ", "https://h", ""),
        ("http://h/api/v2", "http://h", ""),
        ("http://h/api/v2/", "http://h", ""),
        ("http://h/c/api/v2/", "http://h/c", "/c"),
        ("http://h/c/", "http://h/c", "/c"),
        ("http://[::1]:80/", "http://[::1]:80", ""),
        ("http://bücher.example", "http://bücher.example", ""),
    ],
)
def test_an_address_may_have_what_it_is_mounted_under(given: str, url: str, base: str) -> None:
    address = read_address(given)
    assert (address.url, address.base) == (url, base)
    assert address.is_https == url.startswith("https")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://h/api/v2/shop", "give --url http://h, and --service shop after the command."),
        ("http://h/api/v2/shop/", "give --url http://h, and --service shop after the command."),
        ("http://h/c/api/v2/shop", "give --url http://h/c, and --service shop after the command."),
        (
            "http://h/api/v2/shop/user%3A1/x?ttl=true",
            "give --url http://h, and --service shop with the key 'user:1/x' after the command.",
        ),
        ("http://h:80/api/v2/system/service/7", "give --url http://h:80."),
        ("https://h/c/console/services/3", "give --url https://h/c."),
        ("https://h/api/v2/docs/#/Keys", "give --url https://h."),
        ("https://h/health/ready", "give --url https://h."),
        (
            "https://h/api/v2?api_key=pl4nted",
            "give --url https://h; an API key goes with --key @FILE.",
        ),
        ("https://me:pl4nted@h/c", "give --url https://h/c --key @FILE."),
        ("me:pl4nted@h", "'…@h' is none like https://cache.example"),
        ("http://h:x?api_key=pl4nted", "'http://h:x' is no address"),
        ("http://a..b/", "no name of a host is so"),
        ("http://h/é", "written with %"),
        ("http://h h", "is none like"),
        ("http://h\n", ""),
        ("h:8000", "is none like"),
        ("http://[::1", "is no address"),
        ("http://h:99999", "is no address"),
    ],
)
def test_another_address_is_answered_with_what_to_give(given: str, words: str) -> None:
    if not words:
        assert read_address(given).host == "h"
        return
    with pytest.raises(click.UsageError) as raised:
        read_address(given)
    assert words in raised.value.message
    assert "pl4nted" not in raised.value.message
    ended = CliRunner().invoke(cacheapi, ["--url", given, "--key", "k", "get", "x"])
    (line,) = ended.stderr.splitlines()
    assert (ended.exit_code, line.startswith("cacheapi: --url: ")) == (2, True)
