// What Swagger UI leaves out for who hears the page, or has a keyboard alone.
"use strict";

// A link within a button cannot be reached; the button does the same.
const withoutNestedLinks = {
  wrapComponents: {
    DeepLink: (Original, system) => ({ text }) => system.React.createElement("span", null, text),
  },
};

// Swagger UI draws anew when it likes: each time, what is new gets what it lacks.
function mend(page) {
  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      nameAll(page);
      holdFocus(page);
    });
  };
  new MutationObserver(soon).observe(page, { childList: true, subtree: true });
  soon();
}

const LEVELS = [
  ["h3.opblock-tag, .modal-ux h3", 2],
  [".opblock h4, .models h4, .modal-ux h4", 3],
  [".opblock h5, .modal-ux :is(h5, h6)", 4],
];

function nameAll(page) {
  const give = (selector, name) => {
    for (const found of page.querySelectorAll(`${selector}:not([aria-label])`)) {
      const made = typeof name === "string" ? name : name(found);
      if (made) found.setAttribute("aria-label", made);
    }
  };
  give(".information-container > section", "About this API");
  give(".scheme-container > section", "Authorization");
  give("tr[data-param-name] :is(input, select, textarea)", nameOfParameter);
  give(".body-param textarea", "Request body");
  give(".examples-select-element", "Example");
  give(".close-modal", "Close");
  give(".responses-table, .live-responses-table", (table) => {
    const path = table.closest(".opblock")?.querySelector(".opblock-summary-path")?.dataset.path;
    const method = table.closest(".opblock")?.querySelector(".opblock-summary-method")?.textContent;
    const what = table.matches(".live-responses-table") ? "Answer" : "Responses";
    return path && `${what} of ${method} ${path}`;
  });
  // The levels of headings, without one left out.
  for (const [selector, level] of LEVELS) {
    for (const heading of page.querySelectorAll(`:is(${selector}):not([aria-level])`)) {
      heading.setAttribute("role", "heading");
      heading.setAttribute("aria-level", level);
    }
  }
  // What scrolls is scrolled by keys too.
  for (const text of page.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
}

function nameOfParameter(field) {
  const row = field.closest("tr");
  const all = [...row.querySelectorAll("input, select, textarea")];
  const name = row.dataset.paramName;
  return all.length > 1 ? `${name}, ${all.indexOf(field) + 1}` : name;
}

// The dialog "Available authorizations": it has the focus while it is open, and gives it back.
let opener = null;

function holdFocus(page) {
  const dialog = page.querySelector(".dialog-ux .modal-ux");
  if (!dialog) {
    if (opener) (opener.isConnected ? opener : page.querySelector(".btn.authorize"))?.focus();
    opener = null;
    return;
  }
  if (dialog.hasAttribute("role")) return;
  opener = document.activeElement;
  dialog.setAttribute("role", "dialog");
  dialog.setAttribute("aria-modal", "true");
  dialog.setAttribute("aria-label", "Available authorizations");
  dialog.addEventListener("keydown", (event) => {
    const stops = [...dialog.querySelectorAll("button, input, a[href]")].filter((it) => !it.disabled);
    if (event.key === "Escape") dialog.querySelector(".close-modal").click();
    else if (event.key !== "Tab") return;
    else if (event.shiftKey && document.activeElement === stops[0]) stops.at(-1).focus();
    else if (!event.shiftKey && document.activeElement === stops.at(-1)) stops[0].focus();
    else return;
    event.preventDefault();
  });
  dialog.querySelector("button, input").focus();
}
