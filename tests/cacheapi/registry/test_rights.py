"""What an API key may do: the code against a model that asks every key."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.registry.rights import FLUSH, VERBS, Caller, Rule

# Prefixes are of two letters; the third stands for whatever else a key may go on with.
LETTERS = "abc"
KEYS = [
    "".join(letters) for length in range(5) for letters in itertools.product(LETTERS, repeat=length)
]

prefixes = st.text("ab", max_size=3)
names = st.sampled_from(["one", "two", "*"])
rules = st.builds(Rule, names, st.frozensets(st.sampled_from(["GET", "POST"])), prefixes)


def caller(*given_rules: Rule, **more: object) -> Caller:
    return Caller(b"", "test", rules=given_rules, **more)


def model(given_rules: list[Rule], verb: str, service: str, key: str) -> bool:
    exact = [rule for rule in given_rules if rule.service == service]
    every = [rule for rule in given_rules if rule.service == "*"]
    for rule in exact + every:
        if key[: len(rule.prefix)] == rule.prefix:
            return verb in rule.verbs
    return False


@given(st.lists(rules, max_size=6), st.sampled_from(["one", "two", "three"]))
def test_one_key(given_rules: list[Rule], service: str) -> None:
    made = caller(*given_rules)
    for verb in ("GET", "POST", "DELETE"):
        for key in KEYS:
            assert made.may(verb, service, key) == model(given_rules, verb, service, key)


@given(st.lists(rules, max_size=6), st.sampled_from(["one", "two", "three"]), prefixes)
def test_all_keys_with_a_prefix(given_rules: list[Rule], service: str, prefix: str) -> None:
    made = caller(*given_rules)
    for verb in ("GET", "POST"):
        each = [model(given_rules, verb, service, key) for key in KEYS if key.startswith(prefix)]
        assert made.may_all(verb, service, prefix) == all(each)


@given(st.lists(rules, max_size=6), st.sampled_from(["one", "two", "three"]))
def test_anything_at_all(given_rules: list[Rule], service: str) -> None:
    some = any(model(given_rules, verb, service, key) for verb in VERBS for key in KEYS)
    assert caller(*given_rules).may_use(service) == some


def test_an_administrator_may_everything() -> None:
    made = caller(administrator=True)
    assert made.may("DELETE", "any", "key")
    assert made.may_all(FLUSH, "any")
    assert made.may_use("any")


def test_without_rules_nothing_is_allowed() -> None:
    assert not caller().may("GET", "cache", "k")
    assert not caller().may_all("GET", "cache")
    assert not caller().may_use("cache")


def test_the_service_goes_before_every_service() -> None:
    everything = Rule("*", frozenset(VERBS))
    made = caller(everything, Rule("sessions", frozenset({"GET"})))
    assert made.may("GET", "sessions", "k")
    assert not made.may("POST", "sessions", "k")
    assert made.may("POST", "other", "k")
    assert not made.may_all(FLUSH, "sessions")
    assert made.may_all(FLUSH, "other")


def test_the_first_rule_decides() -> None:
    made = caller(Rule("s", frozenset(), "secret:"), Rule("s", frozenset({"GET"})))
    assert not made.may("GET", "s", "secret:1")
    assert made.may("GET", "s", "public:1")
    assert not made.may_all("GET", "s")
    assert made.may_all("GET", "s", "public:")


def test_flushing_is_no_part_of_deleting() -> None:
    made = caller(Rule("s", frozenset({"DELETE"})))
    assert made.may("DELETE", "s", "k")
    assert not made.may_all(FLUSH, "s")
    assert caller(Rule("s", frozenset({FLUSH}))).may_all(FLUSH, "s")


@pytest.mark.parametrize(("seconds", "expired"), [(None, False), (60, False), (-1, True)])
def test_an_end(seconds: int | None, expired: bool) -> None:
    expires = None if seconds is None else time.time() + seconds
    assert caller(expires=expires).is_expired() is expired
