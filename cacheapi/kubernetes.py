"""The variables that Kubernetes gives each container for the Services of its namespace.

One for a Service named ``redis`` is ``REDIS_PORT=tcp://10.0.0.7:6379``: the name of a setting,
and nobody's setting (kubernetes.io/docs/concepts/services-networking/service, "Environment
variables").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_PLACE = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")
_PORT = re.compile(r"[A-Z0-9_]+_PORT")
_OTHERS = re.compile(
    r"[A-Z0-9_]+_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)


def without(given: Mapping[str, str], used: Collection[str]) -> dict[str, str]:
    """Return variables without those of Kubernetes.

    :param used: settings that matter: of these, its own stay, to be refused by name. The port to
        listen on has a default, and so is none of them.
    """
    return {
        name: text
        for name, text in given.items()
        if name in used or not (_PORT.fullmatch(name) and _PLACE.fullmatch(text))
    }


def is_its_own(name: str) -> bool:
    """Return whether it is the name of one that is no setting."""
    return _OTHERS.fullmatch(name) is not None


def hint(name: str, text: str) -> str | None:
    """Return what to say of a setting whose value is from Kubernetes; ``None``: it is not."""
    if not (_PORT.fullmatch(name) and _PLACE.fullmatch(text)):
        return None
    service = name.removesuffix("_PORT").lower().replace("_", "-")
    return (
        f"{name}: {text!r} is set by Kubernetes, for a Service named '{service}'. Set {name} in "
        "the container, or enableServiceLinks: false in the pod."
    )
