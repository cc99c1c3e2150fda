"""What a service in front of an origin is told: its settings, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cacheapi.responses.addresses import BadAddress, Base
from cacheapi.responses.messages import Fields, Stored
from cacheapi.responses.policy import DEFAULT, Policy
from cacheapi.responses.storing import sets_own_cookies


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a service in front of an origin.

    :ivar base: where the origin is.
    :ivar is_on: whether anything is stored, or served from what is.
    :ivar policy: what holds where the origin states nothing.
    :ivar headers: fields to send with each request, in place of a client's own.
    :ivar key_headers: fields that part the answers of a URL, beside those of its ``Vary``.
    :ivar sort_query: whether the order of parameters counts for nothing.
    :ivar ignore_params: names of parameters that are left out; ``*`` stands for any text.
    :ivar cookies: names of cookies that reach the origin, and part its answers.
    :ivar authorization: whether a client's ``Authorization`` reaches the origin.
    :ivar methods: those that are passed on; empty: all.
    :ivar connect_seconds: the longest wait for a connection.
    :ivar read_seconds: the longest wait for the head of an answer, and each piece of its body.
    :ivar max_body: the largest body to store, in bytes.
    :ivar ignores_codings: whether an unknown ``Transfer-Encoding`` says nothing; else it is 502.
    :ivar local_seconds: how long a worker may serve a copy of its own without a look at the store.
    :ivar pass_when_down: whether the origin is asked while the cache is down; else it is 503.
    """

    base: Base
    is_on: bool = True
    policy: Policy = DEFAULT
    headers: Fields = dataclasses.field(default=(), repr=False)
    key_headers: tuple[str, ...] = ()
    sort_query: bool = False
    ignore_params: tuple[str, ...] = ()
    cookies: frozenset[str] = frozenset()
    authorization: bool = False
    methods: frozenset[str] = frozenset()
    connect_seconds: float = 3.0
    read_seconds: float = 30.0
    max_body: int = 8 * 1024 * 1024
    local_seconds: float = 0.0
    pass_when_down: bool = True
    ignores_codings: bool = False

    @property
    def parting(self) -> tuple[str, ...]:
        """The fields that part the answers of a URL whatever its ``Vary`` says."""
        return (*self.key_headers, *(("cookie",) if self.cookies else ()))

    def counts(self, stored: Stored) -> bool:
        """Return whether what is stored may be served to whom it fits.

        It may have been stored by settings that parted answers by less, or that took a cookie for
        nobody's own.
        """
        return set(self.parting) <= set(stored.vary) and not sets_own_cookies(
            stored.fields, self.policy
        )


def config_of(values: Mapping[str, Any]) -> Config:
    """Return the settings of a service.

    :param values: those of :data:`~cacheapi.responses.options.OPTIONS`, parsed, by their names.
    :raises BadAddress: there is no base URL.
    """
    if not values["base_url"]:
        raise BadAddress("It must be given.")
    return Config(
        base=values["base_url"],
        is_on=values["cache_enabled"],
        policy=Policy(
            ttl=values["cache_ttl"],
            stale_while_revalidate=values["stale_while_revalidate"],
            stale_if_error=values["stale_if_error"],
            cookies=values["shared_cookies"],
        ),
        headers=(*values["headers"], *values["secret_headers"]),
        key_headers=tuple(values["key_headers"]),
        sort_query=values["sort_query"],
        ignore_params=tuple(values["ignore_params"]),
        cookies=values["cookies"],
        authorization=values["forward_authorization"],
        methods=frozenset(values["methods"]),
        connect_seconds=values["connect_timeout_ms"] / 1000,
        read_seconds=values["read_timeout_ms"] / 1000,
        max_body=values["max_body_kb"] * 1024,
        local_seconds=values["local_ms"] / 1000,
        pass_when_down=values["when_cache_down"] == "pass",
        ignores_codings=values["when_coding_unknown"] == "ignore",
    )
