"""API keys in the console: a builder of rules, the key shown once, changed, revoked."""

from __future__ import annotations

import html
import json
import logging
import re
import shlex

import pytest

from cacheapi.console import keys
from tests.cacheapi.console.conftest import Person, end_key, text_of

NASTY = "<script>alert(1)</script>"
RULE = {"rules-0-service": "cache", "rules-0-verbs": "GET", "rules-0-prefix": "user:"}


def make(person: Person, **form: object) -> str:
    """Make a key; return it."""
    answer = person.post("/new-key", "/new-key", action="save", **{"name": "web shop", **form})
    assert answer.status_code == 200, text_of(answer.text)
    found = re.search(r'id="new-key"[^>]* value="(ca_[^"]+)"', answer.text)
    assert found is not None
    return found[1]


def rules_of(page: str) -> list[str]:
    """Return the services of the rules of a form, in order."""
    return [
        re.findall(r"<option[^>]* selected>([^<]+)<", select)[0]
        for select in re.findall(r"<select.*?</select>", page, re.DOTALL)
    ]


def test_with_no_keys_the_page_says_what_to_do(person: Person) -> None:
    page = text_of(person.page("/keys"))
    assert "No API keys have been made yet. Make one" in page
    assert "one administrator key is set by the environment" in page


def test_a_key_is_shown_once_and_works(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    key = make(person, **RULE)
    assert person.call("GET", "/cache/user:1", key=key).status_code == 404
    assert person.call("GET", "/cache/other", key=key).status_code == 403
    assert person.call("DELETE", "/cache/user:1", key=key).status_code == 403
    page = person.page("/keys")
    assert key not in page
    assert f"{key[:9]}…" in page
    assert "cache user:* GET" in text_of(page)
    assert key not in person.page("/key/1")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ['API key "CACHEAPI_API_KEY" created API key 1 "web shop"']
    assert key not in caplog.text


def test_all_that_a_key_can_have(person: Person) -> None:
    key = make(
        person,
        **RULE,
        **{
            "rules-7-service": "*",
            "rules-7-verbs": ["GET", "POST", "FLUSH"],
            "rules-7-prefix": "",
            "expires": "2099-01-31T12:00",
            "requests": "1000",
            "seconds": "",
        },
    )
    assert person.call("GET", "/cache/user:1", key=key).status_code == 404
    shown = person.call("GET", "/system/api_key/1").json
    assert shown["rules"] == [
        {"service": "cache", "verbs": ["GET"], "keys": "user:*"},
        {"service": "*", "verbs": ["GET", "POST", "FLUSH"], "keys": "*"},
    ]
    assert shown["expires"] == "2099-01-31T12:00:00Z"
    assert shown["rate_limit"] == {"requests": 1000, "seconds": 60}
    page = person.page("/key/1")
    assert 'value="2099-01-31T12:00:00"' in page
    assert 'name="requests" inputmode="numeric" value="1000"' in page
    listed = text_of(person.page("/keys"))
    assert "every service GET POST FLUSH" in listed
    assert "1 000 in 60 s" in listed
    assert "2099-01-31 12:00 UTC" in listed


def test_an_administrator_may_come_in(person: Person) -> None:
    key = make(person, administrator="yes")
    other = Person(person.app)
    assert other.sign_in(key).status_code == 303
    assert "administrator: everything" in text_of(other.page("/keys"))
    # Who revokes the own key is out.
    assert other.post("/key/1/revoke", "/key/1").status_code == 303
    assert other.get("/keys").status_code == 303


@pytest.mark.parametrize(
    ("form", "field", "message"),
    [
        ({"name": ""}, "f-name", "Give it a name."),
        ({"name": "a\tb\x00c"}, "f-name", "printable"),
        ({"requests": "many"}, "f-rate_limit", "Type two whole numbers"),
        ({"requests": "0"}, "f-rate_limit", "1 to 1000000000 requests"),
        ({"seconds": "5"}, "f-rate_limit", "requests, in 1 to 86400 seconds."),
        ({"expires": "soon"}, "f-expires", "It must be a time"),
        ({**RULE, "rules-0-verbs": "FLUSH"}, "f-rules", "A rule is wrong"),
        ({**RULE, "rules-0-service": "No Name"}, "f-rules", "A rule is wrong"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    person: Person, form: dict[str, str], field: str, message: str
) -> None:
    answer = person.post(
        "/new-key", "/new-key", action="save", **{"name": "web shop", **RULE, **form}
    )
    assert answer.status_code == 400
    told = re.search(rf'id="e-{field}"[^>]*>([^<]+)<', answer.text)
    assert told is not None
    assert message in html.unescape(told[1])
    assert "user:" in answer.text
    assert person.call("GET", "/system/api_key").json["resource"] == []


def test_a_wrong_rule_says_what_is_wrong(person: Person) -> None:
    form = {**RULE, "rules-1-service": "cache", "rules-1-verbs": "FLUSH", "rules-1-prefix": "u"}
    answer = person.post("/new-key", "/new-key", action="save", name="n", **form)
    assert "FLUSH is of all keys; leave keys out." in text_of(answer.text)


def test_rules_are_added_moved_and_removed(person: Person) -> None:
    page = person.page("/new-key")
    assert rules_of(page) == ["every service"]
    form = {
        "name": "half typed",
        **{f"rules-{number}-service": name for number, name in enumerate(["cache", "local", "*"])},
    }
    for action, order in (
        ("add", ["cache", "local", "every service", "every service"]),
        ("up:1", ["local", "cache", "every service"]),
        ("up:0", ["cache", "local", "every service"]),
        ("down:0", ["local", "cache", "every service"]),
        ("down:2", ["cache", "local", "every service"]),
        ("remove:1", ["cache", "every service"]),
    ):
        answer = person.post("/new-key", "/new-key", action=action, **form)
        assert answer.status_code == 200
        assert rules_of(answer.text) == order, action
        assert 'value="half typed"' in answer.text
    assert person.call("GET", "/system/api_key").json["resource"] == []


@pytest.mark.parametrize("action", ["remove:9", "up:x", "down:-1", "explode:0", f"up:{'9' * 5000}"])
def test_a_button_that_there_is_not_saves_what_is_right(person: Person, action: str) -> None:
    answer = person.post("/new-key", "/new-key", action=action, name="n", **RULE)
    assert "Note the key now" in answer.text


def test_a_key_is_changed(person: Person) -> None:
    key = make(person, **RULE)
    moved = person.post("/key/1", "/key/1", action="add", name="n", **RULE)
    assert len(rules_of(moved.text)) == 2
    page = person.done(
        "/key/1", "/key/1", action="save", name="other", **{**RULE, "rules-0-prefix": "other:*"}
    )
    assert "The API key other is saved." in text_of(page)
    assert person.call("GET", "/cache/other:1", key=key).status_code == 404
    assert person.call("GET", "/cache/user:1", key=key).status_code == 403
    wrong = person.post("/key/1", "/key/1", action="save", name="")
    assert wrong.status_code == 400
    person.done("/key/1", "/key/1", action="save", name="other")
    assert "nothing" in text_of(person.page("/keys"))
    assert "No rules: it may do nothing." in text_of(person.page("/key/1"))


def test_hundreds_of_rules_are_saved(person: Person) -> None:
    # A script sends the parts one by one.
    form = {
        f"rules-{number}-{field}": value
        for number in range(300)
        for field, value in (("service", "*"), ("prefix", f"{number}:"))
    }
    verbs = {f"rules-{number}-verbs": ["GET", "POST", "PUT", "DELETE"] for number in range(300)}
    fields = {"csrf_token": person.token("/new-key"), "name": "n", "action": "save"}
    answer = person.browser.post(
        "/console/new-key", data={**fields, **form, **verbs}, content_type="multipart/form-data"
    )
    assert answer.status_code == 200
    assert len(person.call("GET", "/system/api_key/1").json["rules"]) == 300


def test_a_rule_for_a_service_that_is_gone_stays(person: Person) -> None:
    make(person, **{**RULE, "rules-0-service": "gone"})
    assert rules_of(person.page("/key/1")) == ["gone"]


def test_a_key_is_revoked(person: Person) -> None:
    key = make(person, **RULE)
    page = person.done("/key/1/revoke", "/key/1")
    assert "The API key web shop is revoked." in text_of(page)
    assert person.call("GET", "/cache/user:1", key=key).status_code == 401
    assert person.get("/key/1").status_code == 404
    assert person.post("/key/1/revoke").status_code == 404


def test_an_expired_key_is_marked(person: Person) -> None:
    answer = person.post(
        *("/new-key", "/new-key"), action="save", name="n", **RULE, expires="2020-01-01T00:00:00"
    )
    assert answer.status_code == 400
    text = text_of(answer.text)
    assert "2020-01-01T00:00:00Z is over" in text
    # There is no null in a form.
    assert "Give a time to come, or leave it empty for a key that never expires;" in text
    make(person, **RULE)
    assert "has expired" not in person.page("/key/1")
    end_key(person.app, 1)
    assert "expired 2020-01-01 00:00 UTC" in text_of(person.page("/keys"))
    assert "This key has expired: who shows it is refused." in person.page("/key/1")


def test_names_are_words_and_no_markup(person: Person) -> None:
    make(person, name=NASTY, **{**RULE, "rules-0-prefix": NASTY})
    for path in ("/keys", "/key/1"):
        page = person.page(path)
        assert "<script>alert" not in page
        assert NASTY in html.unescape(page)


def test_many_keys_come_in_pages_and_are_found_by_name(person: Person) -> None:
    many = [{"name": f"shop {number}", "rules": []} for number in range(120)]
    assert person.call("POST", "/system/api_key", {"resource": many}).status_code == 201
    page = person.page("/keys")
    assert "shop 99<" in page
    assert "shop 100<" not in page
    assert "120 in all" in text_of(page)
    (following,) = re.findall(r'href="/console(/keys\?[^"]+)">Next page', page)
    second = person.page(html.unescape(following))
    assert "shop 100<" in second
    assert "First page" in second
    assert "Next page" not in second
    found = text_of(person.page("/keys", search="SHOP 11"))
    assert "11 found" in found
    assert "shop 112" in found
    assert "shop 12 " not in found
    assert "No API key has “none &lt;such” in its name." in person.page(
        "/keys", search="none <such"
    )


def test_many_services_come_in_pages_the_system_cache_first(person: Person) -> None:
    many = [{"name": f"a{number:02}", "type": "cache_local"} for number in range(30)]
    assert person.call("POST", "/system/service", {"resource": many}).status_code == 201
    page = text_of(person.page("/"))
    assert page.index("System cache") < page.index("a00")
    assert "a23" in page
    assert "a24" not in page
    (following,) = re.findall(r'href="/console(/\?[^"]+)">Next page', person.page("/"))
    second = text_of(person.page(html.unescape(following)))
    assert "a24" in second
    assert second.count("System cache") == 0
    found = text_of(person.page("/", search="A1"))
    assert "10 found" in found
    assert "System cache" not in found
    assert "System cache" in text_of(person.page("/", search="cache"))
    assert "No service has “none such” in its name or label." in person.page(
        "/", search="none such"
    )


def test_of_many_services_the_name_of_one_is_typed(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHOICES", 0)
    page = person.page("/new-key")
    assert "<select" not in page
    assert re.search(r'<input id="rule-0-service" name="rules-0-service" value="\*"', page)
    key = make(person, **RULE)
    assert person.call("GET", "/cache/user:1", key=key).status_code == 404
    assert 'value="cache"' in person.page("/key/1")


def lines_of(person: Person, **form: object) -> str:
    answer = person.post("/new-key", "/new-key", action="save", name="web shop", **form)
    found = re.search(r'<textarea id="first-lines"[^>]*>([^<]*)<', answer.text)
    return "" if found is None else html.unescape(found[1])


def test_the_first_request_is_one_that_the_key_may(person: Person) -> None:
    key, read = lines_of(person, **RULE).splitlines()
    assert key.startswith("KEY='ca_")
    assert read.startswith("curl http://localhost/api/v2/cache/user:hello -H ")
    nasty = {**RULE, "rules-0-prefix": 'it\'s "$x" ', "rules-0-verbs": ["GET", "POST"]}
    _, store, read = lines_of(person, **nasty).splitlines()
    body = json.loads(shlex.split(store)[-1])
    assert body["resource"][0]["key"] == 'it\'s "$x" hello'
    assert shlex.split(read)[1].endswith("/cache/it%27s%20%22%24x%22%20hello")
    assert len(lines_of(person, administrator="yes").splitlines()) == 3
    assert lines_of(person, **{**RULE, "rules-0-verbs": "FLUSH", "rules-0-prefix": ""}) == ""
    assert lines_of(person) == ""


def test_the_first_request_to_an_api_reads(person: Person) -> None:
    body = {"name": "shop", "type": "rws", "config": {"base_url": "http://127.0.0.1:9/v1"}}
    assert person.call("POST", "/system/service", body).status_code == 201
    rule = {**RULE, "rules-0-service": "shop", "rules-0-verbs": ["GET", "POST"]}
    _, read = lines_of(person, **rule).splitlines()
    assert shlex.split(read)[1] == "http://localhost/api/v2/shop/user:"
    assert "curl http://localhost/api/v2/shop/ -H" in text_of(person.page("/service/shop"))
