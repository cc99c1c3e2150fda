"""The system's Chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

# It speaks to nobody but the pages of the tests.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
# A start costs seconds where the machine is busy.
PATIENCE_MS = 90_000


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser. While it does, no other loop of asyncio runs on this thread."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "tests/system-packages installs chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=list(ARGUMENTS), timeout=PATIENCE_MS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def window(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Open a window with cookies and storage of its own."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield context
    finally:
        context.close()
