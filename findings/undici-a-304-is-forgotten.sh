#!/bin/sh
# undici 7.30.2 (Node.js), cache interceptor: after each 304 the entry is gone, so every second request brings the whole body.
#
# An answer with "Cache-Control: no-cache" (or max-age=0) and an ETag is to be asked for again each time, which costs a
# 304 while it is the same. undici does that for the second request, and answers it from its store; but it then
# has nothing any more, neither the body nor the tag, and the third request is one without a condition, answered with all
# of it. So half of the traffic that an ETag saves is not saved. With stale-while-revalidate it goes on as
# expected. A 304 freshens what is stored, and does not end it (RFC 9111, section 4.3.4).
#
# Seen, what six requests said at the origin: 'whole, tag, whole, tag, whole, tag'; with a lifetime of one second and
# stale-while-revalidate=60, 1.5 s apart, 'whole, tag, tag'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" undici@7.30.2
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { Agent, cacheStores, interceptors, request } from 'undici'

const ask = async (lifetime, times, milliseconds) => {
  const asked = []
  const origin = http.createServer((incoming, response) => {
    const tag = incoming.headers['if-none-match']
    asked.push(tag === '"1"' ? 'tag' : 'whole')
    response.setHeader('Cache-Control', lifetime)
    response.setHeader('ETag', '"1"')
    response.statusCode = tag === '"1"' ? 304 : 200
    response.end(tag === '"1"' ? undefined : 'hello')
  })
  await new Promise((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const store = new cacheStores.MemoryCacheStore()
  const dispatcher = new Agent().compose(interceptors.cache({ store }))
  for (let number = 0; number < times; number += 1) {
    const answer = await request(`http://127.0.0.1:${origin.address().port}/`, { dispatcher })
    assert.strictEqual(await answer.body.text(), 'hello')
    await pause(milliseconds)
  }
  console.log(`${lifetime}: ${asked.join(', ')}`)
  return asked.join(' ')
}
assert.strictEqual(await ask('no-cache', 6, 50), 'whole tag whole tag whole tag')
assert.strictEqual(await ask('max-age=0', 6, 50), 'whole tag whole tag whole tag')
assert.strictEqual(await ask('max-age=1, stale-while-revalidate=60', 3, 1500), 'whole tag tag')
process.exit(0)
JAVASCRIPT
node "$folder/seen.mjs"
echo "undici 7.30.2: as described"
