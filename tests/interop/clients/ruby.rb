# Clients of Ruby's: ruby.rb CLIENT PORT put|get, prints JSON.
require 'json'

client, port, verb = ARGV
SAMPLES = {
  "'hello'" => 'hello', "'42'" => '42', '42' => 42, '1.5' => 1.5, 'true' => true, 'nil' => nil,
  '{"a" => 1}' => { 'a' => 1 }, '[1]' => [1], '5000 x' => 'x' * 5000
}
library, kind = client.split
case library
when 'dalli'
  require 'dalli'
  options = kind == 'json' ? { serializer: JSON } : {}
  cache = Dalli::Client.new("127.0.0.1:#{port}", options)
  raw = kind == 'raw' ? { raw: true } : {}
  put = ->(key, value) { cache.set(key, value, 600, raw) }
  get = ->(key) { cache.get(key) }
when 'rails'
  require 'active_support'
  require 'active_support/cache'
  require 'active_support/cache/mem_cache_store'
  cache = ActiveSupport::Cache::MemCacheStore.new("127.0.0.1:#{port}")
  raw = kind == 'raw' ? { raw: true } : {}
  put = ->(key, value) { cache.write(key, value, expires_in: 600, **raw) }
  get = ->(key) { cache.read(key, **raw) }
else
  require 'redis'
  cache = Redis.new(port: port.to_i)
  put = ->(key, value) { cache.set(key, value) }
  get = ->(key) { cache.get(key) }
end
found = {}
if verb == 'put'
  SAMPLES.each_with_index do |(label, value), number|
    put.call("c#{number}", value)
    found[label] = "c#{number}"
  rescue StandardError => e
    found[label] = "#{e.class}: not stored"
  end
else
  JSON.parse($stdin.read).each do |name|
    found[name] = get.call(name).inspect[0, 40]
  rescue StandardError => e
    found[name] = "exception #{e.class}"
  end
end
puts JSON.generate(found)
