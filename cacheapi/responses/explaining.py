"""What is stored of a URL, and why it is served or not, for a person."""

from __future__ import annotations

from typing import Any

from cacheapi.responses.config import Config
from cacheapi.responses.deciding import Hit, decide
from cacheapi.responses.engine import target_of
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Fields, Request
from cacheapi.responses.store import Store


def explain(
    config: Config, store: Store, path: bytes, query: bytes, fields: Fields, now: float
) -> dict[str, Any]:
    """Describe what is stored of a URL; blocks as the store does.

    :param path: below the service's, percent-encoded; empty, or with a slash first.
    :param fields: of a GET that asks for it, as the origin would see them.
    :return: ``url``, ``decision`` and ``why`` for such a GET, ``alone`` (seconds for which
        fetches are not waited for), and ``variants``, newest first: ``status``, ``age``,
        ``ttl`` (negative: stale for so long), ``rule`` (what decided the lifetime), ``vary``,
        ``tags``, ``bytes``, ``stale_while_revalidate``, ``stale_if_error``, ``is_whole``.
    :raises NoAnswer: 400; there is no such URL.
    """
    url, _ = target_of(config, path, query)
    looked = store.look(url)
    decision = decide(Request("GET", url, fields), (one.stored for one in looked.variants), now)
    variants = []
    for variant in looked.variants:
        stored = variant.stored
        age = current_age(stored, now)
        variants.append(
            {
                "status": stored.status,
                "age": int(age),
                "ttl": int(stored.lifetime - age),
                "rule": stored.rule,
                "vary": dict(zip(stored.vary, stored.selecting, strict=True)),
                "tags": list(variant.tags),
                "bytes": stored.length,
                "stale_while_revalidate": int(stored.while_revalidate),
                "stale_if_error": int(stored.if_error),
                "is_whole": store.body(variant) is not None,
            }
        )
    alone = 0.0 if looked.record is None else max(0.0, looked.record.alone_until - now)
    return {
        "url": url,
        "decision": type(decision).__name__.lower(),
        "why": "stale"
        if isinstance(decision, Hit) and decision.refresh
        else getattr(decision, "fwd", "fresh"),
        "alone": int(alone),
        "variants": variants,
    }
