/** As bench.py: prints the number of requests, the seconds, and the seconds of the processor. */

import { Cache } from "../javascript/cacheapi.js";

const [, , url, key, seconds] = process.argv;
const cache = new Cache(url, key, { timeoutMs: 60000, strict: true });
for (let warm = 0; warm < 500; warm += 1) await cache.get("bench");
const started = performance.now();
const used = process.cpuUsage();
let count = 0;
while (performance.now() < started + Number(seconds) * 1000) {
  if ((await cache.get("bench")) !== "v".repeat(230)) process.exit(1);
  count += 1;
}
const { user, system } = process.cpuUsage(used);
console.log(count, (performance.now() - started) / 1000, (user + system) / 1e6);
