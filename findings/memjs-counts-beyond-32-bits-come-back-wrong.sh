#!/bin/sh
# memjs 1.3.2 (Node.js): increment and decrement give a wrong number back once a counter is beyond 32 bits.
#
# memcached counts in 64 bits, and answers the binary protocol's increment with 8 bytes. memjs makes a number of
# their two halves as if the upper one were worth 256 and not 4,294,967,296. The counter in the server is right,
# and get() reads it; what increment() resolves with falls to a few hundred when the counter passes 2^32, and with
# success: true. A counter of bytes gets there soon, one that begins with a time in milliseconds at once; who
# takes the result for a serial number gets the same ones again.
#
# Seen: '4294967295: 256 for 4294967296', '5000000000: 705032961 for 5000000001',
# '1700000000000: 3488019201 for 1700000000001'.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & pid=$!
trap 'kill $pid; rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" memjs@1.3.2
cat >"$folder/seen.js" <<'JAVASCRIPT'
const assert = require('node:assert')
const memjs = require('memjs')

const main = async () => {
  const client = memjs.Client.create(`127.0.0.1:${process.argv[2]}`)
  const seen = {}
  for (const start of ['41', '4294967295', '5000000000', '1700000000000']) {
    await client.set('counter', start, {})
    const { success, value } = await client.increment('counter', 1, {})
    const { value: stored } = await client.get('counter')
    assert.strictEqual(success, true)
    seen[start] = `${value} for ${stored}`
    console.log(`${start}: ${seen[start]}`)
  }
  assert.deepStrictEqual(seen, {
    41: '42 for 42',
    4294967295: '256 for 4294967296',
    5000000000: '705032961 for 5000000001',
    1700000000000: '3488019201 for 1700000000001'
  })
  client.close()
}
main()
JAVASCRIPT
node "$folder/seen.js" "$port"
echo "memjs 1.3.2: as described"
