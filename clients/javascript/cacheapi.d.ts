/** What JSON carries. Integers beyond 2^53 lose digits in JavaScript. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export interface Options {
  /** For a whole answer, the connection included; 2000. */
  timeoutMs?: number;
  /** Throw a CacheError where the cache is away or refuses; false. */
  strict?: boolean;
  /** Called with what went wrong, once until it changes; console.warn. */
  onError?: (message: string) => void;
  /** Another one than the global. */
  fetch?: typeof globalThis.fetch;
}

export interface Lease {
  /** Seconds for which the one who computes keeps the others waiting: longer than it takes; 30. */
  lease?: number;
  /** Seconds that another waits before it computes, too; as the lease. */
  wait?: number;
  /** Seconds after its end for which the last value is served to the others; 0. */
  stale?: number;
}

/** The cache gave no answer (status 0) or refused (its HTTP status). Thrown only if asked. */
export class CacheError extends Error {
  constructor(message: string, status: number);
  readonly status: number;
}

/** A key that no cache takes, or no URL carries. */
export class InvalidKey extends TypeError {
  constructor(message: string);
}

/**
 * A service of cacheapi. A cache that is away is a miss, and a write that gives false.
 * A ttl is undefined (the service's default), 0 (for ever) or seconds from now.
 */
export class Cache {
  constructor(url: string, apiKey: string, options?: Options);
  /** What went wrong last, or null while the cache works. */
  readonly lastError: string | null;
  get<T = unknown>(key: string): Promise<T | undefined>;
  get<T = unknown>(key: string, instead: T): Promise<T>;
  getMany<T = unknown>(keys: Iterable<string>): Promise<Map<string, T>>;
  set(key: string, value: Json, ttl?: number): Promise<boolean>;
  setMany(
    values: Iterable<readonly [string, Json]> | Record<string, Json>,
    ttl?: number,
  ): Promise<boolean>;
  add(key: string, value: Json, ttl?: number): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  deleteMany(keys: Iterable<string>): Promise<boolean>;
  clear(): Promise<boolean>;
  has(key: string): Promise<boolean>;
  increment(key: string, by?: number, ttl?: number): Promise<number | null>;
  touch(key: string, ttl?: number): Promise<boolean>;
  remember<T extends Json>(
    key: string,
    ttl: number | undefined,
    compute: () => T | Promise<T>,
    options?: Lease,
  ): Promise<T>;
}
