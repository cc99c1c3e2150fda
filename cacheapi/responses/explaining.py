"""What is stored of a URL, and why it is served or not, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cacheapi.responses.asking import Incoming, asked_of
from cacheapi.responses.config import Config
from cacheapi.responses.deciding import Hit, decide
from cacheapi.responses.entries import Variant
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Fields, Request, Stored
from cacheapi.responses.store import Store
from cacheapi.responses.telling import told


class NotAsked(ValueError):
    """What was typed is no URL or header field; ``str()`` says what is wrong."""


def fields_of(lines: Iterable[str]) -> Fields:
    """Return the fields of a request that a person has typed, ``Name: value`` a line.

    :raises NotAsked: a line is no field.
    """
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise NotAsked(f"A header is 'Name: value', and not {line!r}.")
        fields.append((name.strip().lower(), value.strip()))
    return tuple(fields)


def url_of(config: Config, mount: str, text: str) -> tuple[bytes, bytes]:
    """Return the path and query, below the service's, of a URL that a person has typed.

    :param mount: the service's path.
    :param text: as below the service, as at the service, or as at the origin.
    :raises NotAsked: it is a URL of something else.
    """
    text = text.strip()
    base = config.base.root + config.base.path
    for start in (base, mount):
        rest = text.removeprefix(start)
        if rest != text and rest[:1] in ("", "/", "?"):
            text = rest
            break
    else:
        if "://" in text.partition("?")[0]:
            raise NotAsked(f"A URL of this service is a path, or begins with {base}.")
    path, _, query = text.partition("?")
    path = path if path.startswith("/") or not path else f"/{path}"
    return path.encode(), query.encode()


def explain(
    config: Config, store: Store, path: bytes, query: bytes, fields: Fields, now: float
) -> dict[str, Any]:
    """Describe what is stored of a URL; blocks as the store does.

    :param path: below the service's, percent-encoded; empty, or with a slash first.
    :param fields: of a GET that asks for it, as a client sends them.
    :return: ``url``, ``decision`` and ``why`` for such a GET, a word each, ``told`` (both in
        sentences, and what would change it), ``alone`` (seconds for which
        fetches are not waited for), and ``variants``, newest first: ``status``, ``age``,
        ``ttl`` (negative: stale for so long), ``rule`` (what decided the lifetime), ``vary``,
        ``tags``, ``bytes``, ``stale_while_revalidate``, ``stale_if_error``, ``is_whole``.
    :raises NoAnswer: 400 or 405; there is no such URL, or the service passes on no GET.
    """
    request = asked_of(config, Incoming("GET", path, query, fields)).request
    looked = store.look(request.target)
    whole = {variant: store.body(variant) is not None for variant in looked.variants}
    decision, why, stored = _decided(config, request, whole, now)
    sentences = told(decision, why, request, stored, now)
    variants = []
    for variant, is_whole in whole.items():
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
                "is_whole": is_whole,
            }
        )
    alone = 0.0 if looked.record is None else max(0.0, looked.record.alone_until - now)
    return {
        "url": request.target,
        "decision": decision,
        "why": why,
        "told": sentences,
        "alone": int(alone),
        "variants": variants,
    }


def _decided(
    config: Config, request: Request, whole: Mapping[Variant, bool], now: float
) -> tuple[str, str, Stored | None]:
    """Return what is done about a request, why, and about what that is stored.

    :param whole: the variants that count, and whether the body of each is there.
    """
    if not config.is_on:
        return "pass", "off", None
    decision = decide(request, (one.stored for one in whole), now)
    stored = getattr(decision, "stored", None)
    if isinstance(decision, Hit):
        gone = any(one.stored is stored for one, is_whole in whole.items() if not is_whole)
        if gone:
            return "miss", "gone", stored
        if decision.refresh:
            return "hit", "stale", stored
        # One that is stale and not to be fetched anew is what the client takes.
        return "hit", "fresh" if decision.ttl > 0 else "request", stored
    # What wants no request to the API says so itself.
    return type(decision).__name__.lower(), getattr(decision, "fwd", "request"), stored
