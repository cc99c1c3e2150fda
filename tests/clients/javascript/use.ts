// What the types of the module allow, and what not: tsc judges.

import { Cache, CacheError, InvalidKey, type Outcome } from "./cacheapi.js";

export async function use(): Promise<unknown[]> {
  const onError = (message: string) => console.log(message);
  const cache = new Cache("http://127.0.0.1", "key", { timeoutMs: 1, strict: true, onError });
  const unknown: unknown = await cache.get("a");
  const number: number = await cache.get("b", 1);
  const found: Map<string, number> = await cache.getMany<number>(["a"]);
  const stored: boolean = await cache.setMany({ a: [1, { b: null }] }, 60);
  const also: boolean = await cache.setMany(new Map([["a", 1]]));
  const text: string = await cache.remember("a", 60, async () => "v", { stale: 1 });
  const count: number | null = await cache.increment("n", 2, 60);
  const left: number | null = await cache.ttl("a");
  const tagged: boolean = await cache.set("a", 1, 60, { tags: ["t"] });
  const purged: boolean = await cache.deleteTags(["t"]);
  const done: Outcome[] | null = await cache.perform([{ get: "a" }, { set: { key: "b", value: 1 } }]);
  // @ts-expect-error There is no such operation.
  await cache.perform([{ steal: "a" }]);
  // @ts-expect-error A function is no JSON.
  await cache.set("a", () => 1);
  // @ts-expect-error Nothing may be there.
  const there: string = await cache.get<string>("a");
  const status: number = new CacheError("m", 1).status;
  const error: Error = new InvalidKey("m");
  return [unknown, number, found, stored, also, text, count, there, status, error, left, tagged, purged, done];
}
