"""A person at the console who has a keyboard alone, or a phone: neither has a mouse.

Both find what they use by the name that it says, the next one on the page, and complain of what
is in their way: a stop that cannot be seen, or what is too small for a finger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page, expect

_SCRIPT: Final = Path(__file__).with_suffix(".js").read_text()
_MOST_STOPS: Final = 250
_FIELDS: Final = "input:not([type=checkbox], [type=radio]), textarea"
_BOXES: Final = "[type=checkbox], [type=radio]"
_ACTIONS: Final = "a, button, summary"


class Hand:
    """What both can do."""

    name: str
    options: dict[str, Any]

    def __init__(self, page: Page) -> None:
        self.page = page
        page.add_init_script(_SCRIPT)

    def use(self, name: str) -> None:
        """Follow a link, press a button, open what is folded."""
        raise NotImplementedError

    def fill(self, name: str, text: str) -> None:
        """Type into a field, in place of what was there."""
        raise NotImplementedError

    def tick(self, name: str) -> None:
        """Check a box, or take one of several choices."""
        raise NotImplementedError

    def choose(self, name: str, option: str) -> None:
        """Take an entry of a list."""
        raise NotImplementedError

    def look(self) -> None:
        """Look at the page as a whole, and complain."""
        raise NotImplementedError


class Keyboard(Hand):
    """Tab, Shift+Tab, Enter, Space, arrows, Escape, and what is typed."""

    name = "keyboard"
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}  # noqa: RUF012

    def use(self, name: str) -> None:
        self._to(name, _ACTIONS)
        self.page.keyboard.press("Enter")

    def fill(self, name: str, text: str) -> None:
        self._to(name, _FIELDS)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def tick(self, name: str) -> None:
        if not self._has_stop(name):
            # Of radio buttons one is a stop; the arrows choose another.
            self._to_group_of(name)
            for _ in range(10):
                self.page.keyboard.press("ArrowDown")
                if self._focused()["name"] == name:
                    return
            raise AssertionError(f"no arrow leads to {name}")
        self._to(name, _BOXES)
        self.page.keyboard.press("Space")

    def choose(self, name: str, option: str) -> None:
        self._to(name, "select")
        self.page.keyboard.type(option)
        expect(self.page.locator(":focus")).to_have_js_property("value", option)

    def look(self) -> None:
        """Go over all stops, and one back: each is reached, in the page's order, and seen."""
        self.page.evaluate("hand.begin()")
        wanted = self.page.evaluate(
            "hand.stops().filter(it => it.type !== 'radio' || it.checked).map(hand.nameOf)"
        )
        found: list[str] = []
        at = -1
        while len(found) < len(wanted):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement === document.body"):
                break
            focused = self._focused()
            # The parts of a date are stops of one field.
            if focused["at"] != at:
                found.append(focused["name"])
            at = focused["at"]
        assert found == wanted, f"{self.page.url}: {found}, not {wanted}"
        self.page.keyboard.press("Shift+Tab")
        assert self._focused()["name"] == wanted[-2]

    def _focused(self) -> dict[str, Any]:
        focused = self.page.evaluate("hand.focused()")
        assert focused is not None, f"the focus is lost on {self.page.url}"
        assert focused["seen"], f"{focused} of {self.page.url} is out of sight"
        assert focused["marked"], f"{focused} of {self.page.url} looks as without focus"
        found: dict[str, Any] = focused
        return found

    def _to(self, name: str, kind: str) -> None:
        """Go on to the next stop of a name and kind, once round the page at most."""
        passed = []
        for _ in range(_MOST_STOPS):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement === document.body"):
                # Behind the last stop is the browser itself.
                continue
            focused = self._focused()
            passed.append(focused["name"])
            if focused["name"] == name and self.page.evaluate(
                "kind => document.activeElement.matches(kind)", kind
            ):
                return
        raise AssertionError(f"no key leads to {name} on {self.page.url}: {sorted(set(passed))}")

    def _has_stop(self, name: str) -> bool:
        return bool(self.page.evaluate("name => hand.isBox(name)", name))

    def _to_group_of(self, name: str) -> None:
        group = self.page.evaluate(
            "name => hand.checkedBeside(name)",
            name,
        )
        self._to(group, "[type=radio]")


class Touch(Hand):
    """A finger on a phone."""

    name = "touch"
    options: dict[str, Any] = {  # noqa: RUF012
        "viewport": {"width": 390, "height": 800},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    }

    def use(self, name: str) -> None:
        self._find(name, _ACTIONS).tap()

    def fill(self, name: str, text: str) -> None:
        found = self._find(name, _FIELDS)
        found.tap()
        expect(found).to_be_focused()
        found.fill(text)

    def tick(self, name: str) -> None:
        found = self._find(name, _BOXES)
        found.tap()
        expect(found).to_be_checked()

    def choose(self, name: str, option: str) -> None:
        found = self._find(name, "select")
        found.tap()
        found.select_option(option)

    def look(self) -> None:
        """Nothing is too small for a finger, cut off, or beside the screen."""
        faults = self.page.evaluate("hand.faults()")
        assert faults == [], f"{self.page.url}: {faults}"

    def _find(self, name: str, kind: str) -> Locator:
        assert self.page.evaluate("([name, kind]) => hand.find(name, kind)", [name, kind]), (
            f"there is no {name} on {self.page.url}:"
            f" {self.page.evaluate('hand.stops().map(hand.nameOf)')}"
        )
        return self.page.locator("[data-found]")
