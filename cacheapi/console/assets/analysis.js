// What fills a service, from ever larger samples: what is known so far stays while more is looked at.
import { askForPage } from "./asking.js";

const LIMIT_MS = 30_000;

export function lookFiner(root) {
  for (const link of root.querySelectorAll("a[data-finer]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      look(link);
    });
    if (link.dataset.finer === "now") look(link);
  }
}

async function look(link) {
  const region = link.closest("[data-region]");
  if (region.getAttribute("aria-busy") === "true") return;
  region.setAttribute("aria-busy", "true");
  const progress = region.querySelector("progress");
  progress.hidden = false;
  try {
    const answer = await askForPage(link.href, LIMIT_MS);
    if (!answer) return;
    // Where it was refused, what is known stays.
    const next = answer.querySelector("#analysis dl");
    if (!region.isConnected || !next) return;
    const hadFocus = region.contains(document.activeElement);
    region.replaceChildren(...next.closest("#analysis").childNodes);
    region.removeAttribute("aria-busy");
    if (hadFocus) region.querySelector("a[data-finer]")?.focus();
    lookFiner(region);
  } catch (error) {
    link.textContent = "The service did not answer; try again";
  } finally {
    progress.hidden = true;
    region.removeAttribute("aria-busy");
  }
}
