"""Every action of the console, with the keyboard alone, and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE_MS, chromium, window
from tests.support.hands import Hand, Keyboard, Touch
from tests.support.live import call
from tests.support.processes import Memcached, Service, service
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(900)

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("hands"), WEB_CONCURRENCY="1") as running:
        yield running


@pytest.mark.parametrize("kind", [Keyboard, Touch])
def test_everything_can_be_done(
    browser: Browser,
    live: Service,
    memcached_server: Memcached,
    redis_one: Redis,
    kind: type[Hand],
) -> None:
    with window(browser, **kind.options) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        hand = kind(page)
        page.goto(f"{live.url}/console/")
        hand.look()
        hand.fill("API key", live.api_key)
        hand.use("Sign in")
        settled(page, "Services")
        services(page, hand, {"Memcached": memcached_server.port, "Redis": redis_one.port})
        keys(page, hand, live)
        api_keys(page, hand)
        looking(page, hand, live)
        hand.use("Sign out")
        settled(page, "Sign in")


def settled(page: Page, heading: str) -> None:
    """Wait until a page is there, and all that comes after it."""
    expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()
    expect(page.locator("[data-waiting]")).to_have_count(0)


def told(page: Page, text: str) -> None:
    expect(page.get_by_text(text)).to_be_visible()


def services(page: Page, hand: Hand, ports: dict[str, int]) -> None:
    """Make one on each backend; change one, switch it off and on, and delete it."""
    hand.look()
    for label in ("Embedded file", *ports):
        hand.use("New service")
        settled(page, "New service")
        hand.look()
        hand.use(label)
        settled(page, f"New service: {label}")
        name = f"{hand.name}-{label.split()[0].lower()}"
        hand.fill("Name", name)
        if label in ports:
            hand.fill("Port", str(ports[label]))
            hand.fill("Prefix", f"{hand.name}:")
            hand.use("More settings")
        hand.look()
        hand.use("Test connection")
        expect(page.get_by_role("heading", name="The connection works")).to_be_visible()
        hand.use("Save")
        settled(page, name)
        hand.look()
        hand.use("Services")
        settled(page, "Services")
    hand.look()
    made = f"{hand.name}-memcached"
    hand.use(made)
    settled(page, made)
    hand.use("Edit")
    settled(page, f"Edit {made}")
    hand.fill("Description", "Made by hand.")
    hand.use("Save")
    told(page, "Made by hand.")
    settled(page, made)
    hand.use("Switch off")
    told(page, f"Switch off {made}?")
    hand.look()
    hand.use("Switch it off")
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    hand.use("Switch on")
    expect(page.get_by_role("link", name="Switch off")).to_be_visible()
    hand.use("Edit")
    settled(page, f"Edit {made}")
    hand.use("Delete this service")
    hand.fill(f"Type {made} to confirm", made)
    hand.use("Delete the service")
    settled(page, "Services")
    expect(page.get_by_role("link", name=made)).to_have_count(0)


def keys(page: Page, hand: Hand, live: Service) -> None:
    """Store one, look at it, change it and its lifetime, delete it; then many in every way."""
    made = f"{hand.name}-embedded"
    hand.use(made)
    settled(page, made)
    hand.fill("Look up a key", "user:1")
    hand.use("Look up")
    told(page, "The key is not there.")
    hand.fill("Value", '{"name": "Ada", "in": ["London"]}')
    hand.use("Store")
    told(page, "The key is stored.")
    hand.look()
    hand.fill("Change the value", "7")
    hand.tick("For ever")
    hand.use("Save")
    told(page, "never expires")
    hand.fill("So long", "90s")
    hand.use("Save")
    told(page, "1 min")
    hand.use("Delete this key")
    hand.use("Delete the key")
    told(page, "The key is deleted.")

    path = f"/api/v2/{made}"
    pairs = [{"key": f"user:{n}:{'long-' * 20}", "value": "x" * 50} for n in range(3)]
    pairs += [{"key": f"{word}:1", "value": 1, "tags": ["t"]} for word in ("a", "b", "c")]
    assert call(live.port, "POST", path, {"resource": pairs}).status == 201
    hand.fill("Browse keys that start with", "user:")
    hand.use("Browse")
    told(page, "Delete all that start with user:")
    hand.look()
    hand.tick(f"Select {pairs[0]['key']}")
    hand.use("Delete the selected keys: 1")
    hand.fill("Type how many to confirm", "1")
    hand.use("Delete them")
    told(page, "1 key was deleted.")
    hand.use("Delete all that start with user:")
    hand.fill("Type user: to confirm", "user:")
    hand.use("Delete these keys")
    told(page, "2 keys were deleted: all that started with user:")
    hand.use("Several operations at once")
    hand.fill("Operations", '[{"get": "a:1"}, {"delete": "b:1"}, {"fetch": "c:1"}]')
    hand.use("Do them")
    told(page, "Item 2: fetch:")
    hand.fill("Operations", '[{"get": "a:1"}, {"delete": "b:1"}, {"increment": {"key": "a:1"}}]')
    hand.use("Do them")
    told(page, "It became 2.")
    hand.look()
    hand.use("Delete by tag")
    hand.fill("Tags", "t")
    hand.fill("Type the tags again to confirm", "t")
    hand.use("Delete by these tags")
    told(page, "Every entry that had the tag t is deleted.")
    hand.use("Flush this service")
    hand.look()
    hand.fill(f"Type {made} to confirm", made)
    hand.use("Delete all keys")
    told(page, "is flushed")


def api_keys(page: Page, hand: Hand) -> None:
    """Make one, copy it, change it, revoke it."""
    made = f"{hand.name}-embedded"
    name = f"key of {hand.name}"
    hand.use("API keys")
    settled(page, "API keys")
    hand.use("New API key")
    settled(page, "New API key")
    hand.fill("Name", name)
    hand.choose("Service", made)
    hand.tick("POST")
    hand.use("Add a rule")
    expect(page.get_by_label("Service").nth(1)).to_be_focused()
    hand.look()
    # Who moves a rule goes along with it, and what is gone leaves the focus beside its place.
    hand.use("Move rule 2 up")
    expect(page.get_by_role("button", name="Move rule 1 down")).to_be_focused()
    hand.use("Move rule 1 down")
    expect(page.get_by_role("button", name="Move rule 2 up")).to_be_focused()
    hand.use("Remove rule 2")
    expect(page.get_by_role("button", name="Add a rule")).to_be_focused()
    hand.use("Make the key")
    settled(page, f"The API key {name} is made")
    hand.look()
    hand.use("Copy")
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()").startswith("ca_")
    hand.use("Done")
    settled(page, "API keys")
    hand.look()
    hand.use(name)
    settled(page, name)
    hand.tick("everything: administrator, this console included")
    hand.use("Save")
    settled(page, "API keys")
    hand.use(name)
    settled(page, name)
    hand.use("Revoke this key")
    hand.use(f"Revoke {name}")
    told(page, f"The API key {name} is revoked.")


def looking(page: Page, hand: Hand, live: Service) -> None:
    """What fills it, what happens now, who did what."""
    made = f"{hand.name}-embedded"
    hand.use("Services")
    settled(page, "Services")
    hand.use(made)
    settled(page, made)
    assert call(live.port, "POST", f"/api/v2/{made}", {"key": "a:b:c", "value": 1}).status == 201
    hand.use("What fills it")
    settled(page, f"What fills {made}")
    hand.use("Look")
    page.wait_for_url("**depth=**")
    hand.look()
    hand.use("Now")
    settled(page, "What happens now")
    hand.choose("Service", "cache")
    hand.tick("Only failures")
    hand.use("Show these")
    page.wait_for_url("**errors=yes**")
    hand.tick("Hold the list still")
    hand.look()
    hand.use("Audit log")
    settled(page, "Audit log")
    hand.look()
    hand.use("API docs")
    told(page, "A cache over HTTP: JSON values under keys.")


def test_the_first_stop_skips_what_every_page_has(browser: Browser, live: Service) -> None:
    with window(browser) as context:
        page = context.new_page()
        keyboard = Keyboard(page)
        page.goto(f"{live.url}/console/")
        keyboard.look()
        page.reload()
        keyboard.fill("API key", live.api_key)
        page.keyboard.press("Enter")
        settled(page, "Services")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to content")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("New service")
