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

export interface Tags {
  /** By which the value can be deleted with others. */
  tags?: readonly string[];
}

type Pair = { key: string; value: Json; ttl?: number; tags?: readonly string[] };

/** One of several operations, as the API has them. */
export type Operation =
  | { get: string }
  | { pull: string }
  | { exists: string }
  | { delete: string }
  | { set: Pair }
  | { add: Pair }
  | { replace: Pair }
  | { touch: { key: string; ttl?: number } }
  | { increment: { key: string; by?: number; initial?: number; ttl?: number } };

/** What became of an operation. */
export interface Outcome {
  key: string;
  success: boolean;
  exists?: boolean;
  value?: unknown;
  code?: number;
  message?: string;
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
  set(key: string, value: Json, ttl?: number, options?: Tags): Promise<boolean>;
  setMany(
    values: Iterable<readonly [string, Json]> | Record<string, Json>,
    ttl?: number,
    options?: Tags,
  ): Promise<boolean>;
  add(key: string, value: Json, ttl?: number, options?: Tags): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  deleteMany(keys: Iterable<string>): Promise<boolean>;
  /** Delete every value that has one of some tags. */
  deleteTags(tags: Iterable<string>): Promise<boolean>;
  clear(): Promise<boolean>;
  has(key: string): Promise<boolean>;
  /** The seconds left, 0 for ever; null where there is nothing. */
  ttl(key: string): Promise<number | null>;
  /** Several different operations, in order; null if the cache is away. */
  perform(operations: Iterable<Operation>): Promise<Outcome[] | null>;
  increment(key: string, by?: number, ttl?: number): Promise<number | null>;
  touch(key: string, ttl?: number): Promise<boolean>;
  remember<T extends Json>(
    key: string,
    ttl: number | undefined,
    compute: () => T | Promise<T>,
    options?: Lease,
  ): Promise<T>;
}
