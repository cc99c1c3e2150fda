// Clients of Node's: node.js CLIENT PORT put|get, prints JSON; run where they are installed.
'use strict'
const { readFileSync } = require('node:fs')
const { inspect } = require('node:util')
const [, , client, port, verb] = process.argv
const address = `127.0.0.1:${port}`
const SAMPLES = {
  "'hello'": 'hello', "'42'": '42', 42: 42, 1.5: 1.5, true: true, null: null,
  '{a: 1}': { a: 1 }, '[1]': [1], '3000 x': 'x'.repeat(3000)
}
let set, get
if (client === 'memcached') {
  const Memcached = require('memcached')
  const cache = new Memcached(address)
  const promised = (name, ...sent) => new Promise((resolve, reject) =>
    cache[name](...sent, (error, value) => error ? reject(error) : resolve(value)))
  set = (key, value) => promised('set', key, value, 600)
  get = key => promised('get', key)
} else if (client === 'memjs') {
  const cache = require('memjs').Client.create(address)
  set = (key, value) => cache.set(key, value, { expires: 600 })
  get = async key => { const { value } = await cache.get(key); return value && value.toString() }
} else if (client.startsWith('keyv') || client.startsWith('cache-manager')) {
  const redis = client.endsWith('redis')
  const { Keyv } = require('keyv')
  const Store = require(redis ? '@keyv/redis' : '@keyv/memcache').default
  const store = new Store(redis ? `redis://${address}` : address)
  // By default keyv and the store put their names before each key.
  const keyv = new Keyv({ store, namespace: undefined, useKeyPrefix: false })
  const cache = client.startsWith('keyv')
    ? keyv : require('cache-manager').createCache({ stores: [keyv] })
  set = (key, value) => cache.set(key, value, 600000)
  get = key => cache.get(key)
} else {
  const Redis = require('ioredis')
  const cache = new Redis(Number(port), '127.0.0.1')
  set = (key, value) => cache.set(key, value)
  get = key => cache.get(key)
}
const first = error => error.constructor.name
const main = async () => {
  const found = {}
  if (verb === 'put') {
    let number = 0
    for (const [label, value] of Object.entries(SAMPLES)) {
      const key = `c${number++}`
      try { await set(key, value); found[label] = key } catch (error) {
        found[label] = `${first(error)}: not stored`
      }
    }
  } else {
    for (const name of JSON.parse(readFileSync(0, 'utf8'))) {
      try { found[name] = inspect(await get(name)).slice(0, 40) } catch (error) {
        found[name] = `exception ${first(error)}`
      }
    }
  }
  console.log(JSON.stringify(found))
}
// Some clients keep their connections whatever they are told.
main().then(() => process.exit(0))
