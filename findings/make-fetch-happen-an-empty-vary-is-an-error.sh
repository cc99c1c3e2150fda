#!/bin/sh
# make-fetch-happen 15.0.6 (what npm fetches with): with a cache, an answer with an empty Vary is an error, again and again.
#
# "Vary:" without a name is a list of no elements, which HTTP allows (RFC 9110, section 12.5.5 and 5.6.1); frameworks send
# it when they have taken the last name out. The library splits the value at commas and looks each part up as the name
# of a header field; "" is none, and the request fails with "is not a legal HTTP header name", with and without
# an earlier copy. Without cachePath the same answer is read.
#
# Seen: 'with a cache: " is not a legal HTTP header name", 1, 2 requests at the origin; without: 200 hello'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" make-fetch-happen@15.0.6
cat >"$folder/seen.js" <<'JAVASCRIPT'
const assert = require('node:assert')
const http = require('node:http')
const fetch = require('make-fetch-happen')

let asked = 0
const origin = http.createServer((request, response) => {
  asked += 1
  response.setHeader('Cache-Control', 'max-age=60')
  response.setHeader('Vary', '')
  response.end('hello')
})
origin.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${origin.address().port}/`
  const kept = fetch.defaults({ cachePath: process.argv[2], retry: false })
  const errors = []
  const numbers = []
  for (let number = 0; number < 2; number += 1) {
    await kept(url).then((answer) => answer.text()).catch((error) => errors.push(error.message))
    numbers.push(asked)
  }
  const plain = await fetch(url, { retry: false })
  const text = `${plain.status} ${await plain.text()}`
  console.log(`with a cache: "${errors[0]}", ${numbers.join(', ')} requests at the origin; without: ${text}`)
  assert.strictEqual(errors.length, 2)
  assert.match(errors[0], /is not a legal HTTP header name/)
  assert.strictEqual(text, '200 hello')
  process.exit(0)
})
JAVASCRIPT
node "$folder/seen.js" "$folder/cache"
echo "make-fetch-happen 15.0.6: as described"
