// node run.mjs SUITE BASE KEY: run the suite's cases, and print {id: {kind, depends_on, result}} as JSON.
const [, , suite, base, key] = process.argv
const { runTests, getResults } = await import(`${suite}/client/runner.mjs`)
const groups = (await import(`${suite}/tests/index.mjs`)).default
const fetch = (await import(`${suite}/../node-fetch/lib/index.mjs`)).default

const keyed = (url, init = {}) =>
  fetch(url, { ...init, headers: [...(init.headers || []), ['X-DreamFactory-API-Key', key]] })
await runTests(groups, keyed, false, base, 40)

const results = getResults()
const found = {}
for (const { tests } of groups) {
  for (const { id, kind, depends_on: builtOn } of tests) {
    if (id in results) found[id] = { kind: kind || 'required', builtOn: builtOn || [], result: results[id] }
  }
}
process.stdout.write(JSON.stringify(found), () => process.exit())
