"""The console in a browser: from signing in to a key that is refused; and for everybody."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support import origin as scripted
from tests.support.browser import PATIENCE_MS, chromium, window
from tests.support.live import Connection, call
from tests.support.origin import Origin, reply
from tests.support.processes import Memcached, Service, free_port, service

pytestmark = pytest.mark.timeout(600)

PHONE = {"width": 360, "height": 740}
# Of each list of figures the places where they begin.
EDGES = """all => all.map(list => [...new Set(
    [...list.querySelectorAll("dd")].map(one => Math.round(one.getBoundingClientRect().left)))])"""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("console")
    with service(directory, WEB_CONCURRENCY="2", CACHEAPI_SAMPLE_SECONDS="1") as running:
        yield running


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with scripted.origin() as running:
        yield running


def open_page(context, live: Service) -> tuple[Page, list[str]]:
    """Return a signed-in page, and what it complains of."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda line: (
            complaints.append(line.text) if "Content Security Policy" in line.text else None
        ),
    )
    page.goto(f"{live.url}/console/")
    page.get_by_label("API key").fill(live.api_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Services")).to_be_visible()
    return page, complaints


def operation(page: Page, name: str) -> Locator:
    """Return an operation of the API page, open and ready to be tried."""
    found = page.locator(f"[id$=-{name}]")
    found.locator(".opblock-summary-control").click()
    found.get_by_role("button", name="Try it out").click()
    return found


def execute(found: Locator, status: str) -> str:
    """Send the request of an operation; return the answer."""
    found.get_by_role("button", name="Execute").click()
    table = found.locator(".live-responses-table")
    expect(table.locator("tbody .response-col_status").first).to_contain_text(status)
    return table.inner_text()


def test_from_signing_in_to_a_key_that_is_refused(
    browser: Browser, live: Service, memcached_server: Memcached
) -> None:
    with window(browser, viewport={"width": 1280, "height": 800}) as context:
        page, complaints = open_page(context, live)

        # A service is described, tried on the wrong port, then on the right one, and saved.
        page.get_by_role("link", name="New service").first.click()
        page.get_by_role("link", name="Memcached").click()
        page.locator("#f-name").fill("Sessions")
        page.get_by_label("Description").fill("Who is signed in.")
        page.get_by_label("Port").fill(str(free_port()))
        page.get_by_label("Prefix").fill("console:")
        page.get_by_text("More settings").click()
        # A time limit that a busy machine does not exceed.
        page.get_by_label("Timeout (ms)").fill("5000")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#e-f-name")).to_contain_text("A name starts with a letter")
        expect(page.locator("#f-name")).to_be_focused()
        page.locator("#f-name").fill("sessions")
        # An empty prefix would be this.
        expect(page.get_by_label("Prefix")).to_have_attribute("placeholder", "sessions:")
        page.get_by_role("button", name="Test connection").click()
        expect(page.get_by_text("Likely cause:")).to_be_visible()
        page.get_by_label("Port").fill(str(memcached_server.port))
        page.get_by_role("button", name="Test connection").click()
        expect(page.get_by_role("heading", name="The connection works")).to_be_visible()
        expect(page.locator("#outcome")).to_contain_text("delete")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="sessions")).to_be_visible()
        expect(page.locator("[data-state]")).to_contain_text("Up")

        # An application gets a key for its part of it.
        page.get_by_role("link", name="API keys").click()
        page.get_by_role("link", name="New API key").click()
        page.locator("#f-name").fill("web shop")
        page.get_by_label("Service").select_option("sessions")
        page.get_by_label("Keys that start with").fill("user:")
        page.get_by_label("POST").check()
        page.get_by_role("button", name="Add a rule").click()
        expect(page.get_by_label("Service")).to_have_count(2)
        page.get_by_role("button", name="Move rule 2 up").click()
        expect(page.get_by_label("Service").nth(1)).to_have_value("sessions")
        page.get_by_role("button", name="Remove rule 1").click()
        expect(page.get_by_label("Service")).to_have_count(1)
        page.get_by_role("button", name="Make the key").click()
        expect(page.get_by_text("Note the key now.")).to_be_visible()
        key = page.get_by_label("API key").input_value()
        assert key.startswith("ca_")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.locator("#copied")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == key

        # It is tried on the API page, which has it already, and nowhere in its address.
        page.get_by_role("link", name="Try it on the API page").click()
        store = operation(page, "store")
        assert key not in page.url
        store.get_by_placeholder("service").fill("sessions")
        store.locator("textarea").fill(
            '{"resource": [{"key": "user:1", "value": {"name": "John"}, "ttl": 3600}]}'
        )
        assert '"success": true' in execute(store, "201")
        docs = page

        # Another page of the console shows the value; its time goes by.
        page = context.new_page()
        page.goto(f"{live.url}/console/service/sessions")
        page.get_by_label("Look up a key").fill("user:1")
        page.get_by_role("button", name="Look up").click()
        expect(page.locator(".tree")).to_contain_text('"John"')
        left = page.locator("[data-left]")
        first = left.inner_text()
        assert first.startswith("59 min") or first == "1 h"
        expect(left).not_to_have_text(first)
        page.get_by_label("Change the value").fill('{"name": "Jane"}')
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The key is stored.")).to_be_visible()
        expect(page.locator(".tree")).to_contain_text('"Jane"')
        assert memcached_server.say(b"get console:user:1\r\n").find(b'{"name": "Jane"}') > 0

        # The key is revoked, and refused.
        page.get_by_role("link", name="API keys").click()
        page.get_by_role("link", name="web shop").click()
        page.get_by_text("Revoke this key").click()
        page.get_by_role("button", name="Revoke web shop").click()
        expect(page.get_by_text("The API key web shop is revoked.")).to_be_visible()
        assert "The API key is not valid." in execute(store, "401")
        docs.close()

        # Out: the key that was typed is forgotten with the session.
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.goto(f"{live.url}/api/v2/docs")
        expect(page.get_by_label("API key")).to_be_visible()
        assert complaints == []


