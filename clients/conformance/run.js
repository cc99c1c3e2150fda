/** Run the cases of the table on the client of JavaScript: in Node from stdin, in a page by run(). */

import { Cache, CacheError, InvalidKey } from "../javascript/cacheapi.js";

class Failed extends Error {}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function act(cache, name, given) {
  const values = given.map((one) => (one === "forever" ? 0 : one));
  const [key, ttl, value, options] = values;
  switch (name) {
    case "get":
      return cache.get(key, "<absent>");
    case "get_many":
      return Object.fromEntries(await cache.getMany(key));
    case "until_absent":
    case "until_present": {
      const until = Date.now() + 60000;
      const wanted = name === "until_present";
      while ((await cache.has(key)) !== wanted && Date.now() < until) await pause(100);
      return Date.now() < until;
    }
    case "ttl_within": {
      const left = await cache.ttl(key);
      return left !== null && left >= values[1] && left <= values[2];
    }
    case "ttl": {
      const left = await cache.ttl(key);
      return left === 0 ? "forever" : left;
    }
    case "perform":
      for (const what of key.flatMap(Object.values)) {
        if (what.ttl === "forever") what.ttl = 0;
      }
      return cache.perform(key);
    case "last_error":
      return cache.lastError;
    case "set_tagged":
      return cache.set(key, ttl, values[2], { tags: values[3] });
    case "set_many_tagged":
      return cache.setMany(key, ttl, { tags: value });
    case "add_tagged":
      return cache.add(key, ttl, values[2], { tags: values[3] });
    case "remember_failing":
      return cache.remember(key, ttl, () => {
        throw new Failed();
      });
    case "remember_slowly":
      return cache.remember(key, ttl, async () => {
        const { appendFileSync } = await import("node:fs");
        appendFileSync(value, "run\n");
        await pause(1000);
        return "computed";
      });
    case "remember": {
      let computed = 0;
      const found = await cache.remember(
        key,
        ttl,
        async () => {
          computed += 1;
          return value;
        },
        options,
      );
      return { value: found, computed };
    }
    default:
      return cache[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())](...values);
  }
}

async function runCase({ url, key, strict = false, timeout = 60, steps }) {
  const cache = new Cache(url, key, { timeoutMs: timeout * 1000, strict, onError: () => {} });
  const outcomes = [];
  for (const step of steps) {
    try {
      outcomes.push({ gives: await act(cache, step.do, step.with) });
    } catch (error) {
      if (error instanceof CacheError) outcomes.push({ raises: "CacheError" });
      else if (error instanceof Failed) outcomes.push({ raises: "Failed" });
      else if (error instanceof InvalidKey || error instanceof RangeError) {
        outcomes.push({ raises: "Invalid" });
      } else throw error;
    }
  }
  return outcomes;
}

export async function run(cases) {
  const outcomes = [];
  for (const one of cases) outcomes.push(await runCase(one));
  return outcomes;
}

if (globalThis.process?.argv[2] === "stdin") {
  let text = "";
  for await (const part of process.stdin) text += part;
  console.log(JSON.stringify(await run(JSON.parse(text))));
}
