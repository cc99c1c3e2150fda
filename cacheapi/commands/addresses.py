"""The address of a service elsewhere, as people paste it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import click

API: Final = "/api/v2"
# Pages that are under the same address, where a browser was.
_PAGES: Final = ("/console", "/health", "/metrics")
_RESERVED: Final = frozenset({"system", "docs", "openapi.json"})


class Address(NamedTuple):
    """Where a service is.

    :ivar port: ``None`` for that of the scheme.
    :ivar base: the path that it is mounted under; empty for none.
    """

    url: str
    is_https: bool
    host: str
    port: int | None
    base: str


def read_address(url: str) -> Address:
    """Return the address that somebody gave; what all paths of the API begin with may be in it.

    :raises click.UsageError: it is none, or that of something inside the service; that says what to
        give. What may be secret in it is not repeated.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        # As a connection would, but in time for one line.
        host.encode("idna")
        parts.path.encode("ascii")
    except ValueError as error:
        reason = "no name of a host is so" if isinstance(error, UnicodeError) else error
        if isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":
            reason = "its path must be written with % where it is not ASCII"
        raise click.UsageError(f"--url: {_shown(url)!r} is no address: {reason}.") from error
    if parts.scheme not in ("http", "https") or not host or " " in url or not url.isprintable():
        raise click.UsageError(
            f"--url: {_shown(url)!r} is none like https://cache.example or http://127.0.0.1:8000."
        )
    place = parts.netloc.rpartition("@")[2]
    base, within, meant = _inside(parts.path)
    whole = f"{parts.scheme}://{place}{base}"
    if parts.username is not None:
        raise click.UsageError(
            f"--url: there is no user and no password: give --url {whole} --key @FILE."
        )
    if within or parts.query or parts.fragment:
        what = "what follows '?' or '#' is no part of it"
        if within:
            what = "this is the address of something inside the service"
        with_key = "; an API key goes with --key @FILE" if "api_key" in parts.query else ""
        raise click.UsageError(f"--url: {what}: give --url {whole}{meant}{with_key}.")
    return Address(whole, parts.scheme == "https", host, port, base)


def _inside(path: str) -> tuple[str, str, str]:
    """Return what a service is mounted under, what of it the path leads to, and how to say that."""
    base, slashed, rest = f"{path.rstrip('/')}/".partition(f"{API}/")
    if not slashed:
        for page in _PAGES:
            base, slashed, _ = f"{path.rstrip('/')}/".partition(f"{page}/")
            if slashed:
                return base.rstrip("/"), page, ""
        return path.rstrip("/"), "", ""
    name, _, key = rest.rstrip("/").partition("/")
    meant = "" if not name or name in _RESERVED else f", and --service {unquote(name)}"
    if meant and key:
        meant += f" with the key {unquote(key)!r}"
    if meant:
        meant += " after the command"
    return base.rstrip("/"), rest.rstrip("/"), meant


def _shown(url: str) -> str:
    """Return an address without what may be a password or an API key."""
    before, at, after = url.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    shown = f"{scheme if slashes else ''}{slashes}…@{after}" if at else url
    return shown.partition("?")[0]
