// Ask for an API key, then show the description of the API with it filled in.
"use strict";

const page = document.getElementById("api");
const ask = document.getElementById("ask-key");
const form = ask.querySelector("form");
const notice = document.getElementById("notice");

// Swagger UI has a dark side, for who wants it.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

async function show(key) {
  notice.textContent = "Loading …";
  let response;
  try {
    response = await fetch(page.dataset.description, {
      headers: { "X-DreamFactory-API-Key": key },
    });
  } catch (error) {
    notice.textContent = `The service cannot be reached: ${error.message}`;
    return;
  }
  const answer = await response.json();
  if (!response.ok) {
    notice.textContent = answer.error.message;
    return;
  }
  ask.remove();
  mend(page);
  const ui = SwaggerUIBundle({
    spec: answer,
    domNode: page,
    deepLinking: true,
    displayRequestDuration: true,
    // Sixty names that nobody has asked for are a long way down on a phone.
    defaultModelsExpandDepth: 0,
    plugins: [withoutNestedLinks],
    onComplete: () => ui.preauthorizeApiKey("apiKey", key),
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(form.elements.key.value.trim());
});

const address = new URL(location.href);
const given = address.searchParams.get("api_key");
if (given) {
  // A key is not left in the address bar, the history or a screenshot.
  address.searchParams.delete("api_key");
  history.replaceState(null, "", address);
  show(given);
} else {
  const kept = handedOver();
  if (kept) show(kept);
}

// The console leaves a key in this tab's sessionStorage: one to try, for this once, or the one
// that somebody signed in with. No server, other tab or log sees it.
function handedOver() {
  try {
    const toTry = sessionStorage.getItem("cacheapi.key-to-try");
    sessionStorage.removeItem("cacheapi.key-to-try");
    return toTry ?? sessionStorage.getItem("cacheapi.key");
  } catch (error) {
    return null;
  }
}
