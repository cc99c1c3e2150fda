"""Headers, files and errors of the console."""

from __future__ import annotations

import re

import pytest

from cacheapi.console import words
from cacheapi.console.frame import code, visible
from tests.cacheapi.console.conftest import Person, text_of

PAGES = (
    "/",
    "/new-service",
    "/new-service?type=cache_redis",
    "/service/cache",
    "/service/cache/analysis",
    "/keys",
)


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nowhere", "/service/none"])
def test_every_page_is_sealed(person: Person, path: str) -> None:
    answer = person.browser.get(f"/console{path}")
    headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", [*PAGES, "/new-key", "/service/cache?key=k", "/service/cache?prefix="]
)
def test_no_page_has_anything_inline_or_from_elsewhere(person: Person, path: str) -> None:
    text = person.browser.get(f"/console{path}").text
    assert re.search(r"<script(?![^>]* src=)", text) is None
    assert re.search(r"<style| style=| on[a-z]+=", text) is None
    assert re.search(r"(?:src|href|action)=\"(?!/)", text.replace('href="#main"', "")) is None


def test_files_are_kept_by_browsers_as_long_as_they_are_the_same(person: Person) -> None:
    names = re.findall(r"/console(/assets/[0-9a-f]+/[a-z.]+)", person.page("/"))
    assert len(set(names)) == 2
    for name in names:
        answer = person.get(name)
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age=3600" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers
    assert person.get("/assets/older/console.js").status_code == 404
    assert person.get(names[0].rpartition("/")[0] + "/../__init__.py").status_code == 404


def test_scripts_are_there_for_all_that_they_import(person: Person) -> None:
    (script,) = re.findall(r"/console(/assets/[0-9a-f]+/console\.js)", person.page("/"))
    imported = re.findall(r'from "\./([a-z]+\.js)"', person.get(script).text)
    assert len(imported) >= 5
    for name in imported:
        answer = person.get(script.replace("console.js", name))
        assert answer.status_code == 200
        assert answer.mimetype in ("text/javascript", "application/javascript")


def test_what_is_not_there_is_a_page_that_leads_back(person: Person) -> None:
    for path in ("/nowhere", "/service/none", "/key/77", "/new-service?type=none", "/a//b"):
        answer = person.browser.get(f"/console{path}")
        assert answer.status_code == 404, path
        assert answer.mimetype == "text/html"
        assert 'href="/console/"' in answer.text
    assert "Service 'none' does not exist." in text_of(person.get("/service/none").text)


def test_an_unexpected_error_tells_nothing(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from cacheapi.console import states

    def fail(*_: object) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(states, "cards", fail)
    answer = person.get("/")
    assert answer.status_code == 500
    assert "Internal error" in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_dark_side_and_small_screens_are_thought_of(person: Person) -> None:
    page = person.page("/")
    (style,) = re.findall(r"/console(/assets/[0-9a-f]+/console\.css)", page)
    (frame,) = re.findall(r'"(/api/v2/docs/assets/frame\.css\?v=[0-9a-f]+)"', page)
    answer = person.browser.get(frame)
    assert "prefers-color-scheme: dark" in answer.text
    assert "max-width: 40rem" in person.get(style).text
    answer.close()


def test_the_api_page_is_in_the_frame(person: Person) -> None:
    answer = person.get("/api-docs")
    assert 'href="/console/api-docs" aria-current="true"' in answer.text
    assert answer.text.count("aria-current") == 1
    assert "Sign out" in answer.text
    assert 'data-description="/api/v2/docs/openapi.json"' in answer.text
    # Swagger UI styles in place; nothing else is let go.
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert answer.headers["X-Frame-Options"] == "DENY"
    for page in (person.page("/service/cache"), answer.text):
        assert 'href="/console/api-docs"' in page
        assert 'href="/api/v2/docs"' not in page


def test_help_texts_have_their_code_marked() -> None:
    assert code("a `b<` c, `d`") == "a <code>b&lt;</code> c, <code>d</code>"
    assert code("<i>") == "&lt;i&gt;"


def test_the_api_is_not_in_the_way(person: Person) -> None:
    # No token is asked of a program.
    assert person.call("POST", "/cache", {"key": "k", "value": 1}).status_code == 201
    assert person.call("GET", "/cache/k").headers.get("Content-Security-Policy") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text é 値 👩", "plain text é 値 👩"),
        ("a\nb\tc\0", "a␊b␉c␀"),
        ("\x7f", "␡"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\u200b", "⟨U+200B⟩"),
        ("\x9b", "⟨U+009B⟩"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_numbers_in_words() -> None:
    assert [words.size(size) for size in (None, 0, 1023, 1536, 2**20, 2**30, 2**41)] == [
        *(words.NOT_KNOWN, "0 B", "1023 B", "1.5 KiB", "1.0 MiB", "1.0 GiB", "2.0 TiB"),
    ]
    assert [words.duration(left) for left in (None, -1, 0.4, 59, 60, 3599, 90_061)] == [
        *("for ever", "0 s", "0 s", "59 s", "1 min", "59 min 59 s", "1 d 1 h"),
    ]
    assert words.percent(None) == words.NOT_KNOWN
    assert words.percent(0.9731) == "97.3\u00a0%"
    # What is there is never 0, to as many digits as are shown.
    assert [words.percent(part) for part in (0, 0.0004, 0.004)] == [
        *("0.0\u00a0%", "<0.1\u00a0%", "0.4\u00a0%"),
    ]
    assert [words.percent(part, 0) for part in (0, 0.004, 0.996)] == [
        *("0\u00a0%", "<1\u00a0%", "100\u00a0%"),
    ]
    assert words.count(None) == words.NOT_KNOWN
    assert words.count(1234567) == "1\u202f234\u202f567"
    assert words.moment(None) == "never"
    assert words.moment(0) == "1970-01-01 00:00 UTC"
    assert words.moment(10**18).startswith("9999-12-31")
