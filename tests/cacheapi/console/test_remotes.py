"""A service in front of an API in the console: made, looked into, and purged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi.console import service_form, words
from cacheapi.console.service_form import GROUPS
from cacheapi.observing.metrics.meter import METER
from cacheapi.registry.vault import MASK
from cacheapi.responses.options import OPTIONS
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import Person, make_app, text_of
from tests.support import origin as scripted
from tests.support.origin import Origin, reply
from tests.support.processes import free_port

FRESH = {"Cache-Control": "max-age=600", "Vary": "Accept-Language", "Cache-Tag": "product-1,<all>"}
LATER = {"Cache-Control": "max-age=0, stale-while-revalidate=60", "ETag": '"1"'}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with scripted.origin() as server:
        yield server


@pytest.fixture
def shop(person: Person, origin: Origin) -> Person:
    """An administrator of a service in front of the origin."""
    page = person.done(
        "/new-service",
        query={"type": "rws"},
        name="shop",
        is_active="on",
        **{"config.base_url": f"{origin.url}/v1", "config.cache_enabled": "on"},
    )
    assert "The service shop is saved" in text_of(page)
    return person


def test_its_form_has_groups_choices_and_sentences(person: Person, origin: Origin) -> None:
    assert "HTTP API" in person.page("/new-service")
    page = person.page("/new-service", type="rws")
    for title in (
        *("Cache TTL (s)", "Secret headers to send", "What is stored, and how long it serves"),
        *("What tells answers of a URL apart", "What reaches the API", "Largest body (KiB)"),
    ):
        assert title in page
    assert "The API is here. All paths of the service stand below it" in page
    assert "field <code>Vary</code>" not in page
    assert "that its <code>Vary</code> names" in page
    assert "`" not in page
    assert "<option selected>cache</option>" in page
    assert "<option selected>pass</option><option>503</option>" in page
    # A fault opens its group, and the choice that was made stays.
    form = {
        "name": "shop",
        "config.base_url": "ftp://x",
        "config.cookies": "a b",
        "config.when_cache_down": "503",
        "config.secret_headers": "Authorization: Bearer hush",
    }
    answer = person.post("/new-service", query={"type": "rws"}, **form)
    assert answer.status_code == 400
    told = text_of(answer.text)
    assert "it must be a URL that begins with http://" in told
    assert "it must be none, or names of cookies" in told
    assert "<option selected>503</option>" in answer.text
    assert answer.text.count("<details open>") == 1
    assert "hush" not in answer.text


def test_every_help_text_is_a_sentence_or_two() -> None:
    # No heap of nouns, no list, no half of a question.
    for name, described in service_form.types().items():
        for field in described["config_schema"]:
            text = field["description"].replace("`", "").replace("*", "")
            where = f"{name}.{field['name']}: {text}"
            assert text[0].isupper(), where
            assert text.endswith((".", ")")), where
            assert not text.startswith(("Whether", "Whose", "Where the API is", "How ")), where


def test_no_setting_is_left_out_of_its_form() -> None:
    named = [name for names in GROUPS["rws"].values() for name in names]
    assert sorted(named) == sorted(option.field for option in OPTIONS)


def test_a_service_whose_api_is_down_is_not_up(person: Person, origin: Origin) -> None:
    origin.on("/503", reply(503, {}, "no"))
    urls = {"dead": f"http://127.0.0.1:{free_port()}", "broken": f"{origin.url}/503"}
    for name, url in urls.items():
        form = {"name": name, "is_active": "on", "config.cache_enabled": "on"}
        made = {**form, "config.base_url": url}
        page = text_of(person.done("/new-service", query={"type": "rws"}, **made))
        assert f"The service {name} is saved, but does not work: 'connect' failed." in page
    state = text_of(person.page("/service/dead/state"))
    assert " Down " in state
    assert "What is stored is served as long as it may be." in state
    state = text_of(person.page("/service/broken/state"))
    assert "Down The API answered 503 Service Unavailable at its base URL." in state


def test_the_connection_is_tried_before_it_is_saved(person: Person, origin: Origin) -> None:
    form = {"name": "shop", "is_active": "on", "config.cache_enabled": "on", "action": "test"}
    tried = {**form, "config.base_url": f"http://127.0.0.1:{free_port()}"}
    page = text_of(person.post("/new-service", query={"type": "rws"}, **tried).text)
    assert "The connection does not work" in page
    assert "Likely cause:" in page
    tried = {**form, "config.base_url": origin.url}
    page = text_of(person.post("/new-service", query={"type": "rws"}, **tried).text)
    assert "The connection works" in page
    assert "shop" not in text_of(person.page("/"))
    # Any answer will do, and is told; but one of 5xx says that the API fails.
    assert "connect : The API answered 404 Not Found at its base URL." in page
    origin.on("/broken", reply(500, {}, "no"))
    tried["config.base_url"] = f"{origin.url}/broken"
    page = text_of(person.post("/new-service", query={"type": "rws"}, **tried).text)
    assert "The connection does not work" in page
    assert "connect failed : The API answered 500 Internal Server Error at its base URL." in page
    assert "Likely cause: The API is there, but fails" in page
    tried["config.base_url"] = origin.url
    tried["config.cache"] = "none"
    page = text_of(person.post("/new-service", query={"type": "rws"}, **tried).text)
    assert "The connection does not work" in page


def test_it_is_changed_and_its_secrets_stay(shop: Person, origin: Origin) -> None:
    base = {"name": "shop", "is_active": "on", "config.base_url": f"{origin.url}/v2"}
    sent = {**base, "config.secret_headers": "X-Key: hush", "config.cache_ttl": "60"}
    shop.done("/service/shop/edit", on="/service/shop/edit", **sent)
    page = shop.page("/service/shop/edit")
    assert MASK in page
    assert "hush" not in page
    assert 'value="60"' in page
    # Unchecked, the cache is off, and the page says so.
    assert "The cache is off" in shop.page("/service/shop")
    shop.done("/service/shop/edit", on="/service/shop/edit", **base, **{
        "config.secret_headers": MASK,
        "config.cache_enabled": "on",
    })  # fmt: skip
    origin.on("/v2/x", reply(200, {}, "x"))
    assert shop.call("GET", "/shop/x").status_code == 200
    assert "x-key" in origin.log("/v2/x")[0]["named"]


def test_its_page_says_what_the_cache_did_and_how_the_api_does(
    shop: Person, origin: Origin
) -> None:
    page = text_of(shop.page("/service/shop"))
    assert "Nothing was asked for yet." in page
    assert "There were none." in page
    origin.on("/v1/a", reply(200, FRESH, "a"))
    origin.on("/v1/broken", reply(503, {}, "no"))
    for _ in range(4):
        assert shop.call("GET", "/shop/a").status_code == 200
    assert shop.call("GET", "/shop/broken?token=secret").status_code == 503
    page = text_of(shop.page("/service/shop"))
    assert "Hit ratio \u2013 (5 reads; shown from 100)" in page
    assert "Requests to the API 2 " in page
    assert "hit from the cache, fresh 3 60.0" in page
    assert "miss fetched from the API 2 40.0" in page
    assert "Half of them within" in page
    assert "503 The origin answered 503. GET /v1/broken" in page
    assert "an answer of 5xx: 1" in page
    assert "secret" not in page
    state = text_of(shop.page("/service/shop/state"))
    assert "Up" in state
    assert "Hit ratio \u2013 (5 reads; shown from 100)" in state
    assert "Answers 5 Hit ratio" in state
    shop.app.extensions[METER].fast.response("shop", "purge")
    state = text_of(shop.page("/service/shop/state"))
    assert "Answers 6, 5 to reads Hit ratio" in state


def test_a_wait_is_told_no_finer_than_it_was_measured() -> None:
    bounds = ((1.0, 2.5), (0.01, 0.025), (0.75, 1.0), (0.0, 0.001), (30.0, float("inf")))
    assert [words.within(each) for each in bounds] == [
        "1 to 2.5 s",
        "10 to 25 ms",
        "750 ms to 1 s",
        "1 ms at most",
        "over 30 s",
    ]
    assert words.within(None) == words.NOT_KNOWN


def test_a_url_is_looked_up_as_it_is_explained_in_the_shell(shop: Person, origin: Origin) -> None:
    origin.on("/v1/items/1", reply(200, FRESH, "abc"))
    headers = {"X-DreamFactory-API-Key": "the-key-of-an-administrator"}
    client = shop.app.test_client()
    for language in ("de", "en"):
        more = {**headers, "Accept-Language": language}
        client.get("/api/v2/shop/items/1?q=1", headers=more)
    for url in (
        *("/items/1?q=1", "items/1?q=1", f"{origin.url}/v1/items/1?q=1"),
        "/api/v2/shop/items/1?q=1",
    ):
        page = shop.page("/service/shop", url=url, headers="Accept-Language: de\n")
        text = text_of(page)
        assert f"{origin.url}/v1/items/1?q=1" in text
        assert "A GET now: It is answered from the cache, and the API is not asked" in text
        assert text.count("Fresh for") == 2
        assert "Lifetime from the API's Cache-Control: max-age" in text
        assert "For accept-language en" in text
        assert "Size 3 B" in text
        assert "product-1 <all>" in text
        assert "<all>" not in page
    other = text_of(shop.page("/service/shop", url="/items/1?q=1", headers="Accept-Language: fr"))
    assert (
        "It is fetched from the API: what is stored of this URL is for requests with other" in other
    )
    assert "Nothing is stored of it." in text_of(shop.page("/service/shop", url="/items/2"))


@pytest.mark.parametrize(
    ("url", "headers", "told"),
    [
        ("/a/../b", "", "The path may not have '.' or '..'"),
        ("http://elsewhere.example/", "", "A URL of this service is a path, or begins with"),
        ("/a", "no field", "A header is 'Name: value'"),
    ],
)
def test_what_is_no_url_is_told_beside_it(shop: Person, url: str, headers: str, told: str) -> None:
    answer = shop.get("/service/shop", url=url, headers=headers)
    assert answer.status_code == 400
    assert told in text_of(answer.text)


def test_a_url_is_purged_or_made_stale(shop: Person, origin: Origin) -> None:
    origin.on("/v1/b", reply(200, FRESH, "b"))
    shop.call("GET", "/shop/b")
    form = {"scope": "url", "url": "/b"}
    page = text_of(shop.done("/service/shop/purge", how="soft", **form))
    assert "The URL is stale now." in page
    assert "Stale for" in page
    page = text_of(shop.done("/service/shop/purge", how="hard", **form))
    assert "The URL is gone now." in page
    assert "Nothing is stored of it." in page
    answer = shop.post("/service/shop/purge", scope="url", url="/../x")
    assert answer.status_code == 400
    assert "may not have '.' or '..'" in text_of(answer.text)


def test_what_carries_a_tag_is_purged(shop: Person, origin: Origin) -> None:
    origin.on("/v1/c", reply(200, FRESH, "c"))
    shop.call("GET", "/shop/c")
    answer = shop.post("/service/shop/purge", scope="tag", tags=" , ")
    assert answer.status_code == 400
    assert "No tag is named: give one, or several with commas" in text_of(answer.text)
    page = shop.done("/service/shop/purge", scope="tag", tags="other, product-1", how="hard")
    assert "What carries other, product-1 is gone now." in text_of(page)
    assert "Purges 1" in text_of(page)
    assert "uri-miss" in shop.call("GET", "/shop/c").headers["Cache-Status"]


def test_all_is_purged_once_its_name_is_typed(shop: Person, origin: Origin) -> None:
    origin.on("/v1/d", reply(200, FRESH, "d"))
    shop.call("GET", "/shop/d")
    answer = shop.post("/service/shop/purge", scope="all", confirm="shops", how="hard")
    assert answer.status_code == 400
    assert "Type shop to purge all that is stored." in text_of(answer.text)
    assert "; hit" in shop.call("GET", "/shop/d").headers["Cache-Status"]
    page = shop.done("/service/shop/purge", scope="all", confirm="shop", how="hard")
    assert "All of shop is gone now." in text_of(page)
    assert "uri-miss" in shop.call("GET", "/shop/d").headers["Cache-Status"]


def test_one_that_is_off_or_no_api_has_nothing_to_purge(shop: Person) -> None:
    assert shop.post("/service/cache/purge", scope="all", confirm="cache").status_code == 404
    shop.done("/service/shop/switch", to="off")
    assert "It answers 404 until it is switched on." in text_of(shop.page("/service/shop"))
    assert shop.post("/service/shop/purge", scope="all", confirm="shop").status_code == 404


def test_the_cache_that_stores_is_gone(person: Person, origin: Origin) -> None:
    form = {"name": "shop", "is_active": "on", "config.cache_enabled": "on"}
    more = {"config.base_url": origin.url, "config.cache": "absent"}
    person.done("/new-service", query={"type": "rws"}, **form, **more)
    told = "The service absent that stores cannot be used."
    assert told in text_of(person.page("/service/shop/state"))
    answer = person.get("/service/shop", url="/a")
    assert (answer.status_code, told in text_of(answer.text)) == (400, True)
    answer = person.post("/service/shop/purge", scope="tag", tags="a")
    assert answer.status_code == 400
    # The choice that was stored is still there.
    assert "<option selected>absent</option>" in person.page("/service/shop/edit")


def test_nothing_is_counted_where_metrics_are_off(tmp_path: Path, origin: Origin) -> None:
    app = make_app(tmp_path, CACHEAPI_METRICS="off")
    someone = Person(app)
    someone.sign_in()
    form = {"name": "shop", "is_active": "on", "config.base_url": origin.url}
    someone.done("/new-service", query={"type": "rws"}, **form)
    assert "CACHEAPI_METRICS is off" in text_of(someone.page("/service/shop"))
    app.extensions[EXTENSION].close()
