// The states of services, each asked for by itself: one that hangs holds up no other.
import { askForPage } from "./asking.js";

const AGAIN_MS = 10_000;
const LIMIT_MS = 30_000;
// After a flush the number of keys is asked until it is none, but not for ever.
const SOON_MS = 500;
const PATIENCE_MS = 30_000;

export function askForStates(root) {
  for (const place of root.querySelectorAll("[data-state]")) {
    ask(place, "flushed" in place.dataset ? performance.now() + PATIENCE_MS : 0);
  }
}

// until: when to stop asking soon for a number of keys that is not none yet.
async function ask(place, until) {
  if (!place.isConnected) return;
  const held = document.getElementById(place.dataset.hold)?.checked;
  if (document.visibilityState === "visible" && !held) {
    try {
      const answer = await askForPage(place.dataset.state, LIMIT_MS);
      if (!answer) return;
      const state = answer.getElementById("state");
      if (state) fill(place, state);
      else say(place, answer.querySelector("[role=alert]")?.textContent ?? "Not known.");
    } catch (error) {
      say(place, "cacheapi itself does not answer.");
    }
  }
  const emptying = Number(place.querySelector("[data-keys]")?.dataset.keys) > 0 && until > 0;
  if (emptying && performance.now() < until) {
    setTimeout(ask, SOON_MS, place, until);
    return;
  }
  if (emptying) {
    hint(place, "The server still counts keys: it frees what was flushed when it needs the room, or others have stored since.");
  }
  setTimeout(ask, Number(place.dataset.every) || AGAIN_MS, place, 0);
}

function fill(place, state) {
  // Nothing moves under a reader's eyes unless something is new.
  if (place.innerHTML === state.innerHTML) return;
  place.replaceChildren(...state.childNodes);
}

function hint(place, text) {
  const line = document.createElement("p");
  line.className = "why";
  line.textContent = text;
  place.append(line);
}

function say(place, text) {
  const pill = document.createElement("p");
  pill.className = "pill bad";
  pill.textContent = text;
  place.replaceChildren(pill);
}
