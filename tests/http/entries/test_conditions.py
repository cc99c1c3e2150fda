"""Conditional requests: ETag, If-None-Match, If-Match, and writers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.http.client import ALL, Answer, Api, entry

WRITES: dict[str, Callable[[], tuple[str, Any]]] = {
    "PUT": lambda: ("PUT", {"value": 2}),
    "PATCH ttl": lambda: ("PATCH", {"ttl": 500}),
    "PATCH increment": lambda: ("PATCH", {"increment": 1}),
    "DELETE": lambda: ("DELETE", None),
}
every_write = pytest.mark.parametrize("write", WRITES)


def change(api: Api, write: str, **headers: str) -> Answer:
    method, body = WRITES[write]()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call(method, entry("k"), named, body)


def test_every_answer_of_one_value_has_its_strong_etag(api: Api) -> None:
    answers = [
        api.call("POST", entry("k"), body={"value": 1}),
        api.call("GET", entry("k")),
        api.call("HEAD", entry("k")),
        api.call("PUT", entry("k"), body={"value": 1}),
        api.call("PATCH", entry("k"), body={"ttl": 60}),
        api.call("PATCH", entry("k"), body={"increment": 0}),
        api.call("GET", entry("k"), query="check_exist=true"),
        api.call("GET", entry("k"), query="clear=true"),
    ]
    tags = {answer.headers["ETag"] for answer in answers}
    assert len(tags) == 1
    (tag,) = tags
    assert tag.startswith('"')
    assert tag.endswith('"')


def test_different_values_have_different_etags(api: Api) -> None:
    values = [None, False, 0, "", [], {}, "0", 1, "null", [0], {"a": 0}]
    tags = set()
    for value in values:
        api.store_one("k", value)
        tags.add(api.etag("k"))
    assert len(tags) == len(values)


def test_base64_of_bytes_and_the_same_text_have_different_etags(api: Api) -> None:
    api.store.plant("bytes", b"\xff\xfe")
    api.store_one("text", api.value("bytes"))
    assert api.etag("bytes") != api.etag("text")


def test_equal_values_under_two_keys_have_equal_etags(api: Api) -> None:
    api.store_one("a", [1, 2])
    api.store_one("b", [1, 2])
    assert api.etag("a") == api.etag("b")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*", '{}, "other"'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reader_that_has_the_value_gets_304(api: Api, method: str, form: str) -> None:
    api.store_one("k", "v")
    tag = api.etag("k")
    answer = api.call(method, entry("k"), {"If-None-Match": form.format(tag)})
    assert answer.status == 304
    assert answer.body == b""
    assert answer.headers["ETag"] == tag
    assert "Content-Type" not in answer.headers


def test_a_reader_with_an_old_value_gets_the_new_one(api: Api) -> None:
    api.store_one("k", 1)
    old = api.etag("k")
    api.store_one("k", 2)
    answer = api.call("GET", entry("k"), {"If-None-Match": old})
    assert (answer.status, answer.json["value"]) == (200, 2)


def test_a_conditional_read_of_an_absent_key_is_404(api: Api) -> None:
    assert api.call("GET", entry("k"), {"If-None-Match": '"x"'}).status == 404
    assert api.call("GET", entry("k"), {"If-None-Match": "*"}).status == 404


def test_if_match_on_a_read(api: Api) -> None:
    api.store_one("k", 1)
    assert api.call("GET", entry("k"), {"If-Match": api.etag("k")}).status == 200
    assert api.call("GET", entry("k"), {"If-Match": '"other"'}).status == 412


def test_a_conditional_take_deletes_only_the_value_that_is_meant(api: Api) -> None:
    api.store_one("k", 1)
    tag = api.etag("k")
    refused = api.call("GET", entry("k"), {"If-Match": '"other"'}, query="clear=true")
    assert refused.status == 412
    assert api.value("k") == 1
    taken = api.call("GET", entry("k"), {"If-Match": tag}, query="clear=true")
    assert (taken.status, taken.json["value"]) == (200, 1)
    assert api.status("k") == 404


@every_write
def test_a_write_with_the_right_tag_is_done(api: Api, write: str) -> None:
    api.store_one("k", 1)
    answer = change(api, write, If_Match=api.etag("k"))
    assert answer.status == 200, answer
    if write == "DELETE":
        assert api.status("k") == 404
    else:
        assert api.value("k") == (1 if write == "PATCH ttl" else 2)
        assert answer.headers["ETag"] == api.etag("k")


@every_write
@pytest.mark.parametrize("form", ['"other"', "W/{}", '"a", "b"'])
def test_a_write_with_the_wrong_tag_is_412_and_changes_nothing(
    api: Api, write: str, form: str
) -> None:
    api.store_one("k", 1, ttl=100)
    answer = change(api, write, If_Match=form.format(api.etag("k")))
    assert answer.status == 412
    assert answer.message
    assert api.value("k") == 1
    assert api.store.lifetime("k") == pytest.approx(100, abs=30)


@every_write
@pytest.mark.parametrize("form", ['"any"', "*"])
def test_if_match_on_an_absent_key_is_412(api: Api, write: str, form: str) -> None:
    assert change(api, write, If_Match=form).status == 412
    assert api.status("k") == 404


@every_write
def test_any_tag_matches_what_is_there(api: Api, write: str) -> None:
    api.store_one("k", 1)
    assert change(api, write, If_Match="*").status == 200


@every_write
def test_a_write_that_wants_no_value_there_is_412_if_there_is_one(api: Api, write: str) -> None:
    api.store_one("k", 1)
    assert change(api, write, If_None_Match="*").status == 412
    assert api.value("k") == 1


@every_write
def test_a_write_that_wants_another_value_there_is_done(api: Api, write: str) -> None:
    api.store_one("k", 1)
    assert change(api, write, If_None_Match='"other"').status == 200


def test_put_with_if_none_match_creates_only(api: Api) -> None:
    created = change(api, "PUT", If_None_Match="*")
    assert (created.status, created.json) == (200, {"key": "k", "success": True})
    assert created.headers["ETag"] == api.etag("k")
    again = api.call("PUT", entry("k"), {"If-None-Match": "*"}, {"value": 3})
    assert again.status == 412
    assert api.value("k") == 2


def test_counting_with_if_none_match_creates_only(api: Api) -> None:
    body = {"increment": 1, "initial": 7, "ttl": 500}
    created = api.call("PATCH", entry("k"), {"If-None-Match": "*"}, body)
    assert (created.status, created.json) == (200, {"key": "k", "value": 7})
    assert api.call("PATCH", entry("k"), {"If-None-Match": "*"}, body).status == 412
    assert api.value("k") == 7


@pytest.mark.parametrize("headers", [{"If-Match": '"x"'}, {"If-Match": "*"}])
def test_a_creation_that_wants_a_value_there_is_412(api: Api, headers: dict[str, str]) -> None:
    assert api.call("POST", entry("k"), headers, {"value": 1}).status == 412
    assert api.status("k") == 404


def test_a_creation_that_wants_no_value_there(api: Api) -> None:
    headers = {"If-None-Match": "*"}
    assert api.call("POST", entry("k"), headers, {"value": 1}).status == 201
    assert api.call("POST", entry("k"), headers, {"value": 2}).status == 412
    assert api.value("k") == 1


def test_a_creation_with_a_wrong_tag_is_412_before_it_is_400(api: Api) -> None:
    api.store_one("k", 1)
    assert api.call("POST", entry("k"), {"If-Match": '"other"'}, {"value": 2}).status == 412


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_creation_whose_condition_is_met_is_400_on_an_existing_key(api: Api, header: str) -> None:
    api.store_one("k", 1)
    tag = api.etag("k") if header == "If-Match" else '"other"'
    answer = api.call("POST", entry("k"), {header: tag}, {"value": 2})
    assert answer.status == 400
    assert "exists already" in answer.message
    assert api.value("k") == 1


def test_a_conditional_count_takes_the_lifetime_of_its_body(api: Api) -> None:
    api.store_one("k", 1, ttl=100)
    body = {"increment": 1, "ttl": 5000}
    assert api.call("PATCH", entry("k"), {"If-Match": api.etag("k")}, body).json["value"] == 2
    assert api.store.lifetime("k") == pytest.approx(5000, abs=30)


def test_a_conditional_count_on_no_number_is_refused(api: Api) -> None:
    api.store_one("k", "text")
    answer = api.call("PATCH", entry("k"), {"If-Match": api.etag("k")}, {"increment": 1})
    assert answer.status == 400
    assert "number" in answer.message


@pytest.mark.parametrize("value", [[1], "5", 1.5, True, " 7 ", "1_0", "٣"])
@pytest.mark.parametrize("condition", ["without a condition", "with a condition"])
def test_counting_is_refused_alike_with_and_without_a_condition(
    api: Api, value: Any, condition: str
) -> None:
    api.store_one("k", value)
    headers = {"If-Match": api.etag("k")} if condition == "with a condition" else {}
    answer = api.call("PATCH", entry("k"), headers, {"increment": 1})
    assert answer.status == 400
    assert api.value("k") == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("file_app", b"1_000"),
        ("file_app", b"+5"),
        ("file_app", "٣".encode()),
        ("memcached_app", b"1_000"),
        ("memcached_app", "٣".encode()),
        ("redis_app", b"1_000"),
        ("redis_app", b"+5"),
        ("redis_app", "٣".encode()),
    ],
)
def test_foreign_text_that_only_python_reads_as_a_number_is_not_counted(
    request: pytest.FixtureRequest, kind: str, text: bytes
) -> None:
    api: Api = request.getfixturevalue(kind)
    api.store.plant("k", text)
    for headers in ({}, {"If-Match": api.etag("k")}):
        assert api.call("PATCH", entry("k"), headers, {"increment": 1}).status == 400


@pytest.mark.parametrize("driver", ["file", "memcached", "redis"])
def test_a_conditional_count_past_the_highest_number_is_refused(
    request: pytest.FixtureRequest, driver: str
) -> None:
    api: Api = request.getfixturevalue(f"{driver}_app")
    largest = 2**63 - 1
    api.store_one("k", largest)
    answer = api.call("PATCH", entry("k"), {"If-Match": api.etag("k")}, {"increment": 1})
    assert answer.status == 400
    assert api.value("k") == largest


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    """Make calls at the same time and return the answers in order."""
    answers: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index: int) -> None:
        start.wait()
        answers[index] = calls[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_of_writers_at_once_exactly_one_wins_each_tag(api: Api, method: str) -> None:
    api.store_one("k", 0)
    for step in range(1, 6):
        headers = {"If-Match": api.etag("k")}
        amounts = [step * 100 + writer for writer in range(6)]
        bodies = [{"value" if method == "PUT" else "increment": amount} for amount in amounts]
        calls = [partial(api.call, method, entry("k"), headers, body) for body in bodies]
        answers = at_once(calls)
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] + [412] * 5
        winner = next(answer for answer in answers if answer.status == 200)
        assert winner.headers["ETag"] == api.etag("k")


def test_of_creators_at_once_exactly_one_wins(api: Api) -> None:
    for number in range(5):
        path = entry(f"k{number}")
        calls = [partial(api.call, "POST", path, body={"value": writer}) for writer in range(6)]
        assert sorted(answer.status for answer in at_once(calls)) == [201] + [400] * 5


def test_of_takers_at_once_exactly_one_gets_the_value(api: Api) -> None:
    for number in range(5):
        api.store_one(f"k{number}", number)
        calls = [partial(api.call, "GET", entry(f"k{number}"), query="clear=true")] * 6
        assert sorted(answer.status for answer in at_once(calls)) == [200] + [404] * 5


def test_of_conditional_deleters_at_once_exactly_one_wins(api: Api) -> None:
    for number in range(5):
        api.store_one(f"k{number}", number)
        headers = {"If-Match": api.etag(f"k{number}")}
        calls = [partial(api.call, "DELETE", entry(f"k{number}"), headers)] * 6
        assert sorted(answer.status for answer in at_once(calls)) == [200] + [412] * 5


def test_counts_at_once_are_all_counted(api: Api) -> None:
    body = {"increment": 1, "initial": 1}
    calls = [lambda: api.call("PATCH", entry("n"), body=body)] * 12
    answers = at_once(calls)
    assert sorted(answer.json["value"] for answer in answers) == list(range(1, 13))
    assert api.value("n") == 12


# Where there are none, and what counts as none

NOWHERE = [
    ("POST", "", {"key": "new", "value": 1}),
    ("GET", "", None),
    ("GET", "?keys=k", None),
    ("DELETE", "?keys=k", None),
    ("DELETE", "", {"resource": ["k"]}),
    ("DELETE", "", None),
    ("DELETE", "?prefix=k", None),
]
MALFORMED = ["", "nonsense", '"', "W/*", '"a" "b"', '*, "a"']


@pytest.mark.parametrize(("method", "query", "body"), NOWHERE, ids=lambda part: str(part)[:20])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("tag", ['"nonsense"', "*", ""])
def test_a_condition_on_what_takes_none_is_400_and_nothing_happens(
    file_api: Api, method: str, query: str, body: Any, header: str, tag: str
) -> None:
    file_api.store_one("k", 1)
    answer = file_api.call(method, f"{ALL}{query}", {header: tag}, body)
    assert answer.status == 400
    assert header in answer.message
    assert "/api/v2/{service}/{key}" in answer.message
    assert file_api.value("k") == 1
    assert file_api.status("new") == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("tag", MALFORMED)
def test_a_malformed_condition_is_400_and_nothing_happens(
    file_api: Api, method: str, header: str, tag: str
) -> None:
    file_api.store_one("k", 1)
    body = {"PATCH": {"ttl": 5}, "POST": {"value": 2}, "PUT": {"value": 2}}.get(method)
    for key in ("k", "new") if method not in ("GET", "HEAD") else ("k",):
        answer = file_api.call(method, entry(key), {header: tag}, body)
        assert answer.status == 400
        assert method == "HEAD" or header in answer.message
    assert file_api.value("k") == 1
    assert file_api.status("new") == 404


def test_a_condition_on_the_services_themselves_is_400(file_api: Api) -> None:
    fields = {"name": "made", "type": "cache_local"}
    path = "/api/v2/system/service"
    assert file_api.call("POST", path, {"If-None-Match": "*"}, fields).status == 400
    assert file_api.call("GET", f"{path}/made").status == 404


@pytest.mark.parametrize("form", ['W/"{}"', '"{}-gzip"', '"{}--gzip"', '"{};gzip"', 'W/"{}-gzip"'])
def test_a_tag_that_a_proxy_changed(api: Api, form: str) -> None:
    api.store_one("k", 1)
    changed = form.format(api.etag("k").strip('"'))
    answer = api.call("GET", entry("k"), {"If-None-Match": changed})
    assert (answer.status, answer.headers["ETag"]) == (304, api.etag("k"))
    assert "no-transform" in answer.headers["Cache-Control"]
    refused = api.call("PUT", entry("k"), {"If-Match": changed}, {"value": 2})
    assert refused.status == 412
    assert "changed on its way" in refused.message
    assert api.value("k") == 1