def test_a_service_in_front_of_an_api_by_keyboard(
    browser: Browser, live: Service, origin: Origin
) -> None:
    origin.on("/v1/items/1", reply(200, {"Cache-Control": "max-age=600", "Cache-Tag": "one"}, "a"))
    with window(browser, viewport=PHONE) as context:
        page, complaints = open_page(context, live)
        page.get_by_role("link", name="New service").first.click()
        page.get_by_role("link", name="HTTP API").click()
        page.locator("#f-name").fill("catalogue")
        page.get_by_label("Base URL").fill(f"http://127.0.0.1:{free_port()}")
        page.get_by_role("button", name="Test connection").press("Enter")
        expect(page.get_by_text("Likely cause:")).to_be_visible()
        page.get_by_label("Base URL").fill(f"{origin.url}/v1")
        # A group is opened, and a field in it filled, without a mouse.
        page.get_by_text("What reaches the API").press("Enter")
        page.get_by_label("Connect timeout (ms)").fill("1")
        page.get_by_role("button", name="Save").press("Enter")
        expect(page.locator("#e-f-config-connect_timeout_ms")).to_contain_text("60000")
        expect(page.locator("#f-config-connect_timeout_ms")).to_be_focused()
        page.get_by_label("Connect timeout (ms)").fill("5000")
        page.get_by_role("button", name="Test connection").press("Enter")
        expect(page.get_by_role("heading", name="The connection works")).to_be_visible()
        page.get_by_role("button", name="Save").press("Enter")
        expect(page.get_by_role("heading", name="catalogue")).to_be_visible()
        expect(page.locator("[data-state]")).to_contain_text("Up")

        for status in ("fwd=uri-miss", "; hit"):
            answer = call(live.port, "GET", "/api/v2/catalogue/items/1")
            assert status in answer.headers["Cache-Status"]
        page.get_by_label("Look up a URL").fill("/items/1")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Fresh for")).to_be_visible()
        expect(page.locator(".variants")).to_contain_text("Cache-Control: max-age")
        expect(page.locator(".variants .tag")).to_have_text("one")
        page.get_by_role("button", name="Make this URL stale").press("Enter")
        expect(page.get_by_text("The URL is stale now.")).to_be_visible()
        page.get_by_role("button", name="Purge this URL").press("Enter")
        expect(page.get_by_text("Nothing is stored of it.", exact=True)).to_be_visible()
        page.get_by_label("Tags", exact=True).fill("one")
        page.get_by_role("button", name="Purge by these tags").press("Enter")
        expect(page.get_by_text("What carries one is gone now.")).to_be_visible()
        page.locator("summary", has_text="Purge everything").press("Enter")
        page.get_by_role("button", name="Purge everything").press("Enter")
        expect(page.locator("#e-confirm-purge")).to_contain_text("Type catalogue to purge")
        expect(page.locator("#confirm-purge")).to_be_focused()
        page.locator("#confirm-purge").fill("catalogue")
        page.get_by_role("button", name="Purge everything").press("Enter")
        expect(page.get_by_text("All of catalogue is gone now.")).to_be_visible()
        # The other worker hands its counts over several times a second.
        for _ in range(50):
            if "hit" in page.locator(".shares").inner_text():
                break
            page.wait_for_timeout(200)
            page.reload()
        expect(page.locator(".shares")).to_contain_text("hit")
        assert complaints == []


