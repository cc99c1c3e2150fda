// What makes the pages livelier; each of them works without.
import { lookFiner } from "./analysis.js";
import { copyButtons } from "./copy.js";
import { countDown } from "./countdown.js";
import { hookForms } from "./live.js";
import { handOver } from "./handover.js";
import { countSelected } from "./selection.js";
import { askForStates } from "./states.js";

function start(root) {
  askForStates(root);
  lookFiner(root);
  countDown(root);
  copyButtons(root);
  handOver(root);
  countSelected(root);
  for (const input of root.querySelectorAll("[data-secret]")) {
    // What is typed takes the place of the mask; it is not put behind it.
    input.addEventListener("focus", () => input.select());
  }
  for (const input of root.querySelectorAll("[data-ending]")) {
    // What it will be if it is left empty: it has the name in it, as that is typed.
    const named = input.form.elements.name;
    const empty = input.placeholder;
    named.addEventListener("input", () => {
      const name = named.value.trim();
      input.placeholder = name ? `${name}${input.dataset.ending}` : empty;
    });
  }
  for (const input of root.querySelectorAll("[data-picks]")) {
    input.addEventListener("input", () => {
      input.form.querySelector(`[type=radio][value=${input.dataset.picks}]`).checked = true;
    });
  }
}

start(document);
hookForms(start);
