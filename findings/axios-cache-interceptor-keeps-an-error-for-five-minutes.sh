#!/bin/sh
# axios-cache-interceptor 1.12.3 with axios 1.21.1: an error in place of a 304 is kept for five minutes.
#
# What may be stored is said by cachePredicate; by its default a 400, 403, 429, 500 and 503 are not, and where nothing was
# stored before they are not. Where a stored answer with an ETag has become stale, and the origin is asked whether it is
# still the same, the predicate is not asked: what comes takes its place whatever it is, and without a Cache-Control gets
# the default ttl. So one 503, or one 429, is what the program gets for five minutes, though the origin is well
# again. It happens with a validateStatus that lets errors through, as programs set it that look at the status
# themselves. A cache must not store such a status without a stated lifetime (RFC 9111, section 3).
#
# Seen, for 400, 403, 429, 500 and 503, then with the origin well: 'nothing stored before: STATUS, 200, 200 (cached)'; 'a
# stale answer stored: STATUS, STATUS (cached), STATUS (cached)', ttl 300000 ms.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" axios@1.21.1 axios-cache-interceptor@1.12.3
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import Axios from 'axios'
import { setupCache } from 'axios-cache-interceptor'

const well = new Map()
const origin = http.createServer((request, response) => {
  const status = Number(request.url.split('/')[2])
  if (well.get(request.url)) {
    response.setHeader('Cache-Control', 'max-age=1')
    response.setHeader('ETag', '"1"')
    response.end('fine')
  } else {
    response.writeHead(status)
    response.end('sorry')
  }
})
await new Promise((resolve) => origin.listen(0, '127.0.0.1', resolve))
const axios = setupCache(Axios.create({ validateStatus: () => true }))
const ask = async (path) => {
  const answer = await axios.get(`http://127.0.0.1:${origin.address().port}${path}`)
  return [answer.cached ? `${answer.status} (cached)` : `${answer.status}`, answer.id]
}
const statuses = [400, 403, 429, 500, 503]
for (const status of statuses) {
  well.set(`/stale/${status}`, true)
  assert.strictEqual((await ask(`/stale/${status}`))[0], '200')
}
await pause(1500)
for (const name of ['empty', 'stale']) {
  for (const status of statuses) {
    const path = `/${name}/${status}`
    well.set(path, false)
    const seen = [(await ask(path))[0]]
    well.set(path, true)
    let id
    for (let times = 0; times < 2; times += 1) {
      const [answer, identity] = await ask(path)
      seen.push(answer)
      id = identity
    }
    const { ttl } = await axios.storage.get(id)
    console.log(`${path}: ${seen.join(', ')}; ttl ${ttl} ms`)
    assert.deepStrictEqual(
      [...seen, ttl],
      name === 'empty'
        ? [`${status}`, '200', '200 (cached)', 1000]
        : [`${status}`, `${status} (cached)`, `${status} (cached)`, 300000]
    )
  }
}
process.exit(0)
JAVASCRIPT
node "$folder/seen.mjs"
echo "axios-cache-interceptor 1.12.3: as described"
