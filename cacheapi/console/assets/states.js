// The states of services, each asked for by itself: one that hangs holds up no other.
const AGAIN_MS = 10_000;
const LIMIT_MS = 30_000;

export function askForStates(root) {
  for (const place of root.querySelectorAll("[data-state]")) ask(place);
}

async function ask(place) {
  if (!place.isConnected) return;
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch(place.dataset.state, {
        headers: { "X-Console-Live": "1" },
        signal: AbortSignal.timeout(LIMIT_MS),
      });
      const elsewhere = response.headers.get("X-Console-Location");
      if (elsewhere) {
        // The key was revoked, or the session is over.
        location.assign(elsewhere);
        return;
      }
      const answer = new DOMParser().parseFromString(await response.text(), "text/html");
      const state = answer.getElementById("state");
      if (state) fill(place, state);
      else say(place, answer.querySelector("[role=alert]")?.textContent ?? "Not known.");
    } catch (error) {
      say(place, "cacheapi itself does not answer.");
    }
  }
  setTimeout(ask, AGAIN_MS, place);
}

function fill(place, state) {
  // Nothing moves under a reader's eyes unless something is new.
  if (place.innerHTML === state.innerHTML) return;
  place.replaceChildren(...state.childNodes);
}

function say(place, text) {
  const pill = document.createElement("p");
  pill.className = "pill bad";
  pill.textContent = text;
  place.replaceChildren(pill);
}
