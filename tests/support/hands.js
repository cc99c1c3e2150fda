// What can be used on a page, in its order, how it is called, and what is in the way of a hand.
window.hand = {
  nameOf(it) {
    const told = it.getAttribute("aria-label") || it.labels?.[0]?.innerText || it.innerText || it.value;
    return (told || "").replace(/\s+/g, " ").trim().replace(/ required$/, "");
  },
  stops() {
    const all = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    return [...document.querySelectorAll(all)].filter((it) =>
      !it.disabled && it.tabIndex >= 0 && it.checkVisibility() && it.getClientRects().length);
  },
  // The place where somebody sees or touches it.
  place(it) {
    if (getComputedStyle(it, "::after").position === "absolute") return it.offsetParent ?? it.closest(".card");
    const label = it.labels?.[0];
    return label?.contains(it) ? label : it;
  },
  seen(it) {
    const { left, top, right, bottom } = it.getClientRects()[0];
    const x = (Math.max(left, 0) + Math.min(right, innerWidth)) / 2;
    const y = (Math.max(top, 0) + Math.min(bottom, innerHeight)) / 2;
    const above = document.elementFromPoint(x, y);
    return !!above && (it.contains(above) || above.contains(it) || it.labels?.[0] === above);
  },
  focused() {
    const it = document.activeElement;
    if (it === document.body) return null;
    const styles = ["", "::after"].map((part) => getComputedStyle(it, part));
    const outlined = styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
    return { name: this.nameOf(it), marked: outlined, seen: this.seen(it), at: this.stops().indexOf(it) };
  },
  // Go to where a page begins.
  begin() {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
    scrollTo(0, 0);
  },
  isBox(name) {
    return this.stops().some((it) => this.nameOf(it) === name && it.type === "checkbox");
  },
  // The radio button that is a stop, of those beside the one of a name.
  checkedBeside(name) {
    const found = this.stops().find((it) => it.type === "radio" && this.nameOf(it) === name);
    return this.nameOf([...found.form.elements[found.name]].find((it) => it.checked));
  },
  find(name, kind) {
    const all = this.stops();
    const from = all.indexOf(this.last) + 1;
    const ordered = [...all.slice(from), ...all.slice(0, from)];
    this.last = ordered.find((it) => this.nameOf(it) === name && it.matches(kind));
    for (const it of document.querySelectorAll("[data-found]")) it.removeAttribute("data-found");
    this.last?.setAttribute("data-found", "");
    return !!this.last;
  },
  // What a finger would miss, cannot read, or is cut off.
  faults() {
    const found = [];
    const say = (what, it) => found.push(`${what}: ${it.outerHTML.slice(0, 120)}`);
    for (const it of this.stops()) {
      const { width, height } = this.place(it).getBoundingClientRect();
      // A link in a sentence is as high as its line (WCAG 2.2, 2.5.8).
      const inSentence = it.matches("a") && getComputedStyle(it).display === "inline" && it.parentElement.innerText !== it.innerText;
      if (!inSentence && !it.matches("[tabindex='0']") && (width < 24 || height < 24)) say(`${width} x ${height}`, it);
      if (it.matches("input:not([type=checkbox], [type=radio]), select, textarea") && parseFloat(getComputedStyle(it).fontSize) < 16) say("a phone zooms", it);
    }
    for (const it of document.querySelectorAll("main *, header *")) {
      const style = getComputedStyle(it);
      if (!it.checkVisibility() || it.closest(".sr, svg, select, input, textarea")) continue;
      if (/hidden|clip/.test(style.overflowX) && it.scrollWidth > it.clientWidth + 1) say("cut off", it);
      if (it.getBoundingClientRect().right > innerWidth + 1 && !it.closest("[class=scroll], .value")) say("out of sight", it);
    }
    if (document.documentElement.scrollWidth > innerWidth) found.push(`${document.documentElement.scrollWidth} px wide`);
    return found;
  },
};
