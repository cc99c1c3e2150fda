// Asks for a page of the console in the background; what came, or nothing where the browser has
// gone elsewhere: the key was revoked, or the session is over.
export async function askForPage(url, limitMs, options = {}) {
  const response = await fetch(url, {
    ...options,
    headers: { "X-Console-Live": "1" },
    signal: AbortSignal.timeout(limitMs),
  });
  const elsewhere = response.headers.get("X-Console-Location");
  if (elsewhere) {
    location.assign(elsewhere);
    return null;
  }
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
