"""The pictures of the README, taken anew: ``make pictures``.

Of the console over a service that has a little of everything, in the system's Chromium.
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE_MS, chromium, window
from tests.support.live import Connection
from tests.support.processes import Service, free_port, memcached, service

PICTURES: Final = Path(__file__).parents[2] / "docs" / "img"
CACHE: Final = "/api/v2/cache"
PRODUCT: Final = {
    "name": "Lamp",
    "price": {"amount": 49.9, "currency": "EUR"},
    "colours": ["white", "black"],
    "in_stock": True,
}


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as directory, memcached() as server:
        settings = {"CACHEAPI_SAMPLE_SECONDS": "1", "CACHEAPI_LOG_KEYS": "hash"}
        with service(Path(directory), WEB_CONCURRENCY="1", **settings) as live:
            fill(live, server.port)
            with chromium() as browser:
                with opened(browser, live, 1120, 880, "light") as page:
                    settled(page)
                    page.screenshot(path=PICTURES / "services.png")
                with opened(browser, live, 390, 800, "dark") as page:
                    page.goto(f"{live.url}/console/service/catalogue?key=product:1")
                    settled(page)
                    page.locator(".entry").evaluate("place => place.scrollIntoView()")
                    page.screenshot(path=PICTURES / "service-phone.png")
                with opened(browser, live, 1120, 520, "light") as page, asked(live):
                    page.goto(f"{live.url}/console/now")
                    page.locator("tbody tr").nth(12).wait_for()
                    page.screenshot(path=PICTURES / "now.png")
                with opened(browser, live, 1120, 800, "light") as page:
                    page.goto(f"{live.url}/console/service/catalogue/analysis")
                    page.get_by_role("heading", name="By prefix").wait_for()
                    page.screenshot(path=PICTURES / "fills.png")
                    page.goto(f"{live.url}/console/service/catalogue?prefix=product:1")
                    settled(page)
                    for number in range(3):
                        page.locator("[name=selected]").nth(number).check()
                    page.locator("summary", has_text="Delete the selected").click()
                    page.locator("#keys-title").evaluate("place => place.scrollIntoView()")
                    page.screenshot(path=PICTURES / "selection.png")
                act(live)
                with opened(browser, live, 1120, 520, "dark") as page:
                    page.goto(f"{live.url}/console/audit")
                    page.screenshot(path=PICTURES / "audit.png")


def settled(page: Page) -> None:
    """Wait until the states of services are there."""
    expect(page.locator("[data-waiting]")).to_have_count(0, timeout=PATIENCE_MS)


def fill(live: Service, port: int) -> None:
    """Make services, and use them."""
    used: dict[str, Any] = {"port": port, "prefix": "sessions:"}
    made = [
        {"name": "catalogue", "label": "Catalogue", "type": "cache_local", "config": {},
         "description": "Product pages of the shop."},
        {"name": "reports", "label": "Reports", "type": "cache_local", "is_active": False},
        {"name": "search", "label": "Search results", "type": "cache_memcached",
         "config": {"port": free_port()}, "description": "The search team looks after it."},
        {"name": "sessions", "label": "Sessions", "type": "cache_memcached", "config": used,
         "description": "Who is signed in, and what is in the basket."},
    ]  # fmt: skip
    chance = random.Random(1)
    with Connection(live.port) as connection:
        connection.call("POST", "/api/v2/system/service", {"resource": made})
        for name, word in (("catalogue", "product"), ("sessions", "user"), ("cache", "page")):
            pairs = [{"key": f"{word}:{number}", "value": PRODUCT} for number in range(290)]
            connection.call("POST", f"/api/v2/{name}", {"resource": pairs})
            for other, count, size, ttl in (("list:new", 40, 900, 600), ("image", 12, 9000, 0)):
                more = [
                    {"key": f"{other}:{number}", "value": "x" * size, "ttl": ttl}
                    for number in range(count)
                ]
                connection.call("POST", f"/api/v2/{name}", {"resource": more})
            for _ in range(400):
                connection.call("GET", f"/api/v2/{name}/{word}:{chance.randrange(340)}")


def act(live: Service) -> None:
    """Do what the audit log notes."""
    with Connection(live.port) as connection:
        rules = [{"service": "sessions", "verbs": ["GET", "POST", "DELETE"], "keys": "user:*"}]
        for name in ("web shop", "nightly report"):
            body = {"name": name, "rules": rules}
            made = connection.call("POST", "/api/v2/system/api_key", body)
        number = made.json["resource"][0]["id"]
        connection.call("DELETE", f"/api/v2/system/api_key/{number}")
        connection.call("PATCH", "/api/v2/system/service/search", {"label": "Search"})
        connection.call("DELETE", "/api/v2/catalogue?prefix=list:")
        connection.call("DELETE", "/api/v2/catalogue")


@contextmanager
def asked(live: Service) -> Iterator[None]:
    """Ask the service for this and that meanwhile."""
    stop, chance = threading.Event(), random.Random(2)

    def ask() -> None:
        with Connection(live.port) as connection:
            while not stop.wait(0.05):
                key = f"page:{chance.randrange(340)}"
                connection.call("GET", f"{CACHE}/{key}")
                if chance.random() < 0.3:
                    connection.call("PUT", f"{CACHE}/{key}", {"value": PRODUCT})
                if chance.random() < 0.2:
                    connection.call("GET", f"{CACHE}/{key}?ttl=true")
                if chance.random() < 0.1:
                    connection.call("GET", "/api/v2/search/lamps")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def opened(browser: Browser, live: Service, width: int, height: int, scheme: Any) -> Iterator[Page]:
    """Open the console in a window, signed in."""
    size: Any = {"width": width, "height": height}
    with window(browser, viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{live.url}/console/")
        page.get_by_label("API key").fill(live.api_key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Services").wait_for()
        yield page


if __name__ == "__main__":
    main()
