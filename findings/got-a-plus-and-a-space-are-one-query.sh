#!/bin/sh
# got 14.6.6 with its cache (cacheable-request 13.0.19, normalize-url 8.1.1): "?q=C%2B%2B" and "?q=C++" are one entry, whoever came first.
#
# In a query "+" is a space for what reads forms, as nearly all do, and "%2B" a plus: the one asks for "C++", the other for
# "C" and two spaces. On the wire got sends both as they are. The key of its cache takes the escapes of the query away
# and puts none back, so that the answer to one is a hit for the other, for its whole lifetime. So it goes with all that has
# a meaning in a query: "?a=1%26b%3D2" (one field with the value "1&b=2", as where a URL is passed on in a query) is
# "?a=1&b=2" (two fields). They are not equivalent (RFC 3986, section 2.2), and the URL is what an answer is kept
# under (RFC 9111, section 2). Fields whose names begin with "utm_" are left out of the key. In a path escapes are told apart.
#
# Seen: '?q=C%2B%2B -> /?q=C%2B%2B', '?q=C++ -> /?q=C%2B%2B', '?a=1%26b%3D2 -> itself', '?a=1&b=2 -> /?a=1%26b%3D2', '?n=1 ->
# itself', '?n=1&utm_source=x -> /?n=1', '/a%26b' and '/a&b' each its own; without the cache each of the eight gets its own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" got@14.6.6 cacheable-request@13.0.19 normalize-url@8.1.1
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import http from 'node:http'
import got from 'got'

let asked = 0
const origin = http.createServer((incoming, response) => {
  asked += 1
  response.setHeader('Cache-Control', 'max-age=60')
  response.end(incoming.url)
})
await new Promise((resolve) => origin.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${origin.address().port}`
const paths = ['/?q=C%2B%2B', '/?q=C++', '/?a=1%26b%3D2', '/?a=1&b=2', '/?n=1', '/?n=1&utm_source=x', '/a%26b', '/a&b']
const answers = async (client) => {
  const read = []
  asked = 0
  for (const path of paths) {
    read.push((await client(base + path)).body)
  }
  return read
}
const cached = await answers(got.extend({ cache: new Map() }))
cached.forEach((answer, number) => console.log(`${paths[number]} -> ${answer}`))
console.log(`${asked} requests at the origin`)
const [plus, , one, , plain, , escaped, path] = paths
assert.deepStrictEqual(cached, [plus, plus, one, one, plain, plain, escaped, path])
assert.strictEqual(asked, 5)
assert.deepStrictEqual(await answers(got), paths)
assert.strictEqual(asked, 8)
process.exit(0)
JAVASCRIPT
node "$folder/seen.mjs"
echo "got 14.6.6: as described"