def test_from_save_to_the_first_request_in_a_shell(browser: Browser, live: Service) -> None:
    with window(browser, viewport=PHONE) as context:
        page, complaints = open_page(context, live)
        page.goto(f"{live.url}/console/new-service?type=cache_local")
        page.locator("#f-name").fill("first")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The next two steps")).to_be_visible()
        page.get_by_role("link", name="Make an API key for it").click()
        page.get_by_role("button", name="Make the key").click()
        expect(page.get_by_text("Note the key now.")).to_be_visible()
        lines = page.get_by_label("The first request").input_value()
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy the lines").click()
        expect(page.locator("#first-lines-copied")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == lines
        done = subprocess.run(["sh", "-ec", lines], capture_output=True, text=True, timeout=60)
        assert '"success":true' in done.stdout
        assert done.stdout.endswith('{"key":"hello","value":"world"}'), done
        check(page, "the key with its first request")
        # What was stored is a click away; on the page of its keys all are selected, and deleted.
        page.get_by_role("link", name="The service first").click()
        page.get_by_role("checkbox", name="Select all on this page").check()
        expect(page.get_by_role("checkbox", name="Select hello")).to_be_checked()
        expect(page.locator("#selected-count")).to_have_text(": 1")
        bar = page.locator("summary", has_text="Delete the selected keys: 1")
        expect(bar).to_be_in_viewport()
        bar.press("Enter")
        # What is selected stays in sight behind it.
        box = page.locator(".selection").bounding_box()
        assert box is not None
        assert box["height"] < PHONE["height"] / 3
        page.get_by_label("Type how many to confirm").fill("1")
        page.keyboard.press("Enter")
        expect(page.get_by_text("1 key was deleted.")).to_be_visible()
        assert complaints == []


def test_the_api_page_opens_with_the_key_of_who_signed_in(browser: Browser, live: Service) -> None:
    with window(browser, viewport=PHONE, color_scheme="dark") as context:
        page, complaints = open_page(context, live)
        page.get_by_role("link", name="API docs").click()
        expect(page.get_by_text("A cache over HTTP: JSON values under keys.")).to_be_visible()
        assert "api_key" not in page.url
        # In the console's frame, dark as that is, and no wider than the phone with a request open.
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        operation(page, "store")
        for scheme, color in (("dark", "rgb(15, 19, 24)"), ("light", "rgb(245, 246, 248)")):
            page.emulate_media(color_scheme=scheme)
            page.evaluate("Promise.allSettled(document.getAnimations().map(each => each.finished))")
            places = page.locator("body, .swagger-ui")
            assert color in places.evaluate_all(
                "all => all.map(it => getComputedStyle(it).backgroundColor)"
            )
            check(page, f"the API page, {scheme}")
        # The dialog has the focus until it is closed, and gives it back.
        authorize = page.get_by_role("button", name="Authorize", exact=True)
        authorize.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Available authorizations")
        for key in ("Shift+Tab", "Tab"):
            page.keyboard.press(key)
            expect(dialog.locator(":focus")).to_have_count(1)
        check(page, "the dialog of the API page")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(authorize).to_be_focused()
        # A tab that no key was handed over to asks for it, in the frame too.
        asks = context.new_page()
        asks.goto(f"{live.url}/console/api-docs")
        asks.get_by_label("API key").fill("wrong")
        asks.get_by_role("button", name="Open the API page").click()
        expect(asks.get_by_text("The API key is not valid.")).to_be_visible()
        check(asks, "the API page that asks for a key")
        other = context.new_page()
        other.goto(f"{live.url}/api/v2/docs")
        expect(other.get_by_label("API key")).to_be_visible()
        assert complaints == []


def test_every_page_is_for_everybody(
    browser: Browser, live: Service, memcached_server: Memcached, origin: Origin
) -> None:
    """No fault that axe finds, in both color schemes, and nothing wider than a phone."""
    make = lambda path, body: call(live.port, "POST", f"/api/v2/system/{path}", body)  # noqa: E731
    config = {"port": memcached_server.port, "prefix": "axe:", "timeout_ms": 5000}
    make("service", {"name": "up", "type": "cache_memcached", "config": config})
    make("service", {"name": "down", "type": "cache_memcached", "config": {"port": free_port()}})
    make("service", {"name": "off", "type": "cache_local", "is_active": False})
    make_remote(live, origin)
    rules = [{"service": "up", "verbs": ["GET"], "keys": f"{'a-long-prefix:' * 20}*"}]
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
    ends = {"expires": soon.isoformat()}
    made = make("api_key", {"name": "a key", "rules": rules, **ends})
    number = made.json["resource"][0]["id"]
    every = [{"service": "*", "verbs": ["GET", "POST", "PUT", "PATCH", "DELETE"], "keys": "*"}]
    make("api_key", {"name": "L" * 120, "rules": every * 3, **ends})
    text = "a-long-text-" * 40
    entries = [
        {"key": "tree", "value": {"a": [1, None, text], text: {"b": True}}},
        *({"key": f"text {text}", "value": text}, {"key": "gone", "value": 1}),
    ]
    assert call(live.port, "POST", "/api/v2/cache", {"resource": entries}).status == 201
    paths = [
        *("/", "/new-service", "/new-service?type=cache_redis", "/service/up/edit"),
        *("/service/cache/edit", "/service/up", "/service/cache?key=tree", "/service/cache?key=no"),
        *("/service/cache?prefix=", "/service/off", "/keys", "/new-key", f"/key/{number}"),
        *("/nowhere", "/service/cache?prefix=none", "/service/shop", "/service/shop/edit"),
        *("/new-service?type=rws", "/service/shop?url=/a", "/service/shop?url=/none&headers=A:b"),
        *("/service/shop?url=/../x", "/service/empty", "/now", "/audit", "/audit?search=none"),
        *("/service/cache/analysis", "/service/up?tag=one", "/now?service=nosuch"),
        *("/service/up?switch=off", "/service/up/state"),
    ]
    # The list marks keys that have expired.
    time.sleep(max(0, (soon - dt.datetime.now(dt.UTC)).total_seconds()))
    for scheme in ("light", "dark"):
        with window(browser, viewport=PHONE, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{live.url}/console/")
            check(page, f"sign-in, {scheme}")
            page.get_by_label("API key").fill(live.api_key)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", name="Services")).to_be_visible()
            for path in paths:
                page.goto(f"{live.url}/console{path}")
                expect(page.locator("[data-waiting]")).to_have_count(0)
                # Figures on a phone begin at one edge.
                edges = page.locator(".facts:not(.wide)").evaluate_all(EDGES)
                assert all(len(each) < 2 for each in edges), (path, edges)
                check(page, f"{path}, {scheme}")
            page.goto(f"{live.url}/console/service/down/edit")
            page.locator("#f-config-port").fill("0")
            page.get_by_role("button", name="Save").click()
            expect(page.locator("#e-f-config-port")).to_contain_text("65535")
            check(page, f"faults, {scheme}")
            page.locator("#f-config-port").fill(str(free_port()))
            page.get_by_role("button", name="Test connection").click()
            expect(page.locator(".outcome")).to_contain_text("Likely cause")
            check(page, f"outcome, {scheme}")
            page.goto(f"{live.url}/console/service/cache")
            page.get_by_text("Several operations at once").click()
            check(page, f"operations, {scheme}")
            asked = [
                {"get": "tree"},
                {"get": f"text {text}"},
                {"get": "n"},
                {"replace": entries[2]},
            ]
            page.get_by_label("Operations").fill(json.dumps(asked))
            page.get_by_role("button", name="Do them").click()
            expect(page.locator(".outcomes tbody tr")).to_have_count(4)
            check(page, f"what became of operations, {scheme}")


def make_remote(live: Service, origin: Origin) -> None:
    """Make services in front of an API, one with all that its page can show, and one without."""
    long = "a-long-text-" * 30
    fresh = {"Cache-Control": "max-age=600, stale-while-revalidate=60, stale-if-error=900"}
    origin.on("/a", reply(200, {**fresh, "Vary": "Accept-Language", "Cache-Tag": f"t,{long}"}, "a"))
    origin.on(f"/{long}", reply(503, {}, "no"))
    for name in ("shop", "empty"):
        body = {"name": name, "type": "rws", "config": {"base_url": origin.url}}
        call(live.port, "POST", "/api/v2/system/service", body)
    with Connection(live.port) as connection:
        for language in (None, "de", long):
            headers = {} if language is None else {"Accept-Language": language}
            connection.call("GET", "/api/v2/shop/a", headers=headers)
            connection.call("GET", "/api/v2/shop/a", headers=headers)
        connection.call("GET", f"/api/v2/shop/{long}")


def test_a_fault_would_be_found(browser: Browser) -> None:
    with window(browser) as context:
        page = context.new_page()
        page.set_content('<html lang="en"><title>x</title><main><h1>x</h1><input></main></html>')
        found = Axe().run(page)
        assert [fault["id"] for fault in found.response["violations"]] == ["label"]


def check(page: Page, where: str) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, f"{where}: {found.generate_report()}"
    # A phone, a tablet, a desk; last the phone again.
    for wide in (768, 1280, PHONE["width"]):
        page.set_viewport_size({"width": wide, "height": PHONE["height"]})
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= wide, f"{where} is {width} wide at {wide}"
