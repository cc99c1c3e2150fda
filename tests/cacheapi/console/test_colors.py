"""Bars, lines, dots and icons are told from what is behind them, and from each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import combinations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE_MS, chromium, window
from tests.support.contrast import LEAST, distance, graphics
from tests.support.live import call
from tests.support.processes import Service, free_port, service

pytestmark = pytest.mark.timeout(600)
expect.set_options(timeout=PATIENCE_MS)
# Of each class of lifetimes an entry: a minute, an hour, a day, a week, longer, for ever.
LIFETIMES = (50, 3000, 80_000, 500_000, 2_000_000, 0)
FAR = 25


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("colors")
    with service(directory, WEB_CONCURRENCY="1", CACHEAPI_SAMPLE_SECONDS="1") as running:
        down = {"name": "down", "type": "cache_memcached", "config": {"port": free_port()}}
        made = [down, {"name": "off", "type": "cache_local", "is_active": False}]
        answer = call(running.port, "POST", "/api/v2/system/service", {"resource": made})
        assert answer.status == 201
        yield running


def signed_in(page: Page, live: Service) -> None:
    page.goto(f"{live.url}/console/")
    page.get_by_label("API key").fill(live.api_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Services")).to_be_visible()


def fill(live: Service) -> None:
    pairs = [{"key": f"k:{ttl}", "value": 1, "ttl": ttl} for ttl in LIFETIMES]
    answer = call(live.port, "POST", "/api/v2/cache", {"resource": pairs})
    assert answer.status == 201


# Whether what has the focus shows it, and what that is.
_FOCUSED = """() => {
  const place = document.activeElement;
  const styles = [getComputedStyle(place), getComputedStyle(place, "::after")];
  const shows = ({ outlineStyle, outlineWidth }) =>
    outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  return [place.tagName, styles.some(shows), place.className];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_is_seen_on_the_api_page(browser: Browser, live: Service, scheme: str) -> None:
    with window(browser, viewport={"width": 1280, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        signed_in(page, live)
        page.goto(f"{live.url}/console/api-docs")
        store = page.locator("[id$=-store]")
        store.locator(".opblock-summary-control").click()
        store.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Sign out").focus()
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(_FOCUSED))
        assert {"BUTTON", "INPUT", "SELECT", "TEXTAREA"} <= {kind for kind, _, _ in seen}
        assert [found for found in seen if not found[1]] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_graphics_have_contrast(browser: Browser, live: Service, scheme: str) -> None:
    with window(browser, viewport={"width": 1280, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        signed_in(page, live)
        expect(page.locator("[data-waiting]")).to_have_count(0)
        seen = graphics(page)
        assert {each.name for each in seen} == {"SPAN dot"}
        fill(live)
        page.goto(f"{live.url}/console/service/cache/analysis")
        expect(page.get_by_role("heading", name="By prefix")).to_be_visible()
        bars = graphics(page)
        # Two bars, and the second once more in words.
        assert len(bars) == 1 + 2 * len(LIFETIMES)
        of_lives = {each.name: each for each in bars if "life-" in each.name}
        assert len(of_lives) == len(LIFETIMES)
        assert [
            (one.name, other.name, round(distance(one, other)))
            for one, other in combinations(of_lives.values(), 2)
            if distance(one, other) < FAR
        ] == []
        deadline = time.monotonic() + 60
        while True:
            page.goto(f"{live.url}/console/service/cache")
            lines = graphics(page)
            if {"polyline line-hits", "polyline line-evictions"} <= {each.name for each in lines}:
                break
            assert time.monotonic() < deadline, lines
            time.sleep(0.5)
        page.goto(f"{live.url}/console/api-docs")
        expect(page.get_by_text("A cache over HTTP: JSON values under keys.")).to_be_visible()
        icons = graphics(page)
        copies = [each for each in icons if each.name.startswith("BUTTON")]
        assert len(copies) > 10
        # They do not lie over what is beside them.
        widths = page.locator(".opblock-summary .copy-to-clipboard").evaluate_all(
            "all => all.map(it => it.getBoundingClientRect().width)"
        )
        assert min(widths) >= 24
        assert [
            (each.name, round(each.contrast, 2))
            for each in (*seen, *bars, *lines, *icons)
            if each.contrast < LEAST
        ] == []
