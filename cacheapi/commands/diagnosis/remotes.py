"""A service in front of an HTTP API: is the API reached, and what stores its answers."""

from __future__ import annotations

from backends.endpoints import Endpoint
from cacheapi.caching.service import CacheService
from cacheapi.commands.diagnosis.findings import Finding, Level
from cacheapi.commands.diagnosis.places import reach
from cacheapi.commands.diagnosis.services import ServerReport, ServiceReport
from cacheapi.responses.remote import Remote


def look(names: list[str], remote: Remote, cache: CacheService | None) -> ServiceReport:
    """Connect to the API, and send no request.

    :param cache: what stores; ``None`` where that cannot be used.
    """
    base = remote.config.base
    where = f"service {' = '.join(names)}"
    findings = []
    reached = reach(
        Endpoint(base.root, (base.host, base.port), timeout=remote.config.connect_seconds)
    )
    if reached.fault is not None:
        findings.append(Finding(Level.FAILURE, f"{where}, API {base.root}", *reached.fault))
    if cache is None:
        message = f"The service '{remote.cache}' that stores cannot be used."
        action = "Until it can, every request goes to the API, or is refused."
        findings.append(Finding(Level.FAILURE, where, message, action))
    about = f"stored in {remote.cache}" if remote.config.is_on else "the cache is disabled"
    server = ServerReport(base.root, list(reached.steps))
    return ServiceReport(
        names, remote.type, not findings, list(reached.steps), [server], findings, about
    )
