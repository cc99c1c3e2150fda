// The time that a key has left, second by second.
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function countDown(root) {
  for (const place of root.querySelectorAll("[data-left]")) {
    const end = performance.now() + Number(place.dataset.left) * 1000;
    const tick = () => {
      if (!place.isConnected) return;
      const left = Math.max(0, (end - performance.now()) / 1000);
      place.textContent = left > 0 ? words(left) : "expired";
      if (left > 0) setTimeout(tick, 1000);
    };
    tick();
  }
}

function words(seconds) {
  let left = Math.floor(seconds);
  const parts = [];
  for (const [unit, length] of UNITS) {
    if (left >= length) {
      parts.push(`${Math.floor(left / length)} ${unit}`);
      left %= length;
    } else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "less than a second";
}
