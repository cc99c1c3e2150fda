/** A client of cacheapi, for browsers, Node and edge: `fetch` and nothing else. */

/** How long a cache that gave no answer is not asked again, in milliseconds. */
const PAUSE = 1000;
/** The service takes a longer lifetime, in seconds, as a Unix time. */
const MONTH = 2592000;
/** The longest key, in bytes, that has its lease beside it by name; memcached takes 250. */
const LONGEST = 200;
/** The longest query of a URL; a longer list of keys goes as a body. */
const LONGEST_QUERY = 4000;

/** The cache gave no answer (status 0) or refused (its HTTP status). Thrown only if asked. */
export class CacheError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "CacheError";
    this.status = status;
  }
}

/** A key that no cache takes, or no URL carries. */
export class InvalidKey extends TypeError {
  constructor(message) {
    super(message);
    this.name = "InvalidKey";
  }
}

/**
 * A service of cacheapi. A cache that is away is a miss, and a write that gives false.
 * Values are what JSON carries. A ttl is undefined (the service's default), 0 (for ever) or
 * seconds from now.
 */
export class Cache {
  #url;
  #fields;
  #timeout;
  #strict;
  #onError;
  #fetch;
  #awayUntil = 0;

  /** What went wrong last, or null while the cache works. */
  lastError = null;

  /**
   * @param {string} url of a service, such as http://127.0.0.1:8000/api/v2/cache
   * @param {string} apiKey that may GET, POST, PUT, PATCH and DELETE there; FLUSH for clear()
   * @param {object} options timeoutMs: for a whole answer, the connection included (2000);
   *   strict: throw a CacheError where the cache is away or refuses (false); onError: called with
   *   what went wrong, once until it changes (console.warn); fetch: another one than the global
   */
  constructor(url, apiKey, { timeoutMs = 2000, strict = false, onError, fetch } = {}) {
    checkAddress(url);
    this.#url = url.replace(/\/+$/, "");
    this.#fields = { "X-DreamFactory-API-Key": apiKey, "Content-Type": "application/json" };
    this.#timeout = timeoutMs;
    this.#strict = strict;
    this.#onError = onError ?? ((message) => console.warn(`cacheapi: ${message}`));
    this.#fetch = fetch ?? globalThis.fetch;
  }

  /** Give a value, or what is given instead. */
  async get(key, instead = undefined) {
    const { found } = await this.#read(key);
    return found.length ? found[0] : instead;
  }

  /** Give the values that are there, in one request: a Map by key. */
  async getMany(keys) {
    const wanted = [...keys];
    const found = new Map();
    if (!wanted.length) return found;
    const answer = await this.#ask(many("GET", wanted));
    if (this.#succeeded(answer, "resource")) {
      for (const item of answer.document.resource) found.set(item.key, valueOf(item));
    }
    return found;
  }

  /** Store a value; give whether it was stored. */
  async set(key, value, ttl, { tags = [] } = {}) {
    return this.setMany([[key, value]], ttl, { tags });
  }

  /** Store several, of an object, a Map or pairs, in one request; give whether all were stored. */
  async setMany(values, ttl, { tags = [] } = {}) {
    const entries = Symbol.iterator in values ? values : Object.entries(values);
    const pairs = Array.from(entries, ([key, value]) => pair(key, value, ttl, tags));
    return !pairs.length || this.#store(pairs);
  }

