"""The audit log: who changed which service or API key, or flushed one. No line holds a secret."""

from __future__ import annotations

import json
import logging

from cacheapi.registry.rights import Caller

log = logging.getLogger("cacheapi.audit")


def note(caller: Caller, action: str, kind: str, number: int | None, name: str) -> None:
    """Write a line: the caller, then what was done to what.

    :param action: a verb in the past: ``created``, ``changed``, ``deleted``, ``flushed``.
    """
    if caller.number is not None:
        who = f"API key {caller.number}"
    else:
        # Who works at the machine itself shows no key.
        who = "key of the environment" if caller.digest else "command line"
    what = kind if number is None else f"{kind} {number}"
    # As JSON, so that no name can end the line or pretend to be another field.
    log.info("%s %s %s %s %s", who, json.dumps(caller.name), action, what, json.dumps(name))
