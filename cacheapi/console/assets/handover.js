// How the API page gets a key: over this tab's sessionStorage, which no server, no other tab and
// no log sees. The key that somebody signed in with stays there until the sign-in page is shown
// again; one to try is taken out by the API page.
const SIGNED_IN = "cacheapi.key";
const TO_TRY = "cacheapi.key-to-try";

export function handOver(root) {
  const signIn = root.querySelector("#sign-in");
  if (signIn) {
    forget();
    signIn.addEventListener("submit", () => keep(SIGNED_IN, signIn.elements.key.value.trim()));
  }
  for (const link of root.querySelectorAll("[data-tries]")) {
    link.addEventListener("click", () => {
      keep(TO_TRY, document.getElementById(link.dataset.tries).value);
    });
  }
}

function keep(name, key) {
  try {
    sessionStorage.setItem(name, key);
  } catch (error) {
    // Storage is switched off: the API page will ask.
  }
}

function forget() {
  try {
    sessionStorage.removeItem(SIGNED_IN);
    sessionStorage.removeItem(TO_TRY);
  } catch (error) {
    // There is none to forget.
  }
}