  /** Store a value unless the key has one, in one step; give whether it was stored. */
  async add(key, value, ttl, { tags = [] } = {}) {
    return (await this.#create(pair(key, value, ttl, tags))).status === 200;
  }

  /** Delete a value and its stale copy; give true where there is none left. */
  async delete(key) {
    return this.deleteMany([key]);
  }

  /** Delete several, in one request. */
  async deleteMany(keys) {
    const wanted = [...keys];
    if (!wanted.length) return true;
    const copies = await Promise.all(wanted.map((key) => beside(check(key), "stale")));
    const all = [...wanted, ...copies.filter((name) => name !== null)];
    return this.#succeeded(await this.#ask(many("DELETE", all)));
  }

  /** Delete every value that has one of some tags, in one step. */
  async deleteTags(tags) {
    const query = Array.from(tags, (tag) => `tag=${encodeURIComponent(tag)}`).join("&");
    return !query || this.#succeeded(await this.#ask({ method: "DELETE", path: `?${query}` }));
  }

  /** Delete every value of the service. */
  async clear() {
    return this.#succeeded(await this.#ask({ method: "DELETE" }));
  }

  /** Give whether there is a value. */
  async has(key) {
    const answer = await this.#ask({ path: `${path(key)}?check_exist=true` });
    return this.#succeeded(answer, "exists") && answer.document.exists === true;
  }

  /** Give the seconds that a value has left, 0 for ever; null where there is none. */
  async ttl(key) {
    const answer = await this.#ask({ path: `${path(key)}?check_exist=true&ttl=true` });
    if (!this.#succeeded(answer, "exists") || !answer.document.exists) return null;
    return answer.document.ttl === null ? 0 : Math.max(1, answer.document.ttl);
  }

  /**
   * Do several different operations, in one request and in order; give an outcome each, with key,
   * success and what else the API says, or null if the cache is away.
   * @param {Iterable<object>} operations as the API has them: {get: "a"}, {set: {key: "b",
   *   value: 1, ttl: 60}}, {delete: "c"} and so on; a ttl as everywhere here
   */
  async perform(operations) {
    const asked = Array.from(operations, operation);
    if (!asked.length) return [];
    const request = { method: "POST", body: { operations: asked }, again: false };
    const answer = await this.#ask(request);
    const told = this.#succeeded(answer, "resource")
      ? answer.document.resource
      : answer.document?.error?.context?.resource;
    if (!told) return null;
    return told.map(({ encoding, ...one }) =>
      "value" in one ? { ...one, value: valueOf({ value: one.value, encoding }) } : one,
    );
  }

  /** Count, in one step, from 0 where there is nothing; null if the cache is away. */
  async increment(key, by = 1, ttl = undefined) {
    const body = { increment: by, initial: by, ...lifetime(ttl) };
    const request = { method: "PATCH", path: path(key), body, again: false };
    const answer = await this.#ask(request);
    return this.#succeeded(answer, "value") ? answer.document.value : null;
  }

  /** Give a value a new lifetime; give whether there is one. */
  async touch(key, ttl) {
    const body = { ttl: null, ...lifetime(ttl) };
    const answer = await this.#ask({ method: "PATCH", path: path(key), body });
    return !this.#missed(answer) && this.#succeeded(answer);
  }

  /**
   * Give a value; of all who miss it together, one computes it.
   * @param {object} options lease: seconds for which the one who computes keeps the others waiting,
   *   longer than it takes (30); wait: seconds that another waits before it computes, too (as the
   *   lease); stale: seconds after its end for which the last value is served to all but the one
   *   who computes a new one (0), needs a ttl
   */
  async remember(key, ttl, compute, { lease = 30, wait = lease, stale = 0 } = {}) {
    if (stale && !ttl) throw new RangeError("stale needs a ttl.");
    let { missed, found } = await this.#read(key);
    if (!missed) return found.length ? found[0] : compute();
    const names = [key];
    const [owner, copy] = [await beside(key, "lease"), stale && (await beside(key, "stale"))];
    if (copy) names.push(copy);
    let etag = null;
    if (owner !== null) ({ etag, found } = await this.#lease(owner, names, lease, wait));
    try {
      // Another may have stored and let go between the two.
      if (etag !== null && !found.length) ({ found } = await this.#read(key));
      if (found.length) return found[0];
      const value = await compute();
      const pairs = [pair(key, value, ttl)];
      if (copy) pairs.push(pair(copy, value, ttl + stale));
      await this.#store(pairs);
      return value;
    } finally {
      if (etag !== null) {
        const fields = etag ? { "If-Match": etag } : {};
        await this.#ask({ method: "DELETE", path: path(owner), fields });
      }
    }
  }

  /** Take the lease, or wait for its owner: the ETag of ours or null, and a value in a list. */
  async #lease(owner, names, seconds, wait) {
    const until = performance.now() + wait * 1000;
    const mine = pair(owner, crypto.getRandomValues(new Uint32Array(4)).join("-"), seconds);
    for (let pause = 50; ; pause = Math.min(pause * 1.5, 250)) {
      const { status, etag } = await this.#create(mine);
      if (status !== 412) return { etag: status === 200 ? etag : null, found: [] };
      const there = await this.getMany(names);
      // The value itself before its stale copy.
      const found = names.filter((name) => there.has(name)).map((name) => there.get(name));
      const left = until - performance.now();
      if (found.length || left <= 0) return { etag: null, found };
      await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
    }
  }

  /** Whether the cache said that there is nothing, and the value in a list. */
  async #read(key) {
    const answer = await this.#ask({ path: path(key) });
    if (this.#missed(answer)) return { missed: true, found: [] };
    const hit = this.#succeeded(answer, "value");
    return { missed: false, found: hit ? [valueOf(answer.document)] : [] };
  }

  /** Store unless there is something: 200, 412, or 0 for a failure, which was told. */
  async #create({ key, ...body }) {
    const fields = { "If-None-Match": "*" };
    const request = { method: "PUT", path: path(key), body, fields, again: false };
    const answer = await this.#ask(request);
    if (answer.status === 412) this.lastError = null;
    else if (!this.#succeeded(answer, "success")) return { status: 0 };
    return answer;
  }

  async #store(pairs) {
    return this.#succeeded(await this.#ask({ method: "POST", body: { resource: pairs } }));
  }

  /** Send a request; the answer's status is 0 if there is none. */
  async #ask({ method = "GET", path = "", body, fields, again = true }) {
    if (performance.now() < this.#awayUntil) return this.#none(this.lastError ?? "The cache was away just now.");
    const options = {
      method,
      headers: fields ? { ...this.#fields, ...fields } : this.#fields,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(this.#timeout),
      // A redirect would lead the API key elsewhere. Not "error": Workers do not know it.
      redirect: "manual",
    };
    // Browsers want it called by its bare name.
    const fetch = this.#fetch;
    for (let left = again ? 2 : 0; ; left -= 1) {
      try {
        const response = await fetch(this.#url + path, options);
        const text = await response.text();
        return answerOf(response.status, text, response.headers.get("ETag") ?? "");
      } catch (error) {
        // The server may close a connection that it kept just as we ask; there may be two.
        if (left && !options.signal.aborted) continue;
        this.#awayUntil = performance.now() + PAUSE;
        const reason = error?.cause?.code ?? error?.cause?.message ?? error?.message ?? error;
        return this.#none(`No answer: ${reason}.`);
      }
    }
  }

  #none(message) {
    return { status: 0, document: null, message };
  }

  /** Whether the cache itself said that there is no such key; a wrong service is a 404, too. */
  #missed({ status, message }) {
    const missed = status === 404 && message.startsWith("Key '");
    if (missed) this.lastError = null;
    return missed;
  }

  /** Whether it is a success; what is none is told, or thrown. */
  #succeeded({ status, message, document }, member = undefined) {
    if (status >= 200 && status < 300) {
      const whole = document !== null && typeof document === "object";
      if (whole && (member === undefined || Object.hasOwn(document, member))) {
        this.lastError = null;
        return true;
      }
      message = noCacheapi(status);
    }
    const told = this.lastError;
    this.lastError = message;
    if (this.#strict) throw new CacheError(message, status);
    if (message !== told) this.#onError(message);
    return false;
  }
}

/** What answered was something else: another site, or what stands before the cache. */
function noCacheapi(status) {
  // A browser does not tell the status of a redirect.
  if (status === 0 || (status >= 300 && status < 400)) {
    const what = status ? `What answers with HTTP ${status}` : "What answers";
    return `${what} leads elsewhere, which is not followed: give the address that it leads to.`;
  }
  return `What answers with HTTP ${status} is no cacheapi.`;
}

function answerOf(status, text, etag) {
  let document = null;
  try {
    document = JSON.parse(text);
  } catch {
    // What stands before the cache may answer with a page of its own.
  }
  const message = document?.error?.message ?? noCacheapi(status);
  return { status, etag, document, message };
}

function checkAddress(url) {
  try {
    // A page may give a path of its own site.
    if (/^https?:$/.test(new URL(url, globalThis.location?.href).protocol)) return;
  } catch {
    // Not even that.
  }
  throw new TypeError(`'${url}' is no address of a service: http://… or https://….`);
}

function check(key) {
  if (typeof key !== "string" || key === "") throw new InvalidKey("A key is a text, not empty.");
  if (key === "." || key === "..") throw new InvalidKey(`A URL cannot carry the key '${key}'.`);
  return key;
}

function encode(key) {
  try {
    return encodeURIComponent(check(key));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new InvalidKey("The key has lone surrogates.");
  }
}

function path(key) {
  return `/${encode(key)}`;
}

/** The request for several keys: in the URL, or where that grows too long, as a body. */
function many(method, keys) {
  const query = keys.map((key) => `key=${encode(key)}`).join("&");
  if (query.length <= LONGEST_QUERY) return { method, path: `?${query}` };
  return { method: "POST", body: { resource: keys }, fields: { "X-HTTP-Method": method } };
}

function lifetime(ttl) {
  if (ttl === undefined || ttl === null) return {};
  if (!Number.isSafeInteger(ttl) || ttl < 0) {
    throw new RangeError("A ttl is 0 (for ever) or more whole seconds from now.");
  }
  return { ttl: ttl > MONTH ? Math.floor(Date.now() / 1000) + ttl : ttl };
}

/** An operation as the service takes it. */
function operation(asked) {
  const made = Object.entries(asked).map(([name, what]) => {
    if (what === null || typeof what !== "object") return [name, check(what)];
    const { ttl, ...rest } = what;
    if ("value" in rest) carried(rest.value);
    check(rest.key);
    return [name, { ...rest, ..."ttl" in what ? { ttl: -1, ...lifetime(ttl) } : {} }];
  });
  return Object.fromEntries(made);
}

function pair(key, value, ttl, tags = []) {
  carried(value);
  return { key: check(key), value, ...lifetime(ttl), ...(tags.length ? { tags } : {}) };
}

function carried(value) {
  // JSON.stringify would drop these, or make null of them.
  const kind = typeof value;
  if (["undefined", "function", "symbol"].includes(kind) || (kind === "number" && !isFinite(value))) {
    throw new TypeError(`JSON cannot carry ${String(value)}.`);
  }
}

/** An item's value; bytes that another program stored are a Uint8Array. */
function valueOf({ value, encoding }) {
  return encoding === "base64" ? Uint8Array.from(atob(value), (c) => c.charCodeAt(0)) : value;
}

/** The key of what belongs to another key; null where there is no digest (a page over http). */
async function beside(key, what) {
  const data = new TextEncoder().encode(key);
  if (data.length <= LONGEST) return `${key}:${what}`;
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return `${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}:${what}`;
}
