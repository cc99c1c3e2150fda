"""The console in this process: pages asked for and forms sent as a browser without scripts does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from cacheapi import create_app, load
from cacheapi.registry.changes import change
from cacheapi.registry.database import tables
from cacheapi.web.blueprints import EXTENSION

KEY = "the key of an administrator".replace(" ", "-")
HEADER = "X-DreamFactory-API-Key"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def make_app(data_dir: Path, **settings: str) -> Flask:
    given = {"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(data_dir), **settings}
    return create_app(load({"CACHEAPI_SAMPLE_SECONDS": "0", **given}, None))


def end_key(app: Flask, number: int) -> None:
    """Make it so that an API key has expired at the beginning of 2020."""
    registry = app.extensions[EXTENSION]
    with change(registry) as transaction:
        transaction.put(tables.api_keys, number, {"expires": 1577836800})


class Person:
    """Somebody at a browser that keeps cookies and runs no scripts."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.browser = app.test_client()

    def get(self, path: str, **query: str) -> TestResponse:
        answer = self.browser.get(f"/console{path}", query_string=query or None)
        # Files are closed once they are read.
        answer.get_data()
        answer.close()
        return answer

    def page(self, path: str, **query: str) -> str:
        """Return the text of a page that is there."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.text

    def token(self, path: str = "/sign-in") -> str:
        """Return the token of a form."""
        found = _TOKEN.search(self.page(path))
        assert found is not None
        return found[1]

    def post(self, path: str, on: str = "/", query: dict[str, str] | None = None, **form):
        """Send a form of a page."""
        fields = {"csrf_token": self.token(on), **form}
        return self.browser.post(f"/console{path}", data=fields, query_string=query or None)

    def done(self, path: str, on: str = "/", query: dict[str, str] | None = None, **form) -> str:
        """Send a form that does its work; return the text of the page that it leads to."""
        answer = self.post(path, on, query, **form)
        assert answer.status_code == 303, answer.text
        return self.browser.get(answer.headers["Location"]).text

    def sign_in(self, key: str = KEY) -> TestResponse:
        return self.post("/sign-in", "/sign-in", key=key)

    def call(self, method: str, path: str, body: object = None, key: str | None = KEY):
        """Call the API, as a program."""
        headers = {} if key is None else {HEADER: key}
        more = {} if body is None else {"json": body}
        return self.app.test_client().open(f"/api/v2{path}", method=method, headers=headers, **more)

    def make_key(self, **fields: object) -> str:
        answer = self.call("POST", "/system/api_key", {"name": "test", **fields})
        assert answer.status_code == 201
        return str(answer.json["resource"][0]["api_key"])


def text_of(page: str) -> str:
    """Return what a person reads of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Person]:
    """Somebody who is not signed in."""
    app = make_app(tmp_path)
    yield Person(app)
    app.extensions[EXTENSION].close()


@pytest.fixture
def person(stranger: Person) -> Person:
    """An administrator who is signed in."""
    assert stranger.sign_in().status_code == 303
    return stranger
