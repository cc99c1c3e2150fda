"""Who gets in, how long, and what a session is worth elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cacheapi.console import session as sessions
from cacheapi.console import sign_in
from cacheapi.registry.rights import Rate
from cacheapi.registry.sessions import end
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import KEY, Person, end_key, make_app, text_of

PAGES = (
    *("/", "/new-service", "/new-service?type=cache_memcached", "/service/cache"),
    *("/service/cache/state", "/service/cache/edit", "/keys", "/new-key", "/key/1", "/nowhere"),
)
FORMS = (
    *("/new-service?type=cache_local", "/service/cache/edit", "/service/cache/switch"),
    *("/service/cache/delete", "/service/cache/key?key=k", "/service/cache/delete-key?key=k"),
    *("/service/cache/flush", "/new-key", "/key/1", "/key/1/revoke", "/sign-out"),
)

BARE = (
    "This is cacheapi: a cache is at /api/v2/{service}, its API page at /api/v2/docs, its console "
    "at /console."
)


def cookie(person: Person):
    return person.browser.get_cookie(sessions.NAME, path="/console")


def test_an_administrator_signs_in_and_out(stranger: Person) -> None:
    answer = stranger.sign_in()
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    assert "System cache" in stranger.page("/")
    assert stranger.get("/sign-in").status_code == 303
    stranger.done("/sign-out")
    assert stranger.get("/").status_code == 303


def test_a_stolen_cookie_is_worth_nothing_after_signing_out(stranger: Person) -> None:
    stranger.sign_in()
    thief, other = Person(stranger.app), Person(stranger.app)
    stolen = cookie(stranger)
    thief.browser.set_cookie(sessions.NAME, stolen.value, path="/console")
    assert thief.get("/").status_code == 200
    other.sign_in()
    stranger.done("/sign-out")
    thief.browser.set_cookie(sessions.NAME, stolen.value, path="/console")
    assert thief.get("/").status_code == 303
    # Nor in another process, or after a restart.
    registry = stranger.app.extensions[EXTENSION]
    again = Person(make_app(registry.data_dir))
    again.browser.set_cookie(sessions.NAME, stolen.value, path="/console")
    assert again.get("/").status_code == 303
    again.app.extensions[EXTENSION].close()
    # Who else is signed in stays so.
    assert other.get("/").status_code == 200


def test_ended_sessions_are_forgotten_when_they_would_be_over(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = stranger.app.extensions[EXTENSION]
    for _ in range(2):
        stranger.sign_in()
        stranger.done("/sign-out")
    assert len(registry.snapshot.ended_sessions) == 2
    late = time.time() + sessions.LIFETIME.total_seconds() + 10
    monkeypatch.setattr("cacheapi.registry.sessions.time.time", lambda: late)
    end(registry, "third", int(late) + 10)
    assert registry.snapshot.ended_sessions == {"third"}


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_every_page_asks_to_sign_in(stranger: Person, path: str) -> None:
    answer = stranger.browser.get(f"/console{path}")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/console/sign-in")


@pytest.mark.parametrize("path", FORMS)
def test_without_a_session_no_form_is_taken(stranger: Person, path: str) -> None:
    answer = stranger.browser.post(
        f"/console{path}", data={"csrf_token": stranger.token(), "confirm": "cache"}
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/console/sign-in")


def test_who_loses_what_was_sent_is_told(stranger: Person) -> None:
    said = "Your session is over, and what you sent did nothing."
    answer = stranger.post("/service/cache/key", "/sign-in", {"key": "k"}, value="1")
    assert answer.headers["Location"] == "/console/sign-in?lost=yes"
    assert said in text_of(stranger.browser.get(answer.headers["Location"]).text)
    # Who only wanted to look on has lost nothing, nor has who signed out.
    looked = stranger.get("/service/cache", key="k").headers["Location"]
    page = text_of(stranger.browser.get(looked).text)
    assert said not in page
    assert "Then comes the page that you asked for." in page
    left = stranger.post("/sign-out", "/sign-in").headers["Location"]
    assert said not in text_of(stranger.browser.get(left).text)


def test_who_signs_in_first_reads_where_the_key_is(stranger: Person) -> None:
    page = text_of(stranger.page("/sign-in"))
    assert "in the file var/api-key of the directory that it was started in;" in page
    assert "asked for" not in page


@pytest.mark.parametrize("path", FORMS)
def test_without_its_token_no_form_is_taken(person: Person, path: str) -> None:
    person.call("POST", "/cache", {"key": "k", "value": 1})
    for form in ({}, {"csrf_token": "x"}, {"csrf_token": Person(person.app).token()}):
        answer = person.browser.post(f"/console{path}", data={"confirm": "cache", **form})
        assert answer.status_code == 400
        assert "Load it again" in answer.text
    assert person.call("GET", "/cache/k").status_code == 200


def test_a_form_of_another_site_is_refused_though_it_has_the_token(person: Person) -> None:
    for site in ("cross-site", "same-site", "none"):
        answer = person.browser.post(
            "/console/sign-out",
            data={"csrf_token": person.token("/")},
            headers={"Sec-Fetch-Site": site},
        )
        assert answer.status_code == 403
    assert person.get("/").status_code == 200


def test_signing_in_needs_the_token_too(stranger: Person) -> None:
    assert stranger.browser.post("/console/sign-in", data={"key": KEY}).status_code == 400


@pytest.mark.parametrize("key", ["", "wrong", f"{KEY}x", "<script>"])
def test_a_wrong_key_is_refused_beside_its_field(stranger: Person, key: str) -> None:
    answer = stranger.sign_in(key)
    assert answer.status_code == 403
    assert "The API key is not valid." in answer.text
    assert f'value="{key}"' not in answer.text
    assert stranger.get("/").status_code == 303


def test_the_key_of_no_administrator_is_refused(stranger: Person) -> None:
    key = stranger.make_key(rules=[{"service": "*", "verbs": ["GET", "POST", "FLUSH"]}])
    answer = stranger.sign_in(key)
    assert answer.status_code == 403
    assert "This is for API keys of administrators." in answer.text
    assert stranger.get("/").status_code == 303


def test_a_revoked_key_is_signed_out_at_once(stranger: Person) -> None:
    key = stranger.make_key(administrator=True)
    stranger.sign_in(key)
    assert stranger.get("/").status_code == 200
    assert stranger.call("DELETE", "/system/api_key/1").status_code == 200
    assert stranger.get("/").status_code == 303
    # A script is told where to go.
    answer = stranger.browser.get("/console/service/cache/state", headers={"X-Console-Live": "1"})
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["X-Console-Location"] == "/console/sign-in"


def test_who_is_no_administrator_any_more_or_expired_is_signed_out(stranger: Person) -> None:
    demote = lambda: stranger.call(  # noqa: E731
        "PATCH", "/system/api_key/1", {"administrator": False}
    )
    for change in (demote, lambda: end_key(stranger.app, 2)):
        key = stranger.make_key(administrator=True)
        stranger.sign_in(key)
        assert stranger.get("/").status_code == 200
        change()
        assert stranger.get("/").status_code == 303
    assert "The API key expired at 2020-01-01T00:00:00Z" in text_of(stranger.sign_in(key).text)


def test_a_session_ends_after_its_time(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert person.get("/").status_code == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + sessions.LIFETIME.total_seconds() - 60)
    assert person.get("/").status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + sessions.LIFETIME.total_seconds() + 1)
    assert person.get("/").status_code == 303


def test_the_cookie_is_for_the_console_alone(stranger: Person) -> None:
    for headers, secure in (
        ({}, False),
        ({"X-Forwarded-Proto": "https"}, True),
    ):
        person = Person(stranger.app)
        token = person.token()
        answer = person.browser.post(
            "/console/sign-in", data={"csrf_token": token, "key": KEY}, headers=headers
        )
        (line,) = answer.headers.getlist("Set-Cookie")
        assert "; HttpOnly" in line
        assert "; SameSite=Strict" in line
        assert "; Path=/console" in line
        assert ("; Secure" in line) is secure
        assert KEY not in line


def test_the_cookie_opens_nothing_of_the_api(person: Person) -> None:
    found = cookie(person)
    line = f"{sessions.NAME}={found.value}"
    for path in ("/api/v2/", "/api/v2/cache/k", "/api/v2/system/service", "/nothing"):
        answer = person.app.test_client(use_cookies=False).get(path, headers={"Cookie": line})
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
    opened = person.app.test_client(use_cookies=False).get("/console/", headers={"Cookie": line})
    assert opened.status_code == 200


def test_a_cookie_of_another_secret_is_none(person: Person, tmp_path: Path) -> None:
    other = Person(make_app(tmp_path / "other"))
    value = cookie(person).value
    assert (
        other.app.test_client(use_cookies=False)
        .get("/console/", headers={"Cookie": f"{sessions.NAME}={value}"})
        .status_code
        == 303
    )
    other.app.extensions[EXTENSION].close()


def test_a_session_holds_on_every_machine_of_one_secret(tmp_path: Path) -> None:
    secret = {"CACHEAPI_SECRET_KEY": "of all machines, and 32 characters"}
    one, two = (Person(make_app(tmp_path / name, **secret)) for name in ("one", "two"))
    one.sign_in()
    line = f"{sessions.NAME}={cookie(one).value}"
    answer = two.app.test_client(use_cookies=False).get("/console/", headers={"Cookie": line})
    assert answer.status_code == 200
    for person in (one, two):
        person.app.extensions[EXTENSION].close()


def test_the_key_and_its_digest_are_not_in_the_cookie(person: Person) -> None:
    from flask.sessions import SecureCookieSessionInterface

    from cacheapi.registry.rights import digest_of

    reader = SecureCookieSessionInterface().get_signing_serializer(person.app)
    assert reader is not None
    _, inside = reader.loads_unsafe(cookie(person).value)
    assert set(inside) >= {"number", "mark", "since"}
    assert KEY not in str(inside)
    assert digest_of(KEY).hex() not in str(inside)


def test_attempts_are_bounded(stranger: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    # One window for the whole test.
    monkeypatch.setattr(sign_in, "ATTEMPTS", Rate(3, 86400))
    assert [stranger.sign_in("wrong").status_code for _ in range(4)] == [403, 403, 403, 429]
    answer = stranger.sign_in()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 86400
    assert "Too many attempts" in answer.text


def attempt(person: Person, connected: str, told: str) -> int:
    """Try to sign in from an address, with what a proxy there tells."""
    return person.browser.post(
        "/console/sign-in",
        data={"csrf_token": person.token(), "key": "wrong"},
        headers={"X-Forwarded-For": told},
        environ_overrides={"REMOTE_ADDR": connected},
    ).status_code


@pytest.mark.parametrize("proxy", ["127.0.0.1", "::1", ""])
def test_behind_a_proxy_nobody_uses_up_the_attempts_of_others(
    stranger: Person, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setattr(sign_in, "ATTEMPTS", Rate(1, 86400))
    assert attempt(stranger, proxy, "192.0.2.1") == 403
    # What the client made up stands before what the proxy has seen.
    assert attempt(stranger, proxy, "192.0.2.9, 192.0.2.1") == 429
    assert attempt(stranger, proxy, "192.0.2.2") == 403


def test_who_is_no_proxy_here_cannot_make_up_addresses(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "ATTEMPTS", Rate(1, 86400))
    assert attempt(stranger, "192.0.2.3", "192.0.2.4") == 403
    assert attempt(stranger, "192.0.2.3", "192.0.2.5") == 429


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/console/keys", "/console/keys"),
        ("/console/service/cache?key=a%26b", "/console/service/cache?key=a%26b"),
        ("https://evil.example/", "/console/"),
        ("//evil.example/console/", "/console/"),
        ("/console/\\evil.example", "/console/"),
        ("/console//evil.example", "/console/"),
        ("/console/\t/evil.example", "/console/"),
        ("/console/\r\nSet-Cookie: a=b", "/console/"),
        ("/console/\0", "/console/"),
        ("/consolevil", "/console/"),
        ("javascript:alert(1)", "/console/"),
    ],
)
def test_signing_in_leads_back_and_nowhere_else(stranger: Person, wanted: str, target: str) -> None:
    answer = stranger.post("/sign-in", "/sign-in", {"next": wanted}, key=KEY)
    assert (answer.status_code, answer.headers["Location"]) == (303, target)


def test_where_somebody_wanted_to_go_is_remembered(stranger: Person) -> None:
    answer = stranger.get("/service/cache", key="a&b")
    page = stranger.browser.get(answer.headers["Location"])
    assert "next=/console/service/cache?key%3Da%2526b" in page.text


def test_without_a_place_for_the_secret_it_says_so(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path))
    (tmp_path / "secret-key").write_text("short")
    answer = person.get("/sign-in")
    assert answer.status_code == 500
    assert "Nobody can sign in" in text_of(answer.text)
    assert person.call("GET", "/").status_code == 200
    person.app.extensions[EXTENSION].close()


def test_a_limit_of_requests_counts_here_too(stranger: Person) -> None:
    key = stranger.make_key(administrator=True, rate_limit={"requests": 3, "seconds": 86400})
    stranger.sign_in(key)
    statuses = [stranger.get("/keys").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path, CACHEAPI_CONSOLE="off"))
    for path in ("/console", "/console/", "/console/sign-in"):
        assert person.browser.get(path).status_code == 401
    answer = person.browser.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/api/v2/docs/")
    told = person.browser.get("/").json["error"]["message"]
    assert told.endswith(BARE.replace(", its console at /console", ""))
    person.app.extensions[EXTENSION].close()


def test_the_bare_address_is_for_people_and_for_programs(stranger: Person) -> None:
    answer = stranger.browser.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/console/")
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        answer = stranger.browser.get("/", headers=accept)
        assert answer.status_code == 401
        assert answer.json["error"]["message"].endswith(BARE)
    answer = stranger.browser.get("/", headers={"X-DreamFactory-API-Key": KEY})
    assert (answer.status_code, answer.json["error"]["message"]) == (404, BARE)
    assert stranger.browser.get("/console").headers["Location"] == "/console/"
