"""Signing in with the key of an administrator, and out.

An address may try :data:`ATTEMPTS` times; the count is where the system cache is, so that it
holds for all workers and machines. That is for keys of the environment that somebody chose
badly: those that the service makes have 256 random bits. Behind a proxy on this machine it is
the address that the proxy tells: else anybody could use up the attempts of all.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response

from cacheapi.console import frame, session
from cacheapi.registry.rights import Caller, Rate
from cacheapi.web import auth, rates
from cacheapi.web.blueprints import registry
from cacheapi.web.errors import ApiError, not_read_yet

ATTEMPTS: Final = Rate(20, 60)


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/sign-in", "sign_in", sign_in)
    blueprint.add_url_rule("/sign-in", "enter", enter, methods=["POST"])
    blueprint.add_url_rule("/sign-out", "sign_out", sign_out, methods=["POST"])


def sign_in() -> Response:
    """Ask for the key."""
    if g.get("caller") is not None:
        return redirect(_target(), 303)
    return frame.page("sign_in", next=request.args.get("next", ""))


def enter() -> Response:
    """Take the key."""
    try:
        caller = _check(request.form.get("key", "").strip())
    except ApiError as error:
        made = frame.page(
            "sign_in", error.status, next=request.args.get("next", ""), fault=error.message
        )
        made.headers.update(error.headers)
        return made
    session.begin(caller)
    return redirect(_target(), 303)


def sign_out() -> Response:
    """End the session."""
    session.end(registry())
    return redirect(url_for("console.sign_in"), 303)


def _check(shown: str) -> Caller:
    """Return the administrator whose key was shown.

    :raises ApiError: 403; it is no key of one. 429; there were too many attempts.
    """
    _count_attempt()
    snapshot = registry().snapshot
    caller = snapshot.who(shown)
    if caller is None and not snapshot.is_complete:
        raise not_read_yet()
    if caller is None:
        raise ApiError(403, auth.why_not(shown, snapshot))
    if not caller.administrator:
        raise ApiError(403, "This is for API keys of administrators.")
    return caller


def _count_attempt() -> None:
    # Who reads the cache shall not learn from where people sign in, not by trying all addresses.
    key = registry().vault.derive("addresses")
    address = hmac.digest(key, _address().encode(), "sha256").hex()[:32]
    standing = rates.count_as(f"sign-in:{address}", ATTEMPTS, registry().counts)
    if standing is not None and standing.is_over:
        raise ApiError(
            429,
            f"Too many attempts to sign in from your address; try again in {standing.reset} s.",
            headers={"Retry-After": str(standing.reset)},
        )


def _address() -> str:
    """Return who tries; of a proxy only one on this machine is believed."""
    connected = request.remote_addr or ""
    if connected and not _is_loopback(connected):
        return connected
    # The last one is what the proxy itself has seen; the others may be made up.
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or connected


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        # Of a socket of the file system.
        return True


def _target() -> str:
    """Return where to go now: a page of the console, whatever the parameter says."""
    wanted = request.args.get("next", "")
    if (
        wanted.startswith(f"{session.PATH}/")
        # No end of a line, above all; an address has these as %0A and the like.
        and wanted.isprintable()
        and "\\" not in wanted
        and "//" not in wanted
    ):
        return f"{request.script_root}{wanted}"
    return url_for("console.index")
