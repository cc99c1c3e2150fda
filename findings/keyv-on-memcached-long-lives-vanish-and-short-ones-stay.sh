#!/bin/sh
# keyv 5.6.0 with @keyv/memcache 2.0.2: what shall live for 31 days is gone at once, half a second is for ever.
#
# keyv counts lifetimes in milliseconds, and promises them of every store alike. The adapter divides by 1,000 and
# passes the rest on, to a server that takes more than 2,592,000 seconds (30 days) for a date, one in 1970: set()
# resolves to true and get() to undefined, from the first moment. Under a second is cut to 0, which is "for ever"
# to memcached: keyv notes the end within the value and does not give it out any more, but what nobody asks for
# again stays in the server until its memory is short, as do the marks of a rate limit that is counted by the half
# second.
#
# Seen: '30 days: true, 1, 2592000 s', '31 days: true, undefined, nothing stored', '1.5 s: true, 1, 1 s',
# '0.5 s: true, 1, for ever'.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & pid=$!
trap 'kill $pid; rm -rf "$folder"' EXIT
npm install --silent --no-save --prefix "$folder" keyv@5.6.0 @keyv/memcache@2.0.2
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import assert from 'node:assert'
import net from 'node:net'
import KeyvMemcache from '@keyv/memcache'
import Keyv from 'keyv'

const port = Number(process.argv[2])
const keyv = new Keyv({ store: new KeyvMemcache(`127.0.0.1:${port}`) })
const ask = command => new Promise((resolve, reject) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`))
  socket.on('error', reject)
  socket.once('data', data => { socket.destroy(); resolve(data.toString().trim()) })
})
const lives = { '30 days': 30 * 86400000, '31 days': 31 * 86400000, '1.5 s': 1500, '0.5 s': 500 }
const seen = {}
for (const [name, ttl] of Object.entries(lives)) {
  const done = await keyv.set(name.replace(' ', '-'), 1, ttl)
  // What is left of it, in the server's words.
  const left = await ask(`mg keyv:keyv:${name.replace(' ', '-')} t`)
  seen[name] = `${done}, ${await keyv.get(name.replace(' ', '-'))}, ${left}`
  console.log(`${name}: ${seen[name]}`)
}
assert.match(seen['30 days'], /^true, 1, HD t(2592000|2591999)$/)
assert.strictEqual(seen['31 days'], 'true, undefined, EN')
assert.match(seen['0.5 s'], /^true, (1|undefined), HD t-1$/)
process.exit(0)
JAVASCRIPT
node "$folder/seen.mjs" "$port"
echo "@keyv/memcache 2.0.2: as described"
