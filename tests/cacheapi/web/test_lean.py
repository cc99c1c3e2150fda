"""Flask with less between."""

from __future__ import annotations

import traceback
from typing import Any, TypeVar

import pytest
from flask import Flask, Response, abort, url_for
from flask.views import MethodView
from flask_smorest import Api, Blueprint
from werkzeug.test import Client

from cacheapi.web.lean import (
    LONGEST_PATH,
    MOST_HOSTS,
    MOST_PATHS,
    Lean,
    Whole,
    tell,
    this_request,
)

Application = TypeVar("Application", bound=Flask)


@pytest.fixture
def app() -> Lean:
    return filled(Lean("lean", static_folder=None))


def filled(app: Application) -> Application:
    @app.get("/<path:rest>")
    def view(rest: str) -> Response:
        return Whole(f"{rest} {this_request().host} {url_for('view', rest='x', _external=True)}")

    @app.get("/wrong")
    def wrong() -> Response:
        abort(409)

    return app


def test_addresses_are_those_of_the_host_that_was_asked(app: Lean) -> None:
    client = Client(app)
    for _ in range(2):
        for host in ("first", "second:8080"):
            answer = client.get("/a/b?c", headers={"Host": host})
            assert answer.text == f"a/b {host} http://{host}/x"
    plain = Client(filled(Flask("plain", static_folder=None)))
    for host in ("no host", "a@b", "a:b", "[::1]:80", "", "a/b"):
        fields = {"Host": host}
        for _ in range(2):
            answer, other = client.get("/a", headers=fields), plain.get("/a", headers=fields)
            assert (answer.status, answer.text) == (other.status, other.text)
    assert client.post("/a").status_code == 405
    assert client.get("/").status_code == 404


def test_no_more_hosts_are_remembered_than_a_few(app: Lean) -> None:
    client = Client(app)
    for number in range(3 * MOST_HOSTS):
        assert client.get("/a", headers={"Host": f"h{number}"}).text.startswith(f"a h{number} ")
        assert len(app._adapters) <= MOST_HOSTS


def test_a_head_is_sent_no_body_and_its_length(app: Lean) -> None:
    head, get = Client(app).head("/a"), Client(app).get("/a")

    assert head.data == b"" != get.data
    assert head.headers == get.headers


def test_what_comes_before_and_behind_a_view_is_done_for_each_request(app: Lean) -> None:
    done: list[Any] = []

    @app.url_value_preprocessor
    def value(endpoint: str | None, values: dict[str, Any] | None) -> None:
        done.append((endpoint, values))

    @app.before_request
    def before() -> Response | None:
        done.append("before")
        return Whole("refused", 403) if this_request().path == "/no" else None

    @app.teardown_request
    def behind(error: BaseException | None) -> None:
        done.append("behind")

    @app.teardown_appcontext
    def last(error: BaseException | None) -> None:
        done.append("last")

    client = Client(app)
    assert client.get("/a").status_code == 200
    assert client.get("/no").status_code == 403
    assert client.get("/wrong").status_code == 409

    each = ["before", "behind", "last"]
    views = [("view", {"rest": "a"}), ("view", {"rest": "no"}), ("wrong", {})]
    assert done == [step for view in views for step in (view, *each)]


def test_what_comes_after_a_view_sees_its_header_fields_and_adds_to_them(app: Lean) -> None:
    @app.after_request
    def first(response: Response) -> Response:
        assert response.headers["Content-Type"] == "application/json"
        tell(response, "X-First", f"{response.headers['X-Second']} {len(response.headers)}")
        return response

    @app.after_request
    def second(response: Response) -> Response:
        tell(response, "X-Second", "2")
        return response

    client = Client(app)
    for path, status in (("/a", 200), ("/b", 200), ("/a", 200)):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["X-First"]) == (status, "2 3")
        assert answer.headers["Content-Length"] == str(len(answer.data))


def test_which_view_a_path_has_is_remembered_for_a_few_short_ones(app: Lean) -> None:
    @app.route("/at/<service>", methods=["GET", "PUT"])
    def at(service: str) -> Response:
        done = f"{this_request().method} {service}"
        # What stands in one request's path is not another's.
        this_request().view_args["service"] = "changed"  # type: ignore[index]
        return Whole(done, etag="x")

    client = Client(app)
    for _ in range(2):
        for method, name in (("GET", "a"), ("PUT", "a"), ("GET", "b")):
            answer = client.open(f"/at/{name}", method=method)
            assert (answer.text, answer.headers["ETag"]) == (f"{method} {name}", '"x"')
        assert client.post("/at/a").status_code == 405
        assert client.get("/long/" + "x" * LONGEST_PATH).text.startswith("long/x")
    assert sorted(app.known_paths) == [("GET", "/at/a"), ("GET", "/at/b"), ("PUT", "/at/a")]
    for number in range(2 * MOST_PATHS):
        assert client.get(f"/at/{number}").text == f"GET {number}"
        assert len(app.known_paths) <= MOST_PATHS


def test_a_view_is_called_without_its_descriptions_and_described_with_them(app: Lean) -> None:
    app.config.update(API_TITLE="t", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    blueprint = Blueprint("described", "described")
    depths: list[int] = []

    def depth() -> int:
        return sum("flask_smorest" in frame.filename for frame in traceback.extract_stack())

    @blueprint.route("/views")
    class Views(MethodView):
        @blueprint.doc(operationId="view")
        @blueprint.response(200)
        @blueprint.alt_response(404, description="None.")
        def get(self) -> Response:
            depths.append(depth())
            return Whole("view")

    @blueprint.route("/function")
    @blueprint.response(200)
    def function() -> Response:
        depths.append(depth())
        return Whole("function")

    api = Api(app)
    api.register_blueprint(blueprint)
    client = Client(app)

    assert [client.get(path).text for path in ("/views", "/function")] == ["view", "function"]
    assert depths == [0, 0]
    described = api.spec.to_dict()["paths"]["/views"]["get"]
    assert described["operationId"] == "view"
    assert "404" in described["responses"]
