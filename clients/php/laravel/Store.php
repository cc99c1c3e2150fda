<?php

/** The driver of Laravel's cache; the README says how to name it in config/cache.php. */

declare(strict_types=1);

namespace CacheApi\Laravel;

use CacheApi\Cache;
use Illuminate\Cache\HasCacheLock;
use Illuminate\Contracts\Cache\LockProvider;
use Illuminate\Contracts\Cache\Store as StoreContract;

/** A store, with atomic locks. Where the cache is away there is nothing, and nothing is stored. */
final class Store implements LockProvider, StoreContract
{
    use HasCacheLock;

    public function __construct(private readonly Cache $cache, private readonly string $prefix = '')
    {
    }

    // Laravel's lifetimes: seconds, and 0 or less is over.
    public function get($key) { return $this->cache->get($this->prefix . $key); }
    public function put($key, $value, $seconds) { return $this->cache->set($this->prefix . $key, $value, $seconds); }
    public function add($key, $value, $seconds) { return $this->cache->add($this->prefix . $key, $value, $seconds); }
    public function forever($key, $value) { return $this->put($key, $value, Cache::FOREVER); }
    public function increment($key, $value = 1) { return $this->cache->increment($this->prefix . $key, $value) ?? false; }
    public function decrement($key, $value = 1) { return $this->increment($key, -$value); }
    public function touch($key, $seconds) { return $this->cache->touch($this->prefix . $key, $seconds); }
    public function forget($key) { return $this->cache->delete($this->prefix . $key); }
    public function flush() { return $this->cache->clear(); }
    public function getPrefix() { return $this->prefix; }

    public function many(array $keys)
    {
        $found = $this->cache->getMultiple(array_map(fn ($key) => $this->prefix . $key, $keys));
        return array_combine($keys, array_map(fn ($key) => $found[$this->prefix . $key], $keys));
    }

    public function putMany(array $values, $seconds)
    {
        $names = array_map(fn ($key) => $this->prefix . $key, array_keys($values));
        return $this->cache->setMultiple(array_combine($names, $values), $seconds);
    }
}
