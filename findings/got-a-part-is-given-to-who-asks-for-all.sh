#!/bin/sh
# got 14.6.6 with its cache (cacheable-request 13.0.19): the answer to a Range request is a hit for who asks for all.
#
# A program reads the first two bytes of a URL with "Range: bytes=0-1" and gets "206 Partial Content". got stores
# that under the URL, and whoever then asks for the URL without Range gets the two bytes and the status 206 until the
# lifetime is over. A cache may only store a part if it knows parts, and must not answer a request for the whole
# with one (RFC 9111, sections 3.3 and 3.4).
#
# Seen: '206 of 2 bytes, then without Range: 206 of 2 bytes, 206 of 2 bytes; 1 request at the origin'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" got@14.6.6 cacheable-request@13.0.19
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import http from 'node:http'
import got from 'got'

let asked = 0
const origin = http.createServer((request, response) => {
  asked += 1
  response.setHeader('Cache-Control', 'max-age=60')
  if (request.headers.range === 'bytes=0-1') {
    response.writeHead(206, { 'Content-Range': 'bytes 0-1/5' })
    response.end('he')
  } else {
    response.end('hello')
  }
})
origin.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${origin.address().port}/`
  const cache = new Map()
  const seen = []
  for (const headers of [{ range: 'bytes=0-1' }, {}, {}]) {
    const { statusCode, body } = await got(url, { cache, headers })
    seen.push(`${statusCode} of ${body.length} bytes`)
  }
  const [first, ...others] = seen
  console.log(`${first}, then without Range: ${others.join(', ')}; ${asked} request at the origin`)
  assert.deepStrictEqual(seen, ['206 of 2 bytes', '206 of 2 bytes', '206 of 2 bytes'])
  assert.strictEqual(asked, 1)
  process.exit(0)
})
JAVASCRIPT
node "$folder/seen.mjs"
echo "got 14.6.6: as described"
