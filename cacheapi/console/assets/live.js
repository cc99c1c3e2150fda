// Forms that are sent without leaving the page: the answer is the page that a plain form would
// have got, and the parts of it that are marked as regions take the place of ours. What was
// typed stays, a password too.
import { askForPage } from "./asking.js";

const LIMIT_MS = 60_000;

const marked = (root) => [...root.querySelectorAll("[data-region]")];

export function hookForms(start) {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-live]")) return;
    event.preventDefault();
    send(form, event.submitter, start);
  });
}

async function send(form, button, start) {
  if (form.getAttribute("aria-busy") === "true") return;
  form.setAttribute("aria-busy", "true");
  const focused = document.activeElement?.id;
  try {
    // Not form.action: that is a button of this name.
    const answer = await askForPage(form.getAttribute("action"), LIMIT_MS, {
      method: "POST",
      body: new FormData(form, button),
    });
    if (!answer) return;
    show(answer, start);
    focus(button, focused);
  } catch (error) {
    tell(form, "The service did not answer. Nothing is known to be changed; try again.");
  } finally {
    form.removeAttribute("aria-busy");
  }
}

function show(answer, start) {
  const main = document.getElementById("main");
  const other = answer.getElementById("main");
  if (other.dataset.page !== main.dataset.page) {
    main.replaceWith(other);
    start(other);
    other.focus();
    window.scrollTo(0, 0);
    return;
  }
  for (const region of marked(main)) {
    const next = answer.getElementById(region.id);
    if (!next) continue;
    region.replaceChildren(...next.childNodes);
    start(region);
    const field = region.dataset.of && document.getElementById(region.dataset.of);
    if (!field) continue;
    if (region.textContent.trim()) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}

// Where a person goes on: at what is wrong, or at what the button has brought.
function focus(button, focused) {
  const wrong = document.querySelector("[aria-invalid=true]");
  if (wrong) {
    const folded = wrong.closest("details");
    if (folded) folded.open = true;
    wrong.focus();
    return;
  }
  const news = document.querySelector("#faults > *, #outcome > *");
  if (news) {
    news.focus();
    news.scrollIntoView({ block: "nearest" });
    return;
  }
  const [what, at] = (button?.value ?? "").split(":");
  if (what === "add") {
    [...document.querySelectorAll(".rule [name$=-service]")].at(-1)?.focus();
  } else if (at) {
    follow(what, { up: -1, down: 1, remove: 0 }[what] + Number(at));
  } else if (focused) {
    document.getElementById(focused)?.focus();
  }
}

// To the button of the rule that was moved, or of the one in the place of what is gone.
function follow(what, rule) {
  const first = (selector) => document.querySelector(`button${selector}:not(:disabled)`);
  (first(`[value="${what}:${rule}"]`) ?? first(`[value$=":${rule}"]`) ?? first("[value=add]"))?.focus();
}

function tell(form, text) {
  const place = form.querySelector("#faults");
  const alert = document.createElement("div");
  alert.className = "alert";
  alert.setAttribute("role", "alert");
  alert.tabIndex = -1;
  alert.textContent = text;
  place?.replaceChildren(alert);
  alert.focus();
}
