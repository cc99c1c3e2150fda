#!/bin/sh
# http-cache-semantics 4.3.0 (got, cacheable-request, make-fetch-happen): "Max-Age=60" is no lifetime.
#
# The names of Cache-Control's directives do not depend on case (RFC 9111, section 5.2: "compared case-insensitively").
# The library takes them as they are written, so an answer with "Max-Age=60" is stale at once, and with "S-MaxAge=60"
# too: nothing from such an API is ever a hit.
#
# Seen: '{"max-age=60":60,"Max-Age=60":0,"s-maxage=60":60,"S-MaxAge=60":0}'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" http-cache-semantics@4.3.0
cat >"$folder/seen.js" <<'JAVASCRIPT'
const assert = require('node:assert')
const CachePolicy = require('http-cache-semantics')

const request = { method: 'GET', url: '/', headers: {} }
const policy = (headers) => new CachePolicy(request, { status: 200, headers }, { shared: true })
const lifetimes = {}
for (const written of ['max-age=60', 'Max-Age=60', 's-maxage=60', 'S-MaxAge=60']) {
  lifetimes[written] = policy({ 'cache-control': written }).maxAge()
}
console.log(JSON.stringify(lifetimes))
assert.deepStrictEqual(lifetimes, {
  'max-age=60': 60, 'Max-Age=60': 0, 's-maxage=60': 60, 'S-MaxAge=60': 0
})
JAVASCRIPT
node "$folder/seen.js"
echo "http-cache-semantics 4.3.0: as described"
