"""How well graphics of a page are told from what is behind them (WCAG 2.2, 1.4.11)."""

from __future__ import annotations

from typing import Final, NamedTuple

from playwright.sync_api import Page

LEAST: Final = 3.0
# The shapes of pictures, the dots of states, and icons on a ground of their own. Lines to measure
# by, and what a bar is a part of, are told by what stands on them.
_FIND: Final = r"""() => {
  const seen = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const ground = (place) => {
    const above = [];
    for (; place; place = place.parentElement) {
      const [r, g, b, alpha = 1] = seen(getComputedStyle(place).backgroundColor);
      above.push([r, g, b, alpha]);
      if (alpha === 1) break;
    }
    return above.reverse().reduce((under, [r, g, b, alpha]) =>
      [r, g, b].map((part, at) => part * alpha + under[at] * (1 - alpha)), [255, 255, 255]);
  };
  const shapes = [...document.querySelectorAll("main svg :is(rect, path, line, polyline)")]
    .filter((shape) => !shape.matches(".grid, .whole, defs *, symbol *"))
    .map((shape) => {
      const { fill, stroke } = getComputedStyle(shape);
      const behind = shape.closest("svg").parentElement;
      return [shape, fill === "none" ? stroke : fill, behind];
    });
  const dots = [...document.querySelectorAll(".dot")].map((dot) =>
    [dot, getComputedStyle(dot).borderTopWidth === "0px" ? getComputedStyle(dot).backgroundColor
      : getComputedStyle(dot).borderTopColor, dot.parentElement]);
  const icons = [...document.querySelectorAll(".copy-to-clipboard button")].map((icon) =>
    [icon, "rgb(255, 255, 255)", icon]);
  const through = (place) => {
    let part = 1;
    for (; place; place = place.parentElement) part *= getComputedStyle(place).opacity;
    return part;
  };
  return [...shapes, ...dots, ...icons]
    .filter(([place]) => {
      const { width, height } = place.getBoundingClientRect();
      return width || height;
    })
    .map(([place, color, behind]) => {
      const under = ground(behind), part = through(place) * (seen(color)[3] ?? 1);
      const named = place.getAttribute("class") ? place : place.parentElement;
      const kind = named.getAttribute("class");
      const shown = seen(color).slice(0, 3).map((one, at) => one * part + under[at] * (1 - part));
      return [`${place.tagName} ${kind}`, shown, under];
    });
}"""


class Graphic(NamedTuple):
    """A shape: its name, its colour and that behind it, as red, green, blue of 0 to 255."""

    name: str
    color: tuple[float, ...]
    behind: tuple[float, ...]

    @property
    def contrast(self) -> float:
        """How well it is told from what is behind it: 1 not at all, 21 black on white."""
        lights = sorted(map(_light, (self.color, self.behind)))
        return (lights[1] + 0.05) / (lights[0] + 0.05)


def graphics(page: Page) -> list[Graphic]:
    """Return what can be seen of a page that is no text."""
    return [
        Graphic(name, tuple(color), tuple(behind)) for name, color, behind in page.evaluate(_FIND)
    ]


def distance(one: Graphic, other: Graphic) -> float:
    """Return how far two colours are from each other (CIE 1976): 2 can be seen side by side."""
    pairs = zip(_lab(one.color), _lab(other.color), strict=True)
    return float(sum((left - right) ** 2 for left, right in pairs) ** 0.5)


def _linear(color: tuple[float, ...]) -> list[float]:
    parts = (part / 255 for part in color)
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _light(color: tuple[float, ...]) -> float:
    red, green, blue = _linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(color: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = _linear(color)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    a, b, c = (
        part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116
        for part in (x, _light(color), z)
    )
    return 116 * b - 16, 500 * (a - b), 200 * (b - c)
