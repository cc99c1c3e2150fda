<?php

/** A client of cacheapi in one file: PSR-16, one kept connection, batches, the fill lease. */

declare(strict_types=1);

namespace CacheApi;

// Where PSR-16 is installed, in any of its versions, the classes are its; else they stand alone.
if (interface_exists(\Psr\SimpleCache\CacheInterface::class)) {
    interface CacheInterface extends \Psr\SimpleCache\CacheInterface {}
    interface CacheException extends \Psr\SimpleCache\CacheException {}
    interface InvalidArgumentException extends \Psr\SimpleCache\InvalidArgumentException {}
} else {
    interface CacheInterface {}
    interface CacheException extends \Throwable {}
    interface InvalidArgumentException extends CacheException {}
}

/** The cache gave no answer (code 0) or refused (code: the HTTP status). Thrown only if asked. */
final class CacheError extends \RuntimeException implements CacheException {}

/** A key that no cache takes, or a value that JSON cannot carry. */
final class InvalidArgument extends \InvalidArgumentException implements InvalidArgumentException {}

/**
 * A service of cacheapi. A cache that is away is a miss, and a write that returns false.
 *
 * A $ttl is null (the service's default), seconds, a DateInterval, or Cache::FOREVER; 0 or less
 * deletes, as PSR-16 says. Values are what JSON carries: null, booleans, numbers, UTF-8 text, and
 * arrays of these. Others, such as objects, want the option `secret`.
 */
final class Cache implements CacheInterface
{
    public const FOREVER = PHP_INT_MAX;

    /** How long a cache that gave no answer is not asked again, in seconds. */
    private const PAUSE = 1.0;
    /** The service's own limit: a longer lifetime is written as a Unix time. */
    private const MONTH = 2_592_000;
    /** The longest key, in bytes, that has its lease beside it by name; memcached takes 250. */
    private const LONGEST = 200;
    /** The longest query of a URL; a longer list of keys goes as a body. */
    private const LONGEST_QUERY = 4000;

    private const ENCODE = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES
        | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;

    /** What went wrong last, or null while the cache works. */
    public ?string $lastError = null;

    private readonly Curl|Stream $connection;
    private readonly array $fields;
    private readonly bool $strict;
    private readonly \Closure $onError;
    private readonly ?string $secret;
    private float $awayUntil = 0.0;

    /**
     * @param string $url of a service, such as http://127.0.0.1:8000/api/v2/cache
     * @param string $apiKey that may GET, POST, PUT, PATCH and DELETE there (and FLUSH, for clear)
     * @param array $options
     *  - connect_timeout: seconds to wait for a connection, 0.5
     *  - timeout: seconds to wait for a whole answer, the connection included, 2.0
     *  - strict: throw a CacheError where the cache is away or refuses, false
     *  - on_error: called with what went wrong, once until it changes; by default error_log
     *  - secret: values that JSON cannot carry are serialized and signed with it (HMAC-SHA256),
     *    and unserialized only if the signature is right; null
     *  - transport: 'curl' or 'stream'; by default curl where the extension is there
     */
    public function __construct(string $url, string $apiKey, array $options = [])
    {
        $defaults = ['connect_timeout' => 0.5, 'timeout' => 2.0, 'strict' => false,
            'on_error' => null, 'secret' => null,
            'transport' => extension_loaded('curl') ? 'curl' : 'stream'];
        if (($unknown = array_diff_key($options, $defaults)) !== []) {
            throw new \InvalidArgumentException('There is no option ' . key($unknown) . '.');
        }
        $options += $defaults;
        if (preg_match('/[\x00-\x20\x7f-\xff]/', $apiKey) === 1) {
            throw new \InvalidArgumentException('An API key is printable ASCII without spaces.');
        }
        $parts = parse_url($url);
        if (!in_array($parts['scheme'] ?? '', ['http', 'https'], true) || !isset($parts['host'])) {
            throw new \InvalidArgumentException(
                "'$url' is no address of a service: http://… or https://…."
            );
        }
        $known = ['curl' => Curl::class, 'stream' => Stream::class];
        $transport = $known[$options['transport']]
            ?? throw new \InvalidArgumentException('transport is curl or stream.');
        $this->connection = new $transport(
            rtrim($url, '/'), (float) $options['connect_timeout'], (float) $options['timeout']
        );
        $this->fields = ["X-DreamFactory-API-Key: $apiKey", 'Content-Type: application/json'];
        $this->strict = $options['strict'];
        $this->secret = $options['secret'];
        $this->onError = \Closure::fromCallable(
            $options['on_error'] ?? static fn (string $what) => error_log("cacheapi: $what")
        );
    }

    public function get($key, $default = null): mixed
    {
        [, $hit, $value] = $this->read($this->key($key));
        return $hit ? $value : $default;
    }

    /** Get several values, in one request: key => value, or the default. */
    public function getMultiple($keys, $default = null): iterable
    {
        $keys = $this->keys($keys);
        return array_replace(array_fill_keys($keys, $default), $this->readMany($keys));
    }

    /** @param string[] $tags by which the value can be deleted with others */
    public function set($key, $value, $ttl = null, array $tags = []): bool
    {
        return $this->setMultiple([$this->key($key) => $value], $ttl, $tags);
    }

    /** Store several pairs, in one request: all of them, or false. */
    public function setMultiple($values, $ttl = null, array $tags = []): bool
    {
        if (!is_iterable($values)) {
            throw new InvalidArgument('The values are no array.');
        }
        $seconds = $this->seconds($ttl);
        $pairs = [];
        foreach ($values as $key => $value) {
            $key = $this->key(is_int($key) ? (string) $key : $key);
            $pairs[] = $this->pair($key, $value, $seconds, $tags);
        }
        if ($seconds !== null && $seconds < 0) {
            return $this->deleteMultiple(array_column($pairs, 'key'));
        }
        return $pairs === [] || $this->write('POST', '', ['resource' => $pairs]);
    }

    /** Store a value unless the key has one, in one step; return whether it was stored. */
    public function add(string $key, mixed $value, $ttl = null, array $tags = []): bool
    {
        $seconds = $this->seconds($ttl);
        if ($seconds !== null && $seconds < 0) {
            return false;
        }
        $pair = $this->pair($this->key($key), $value, $seconds, $tags);
        return $this->create($pair)['status'] === 200;
    }

    /** Delete a value, and the stale copy that remember() keeps; true where there is none left. */
    public function delete($key): bool
    {
        return $this->deleteMultiple([$key]);
    }

    public function deleteMultiple($keys): bool
    {
        $keys = $this->keys($keys);
        $all = array_merge($keys, array_map(fn ($key) => self::beside($key, 'stale'), $keys));
        return $keys === [] || $this->write(...$this->many('DELETE', $all));
    }

    /** Delete every value that has one of some tags, in one step. */
    public function deleteTags(array $tags): bool
    {
        $query = implode('&', array_map(static fn ($tag) => 'tag=' . rawurlencode($tag), $tags));
        return $tags === [] || $this->write('DELETE', "?$query");
    }

    /** Delete every value of the service; the API key needs the right FLUSH. */
    public function clear(): bool
    {
        return $this->write('DELETE', '');
    }

    public function has($key): bool
    {
        $answer = $this->ask('GET', $this->path($this->key($key)) . '?check_exist=true');
        return $this->succeeded($answer) && ($answer['document']['exists'] ?? false) === true;
    }

    /** Return the seconds that a value has left, or Cache::FOREVER; null where there is none. */
    public function ttl(string $key): ?int
    {
        $path = $this->path($this->key($key)) . '?check_exist=true&ttl=true';
        $answer = $this->ask('GET', $path);
        if (!$this->succeeded($answer, 'exists') || !$answer['document']['exists']) {
            return null;
        }
        return $answer['document']['ttl'] === null ? self::FOREVER : max(1, $answer['document']['ttl']);
    }

    /**
     * Do several different operations, in one request and in order; return an outcome each, with
     * key, success and what else the API says, or null if the cache is away.
     *
     * @param iterable $operations as the API has them: ['get' => 'a'], ['set' => ['key' => 'b',
     *   'value' => 1, 'ttl' => 60]], ['delete' => 'c'] and so on; a ttl is null, seconds over 0, a
     *   DateInterval or Cache::FOREVER
     */
    public function perform(iterable $operations): ?array
    {
        $asked = [];
        foreach ($operations as $operation) {
            $asked[] = array_map($this->operation(...), $operation);
        }
        if ($asked === []) {
            return [];
        }
        $answer = $this->ask('POST', '', ['operations' => $asked], [], false);
        $told = $this->succeeded($answer, 'resource')
            ? $answer['document']['resource']
            : $answer['document']['error']['context']['resource'] ?? null;
        return $told === null ? null : array_map(function (array $item): array {
            if (array_key_exists('value', $item)) {
                $item['value'] = $this->value((string) $item['key'], $item);
            }
            unset($item['encoding']);
            return $item;
        }, $told);
    }

    /** Return what an operation is about, as the service takes it. */
    private function operation(mixed $what): mixed
    {
        if (!is_array($what)) {
            return $this->key($what);
        }
        $key = $this->key($what['key'] ?? null);
        if (array_key_exists('value', $what)) {
            $what = $this->pair($key, $what['value'], null) + $what;
        }
        if (array_key_exists('ttl', $what)) {
            $seconds = $this->seconds($what['ttl']);
            if ($seconds !== null && $seconds < 0) {
                throw new InvalidArgument('An operation needs a ttl over 0.');
            }
            $what['ttl'] = $seconds === null ? -1 : self::written($seconds);
        }
        return $what;
    }

    /** Count, in one step, from 0 where there is nothing; null if the cache is away. */
    public function increment(string $key, int $by = 1, $ttl = null): ?int
    {
        $seconds = $this->seconds($ttl);
        if ($seconds !== null && $seconds < 0) {
            throw new InvalidArgument('A count needs a ttl over 0.');
        }
        $body = ['increment' => $by, 'initial' => $by]
            + ($seconds === null ? [] : ['ttl' => self::written($seconds)]);
        $answer = $this->ask('PATCH', $this->path($this->key($key)), $body, [], false);
        return $this->succeeded($answer, 'value') ? $answer['document']['value'] : null;
    }

    /** Give a value a new lifetime; return whether there is one. */
    public function touch(string $key, $ttl = null): bool
    {
        $seconds = $this->seconds($ttl);
        if ($seconds !== null && $seconds < 0) {
            return $this->delete($key);
        }
        $ttl = ['ttl' => $seconds === null ? -1 : self::written($seconds)];
        $answer = $this->ask('PATCH', $this->path($this->key($key)), $ttl);
        return !$this->missed($answer) && $this->succeeded($answer);
    }

    /**
     * Return a value; of all who miss it together, one computes it.
     *
     * @param int $lease seconds for which the one who computes keeps the others waiting: longer
     *   than it takes
     * @param ?float $wait seconds that another waits before it computes, too; by default $lease
     * @param int $stale seconds after its end for which the last value is served to all but the
     *   one who computes a new one; needs a $ttl
     */
    public function remember(
        string $key, $ttl, callable $compute, int $lease = 30, ?float $wait = null, int $stale = 0
    ): mixed {
        $seconds = $this->seconds($ttl);
        if ($stale > 0 && ($seconds ?? 0) <= 0) {
            throw new InvalidArgument('stale needs a ttl.');
        }
        [$miss, $hit, $value] = $this->read($this->key($key));
        if (!$miss) {
            return $hit ? $value : $compute();
        }
        [$owned, $etag, $found] = $this->lease($key, $lease, $wait ?? $lease, $stale > 0);
        try {
            if ($found === [] && $owned) {
                // Another may have stored and let go between the two.
                [, $hit, $value] = $this->read($key);
                $found = $hit ? [$value] : [];
            }
            if ($found !== []) {
                return $found[0];
            }
            $value = $compute();
            $pairs = [$this->pair($key, $value, $seconds)];
            if ($stale > 0) {
                $old = self::beside($key, 'stale');
                $pairs[] = $this->pair($old, $value, $seconds + $stale);
            }
            if ($seconds === null || $seconds >= 0) {
                $this->write('POST', '', ['resource' => $pairs]);
            }
            return $value;
        } finally {
            if ($owned) {
                $path = $this->path(self::beside($key, 'lease'));
                $this->ask('DELETE', $path, null, $etag === '' ? [] : ["If-Match: $etag"]);
            }
        }
    }

    /** Take the lease, or wait for its owner: whether it is ours, its ETag, and a value in a list. */
    private function lease(string $key, int $seconds, float $wait, bool $stale): array
    {
        $lease = $this->pair(self::beside($key, 'lease'), bin2hex(random_bytes(16)), $seconds);
        $names = $stale ? [$key, self::beside($key, 'stale')] : [$key];
        $until = self::now() + $wait;
        $pause = 0.05;
        while (true) {
            $answer = $this->create($lease);
            if ($answer['status'] !== 412) {
                return [$answer['status'] === 200, $answer['etag'], []];
            }
            $found = $this->readMany($names);
            foreach ($names as $name) {
                if (array_key_exists($name, $found)) {
                    return [false, '', [$found[$name]]];
                }
            }
            if (self::now() >= $until) {
                return [false, '', []];
            }
            usleep((int) (1e6 * max(min($pause, $until - self::now()), 0)));
            $pause = min($pause * 1.5, 0.25);
        }
    }

    /** Store unless there is something: status 200, 412, or 0 for a failure, which was told. */
    private function create(array $pair): array
    {
        $path = $this->path($pair['key']);
        unset($pair['key']);
        $answer = $this->ask('PUT', $path, $pair, ['If-None-Match: *'], false);
        if ($answer['status'] === 412) {
            $this->lastError = null;
        } elseif (!$this->succeeded($answer, 'success')) {
            $answer['status'] = 0;
        }
        return $answer;
    }

    /** Return whether the cache said that there is nothing, whether there is, and the value. */
    private function read(string $key): array
    {
        $answer = $this->ask('GET', $this->path($key));
        if ($this->missed($answer)) {
            return [true, false, null];
        }
        return $this->succeeded($answer, 'value')
            ? [false, true, $this->value($key, $answer['document'])] : [false, false, null];
    }

    /** Return the values that are there, by their keys. */
    private function readMany(array $keys): array
    {
        $answer = $keys === [] ? null : $this->ask(...$this->many('GET', $keys));
        $found = [];
        if ($answer !== null && $this->succeeded($answer, 'resource')) {
            foreach ($answer['document']['resource'] as $item) {
                $found[$item['key']] = $this->value((string) $item['key'], $item);
            }
        }
        return $found;
    }

    private function write(string $method, string $path, mixed $body = null, array $fields = []): bool
    {
        return $this->succeeded($this->ask($method, $path, $body, $fields));
    }

    /** Return the request for several keys: in the URL, or where that grows too long, as a body. */
    private function many(string $method, array $keys): array
    {
        $query = implode('&', array_map(static fn ($key) => 'key=' . rawurlencode($key), $keys));
        return strlen($query) <= self::LONGEST_QUERY
            ? [$method, "?$query"]
            : ['POST', '', ['resource' => $keys], ["X-HTTP-Method: $method"]];
    }

    /** Send a request; an answer has status (0: none), etag, document and message. */
    private function ask(
        string $method, string $path, mixed $body = null, array $fields = [], bool $again = true
    ): array {
        $none = ['status' => 0, 'etag' => '', 'document' => null];
        if (self::now() < $this->awayUntil) {
            return $none + ['message' => $this->lastError ?? 'The cache was away just now.'];
        }
        try {
            $text = $body === null ? null : json_encode($body, self::ENCODE, 1024);
        } catch (\JsonException $error) {
            throw new InvalidArgument("JSON cannot carry the value: {$error->getMessage()}.");
        }
        try {
            [$status, $etag, $text] = $this->connection->send(
                $method, $path, [...$this->fields, ...$fields], $text, $again
            );
        } catch (NoAnswer $error) {
            $this->awayUntil = self::now() + self::PAUSE;
            return $none + ['message' => $error->getMessage()];
        }
        $document = json_decode($text, true, 1024, JSON_BIGINT_AS_STRING);
        $message = is_array($document) ? $document['error']['message'] ?? null : null;
        return ['status' => $status, 'etag' => $etag, 'document' => $document,
            'message' => is_string($message) ? $message : self::noCacheapi($status)];
    }

    /** What answered was something else: another site, or what stands before the cache. */
    private static function noCacheapi(int $status): string
    {
        return $status >= 300 && $status < 400
            ? "What answers with HTTP $status leads elsewhere, which is not followed: "
                . 'give the address that it leads to.'
            : "What answers with HTTP $status is no cacheapi.";
    }

    /** Return whether it is a success; what is none is told, or thrown. */
    private function succeeded(array $answer, string $member = ''): bool
    {
        $status = $answer['status'];
        $document = $answer['document'];
        if ($status >= 200 && $status < 300) {
            if (is_array($document) && ($member === '' || array_key_exists($member, $document))) {
                $this->lastError = null;
                return true;
            }
            $answer['message'] = self::noCacheapi($status);
        }
        if ($answer['message'] !== $this->lastError) {
            $this->lastError = $answer['message'];
            if (!$this->strict) {
                ($this->onError)($answer['message']);
            }
        }
        return $this->strict ? throw new CacheError($answer['message'], $status) : false;
    }

    /** Return whether the cache itself said that there is no such key; a wrong service is a 404, too. */
    private function missed(array $answer): bool
    {
        $missed = $answer['status'] === 404 && str_starts_with($answer['message'], "Key '");
        if ($missed) {
            $this->lastError = null;
        }
        return $missed;
    }

    private function keys(mixed $keys): array
    {
        if (!is_iterable($keys)) {
            throw new InvalidArgument('The keys are no array.');
        }
        $checked = [];
        foreach ($keys as $key) {
            $checked[] = $this->key($key);
        }
        return $checked;
    }

    private function key(mixed $key): string
    {
        if (!is_string($key) || $key === '' || preg_match('//u', $key) !== 1) {
            throw new InvalidArgument('A key is a text in UTF-8 that is not empty.');
        }
        if ($key === '.' || $key === '..') {
            throw new InvalidArgument("A URL cannot carry the key '$key'.");
        }
        return $key;
    }

    private function path(string $key): string
    {
        return '/' . rawurlencode($key);
    }

    /** Return the key of what belongs to another key: its lease, its stale copy. */
    private static function beside(string $key, string $what): string
    {
        return (strlen($key) <= self::LONGEST ? $key : hash('sha256', $key)) . ":$what";
    }

    /** Return null for the default, -1 for what is over, 0 for ever, else seconds from now. */
    private function seconds(mixed $ttl): ?int
    {
        if ($ttl instanceof \DateInterval) {
            $start = new \DateTimeImmutable();
            $ttl = $start->add($ttl)->getTimestamp() - $start->getTimestamp();
        }
        if ($ttl !== null && !is_int($ttl)) {
            throw new InvalidArgument('A ttl is null, whole seconds or a DateInterval.');
        }
        if ($ttl === null || $ttl === self::FOREVER) {
            return $ttl === null ? null : 0;
        }
        return $ttl > 0 ? $ttl : -1;
    }

    private static function written(int $seconds): int
    {
        return $seconds > self::MONTH ? time() + $seconds : $seconds;
    }

    private function pair(string $key, mixed $value, ?int $seconds, array $tags = []): array
    {
        if (!self::isPlain($value)) {
            if ($this->secret === null) {
                throw new InvalidArgument('JSON cannot carry a ' . get_debug_type($value)
                    . ' as it is: objects, bytes and NaN want the option secret.');
            }
            try {
                $text = base64_encode(serialize($value));
            } catch (\Exception $error) {
                throw new InvalidArgument($error->getMessage(), 0, $error);
            }
            $value = ['php' => $text, 'hmac' => $this->sign($key, $text)];
        }
        $ttl = $seconds === null ? [] : ['ttl' => self::written($seconds)];
        return ['key' => $key, 'value' => $value] + $ttl
            + ($tags === [] ? [] : ['tags' => array_values($tags)]);
    }

    private function value(string $key, array $item): mixed
    {
        $value = $item['value'];
        if (($item['encoding'] ?? null) === 'base64') {
            return base64_decode($value);
        }
        // Only what this program, or another with its secret, stored under this key.
        $ours = $this->secret !== null && is_array($value)
            && is_string($value['php'] ?? null) && is_string($value['hmac'] ?? null)
            && hash_equals($this->sign($key, $value['php']), $value['hmac']);
        return $ours ? unserialize(base64_decode($value['php'])) : $value;
    }

    private function sign(string $key, string $text): string
    {
        return hash_hmac('sha256', "$key\0$text", $this->secret);
    }

    /** Return whether a value comes back from JSON as it is. */
    private static function isPlain(mixed $value): bool
    {
        if (is_array($value)) {
            foreach ($value as $name => $item) {
                if (!self::isPlain($name) || !self::isPlain($item)) {
                    return false;
                }
            }
            return true;
        }
        return match (true) {
            is_string($value) => preg_match('//u', $value) === 1,
            is_float($value) => is_finite($value),
            default => is_scalar($value) || $value === null,
        };
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}

/** No whole answer came. @internal */
final class NoAnswer extends \Exception {}

/** One connection, by the curl extension, which keeps it and opens it anew. @internal */
final class Curl
{
    private ?\CurlHandle $handle = null;
    private int $process = 0;

    public function __construct(
        private readonly string $url, private readonly float $connect, private readonly float $whole
    ) {
    }

    /** @return array the status, the ETag and the body */
    public function send(string $method, string $path, array $fields, ?string $body, bool $again): array
    {
        // A connection is not for two processes: one that was forked opens its own.
        if ($this->handle === null || $this->process !== getmypid()) {
            $this->handle = curl_init();
            $this->process = getmypid();
        }
        $etag = '';
        // A length of its own, and no "Expect", which would cost a round trip.
        $fields[] = 'Expect:';
        curl_reset($this->handle);
        curl_setopt_array($this->handle, [
            CURLOPT_URL => $this->url . $path,
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => $fields,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_NOSIGNAL => true,
            // Where a kept connection breaks, curl sends anything again on a new one.
            CURLOPT_FRESH_CONNECT => !$again,
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) ($this->connect * 1000)),
            CURLOPT_TIMEOUT_MS => max(1, (int) ($this->whole * 1000)),
            CURLOPT_HEADERFUNCTION => static function ($handle, string $line) use (&$etag): int {
                if (strncasecmp($line, 'etag:', 5) === 0) {
                    $etag = trim(substr($line, 5));
                }
                return strlen($line);
            },
        ] + ($body === null ? [] : [CURLOPT_POSTFIELDS => $body]));
        $text = curl_exec($this->handle);
        if ($text === false) {
            throw new NoAnswer('No answer: ' . curl_error($this->handle) . '.');
        }
        return [curl_getinfo($this->handle, CURLINFO_RESPONSE_CODE), $etag, $text];
    }
}

/** One connection, by PHP's own streams. @internal */
final class Stream
{
    /** @var ?resource */
    private $stream = null;
    private int $process = 0;
    private string $buffer = '';
    private bool $heard = false;
    private float $until = 0.0;
    private readonly string $address;
    private readonly string $host;
    private readonly string $base;

    public function __construct(
        string $url, private readonly float $connect, private readonly float $whole
    ) {
        $parts = parse_url($url);
        $ports = ['http' => ['tcp', 80], 'https' => ['tls', 443]];
        [$scheme, $port] = $ports[$parts['scheme']];
        $port = $parts['port'] ?? $port;
        $this->address = "$scheme://{$parts['host']}:$port";
        $this->host = $parts['host'] . (isset($parts['port']) ? ":$port" : '');
        $this->base = $parts['path'] ?? '';
    }

    /** @return array the status, the ETag and the body */
    public function send(string $method, string $path, array $fields, ?string $body, bool $again): array
    {
        $this->until = hrtime(true) / 1e9 + $this->whole;
        if ($this->process !== getmypid()) {
            $this->stream = null;
            $this->process = getmypid();
        }
        $kept = $this->stream !== null && !feof($this->stream);
        $head = ["$method {$this->base}$path HTTP/1.1", "Host: {$this->host}", ...$fields];
        if ($body !== null) {
            $head[] = 'Content-Length: ' . strlen($body);
        }
        $request = implode("\r\n", $head) . "\r\n\r\n" . $body;
        while (true) {
            try {
                $kept || $this->open();
                $this->heard = false;
                $this->write($request);
                $this->await([$this->stream], []);
                return $this->answer();
            } catch (Closed $error) {
                $this->stream = null;
                // The server may close a connection that it kept just as we ask.
                if (!$kept || !$again || $this->heard) {
                    throw new NoAnswer('No answer: the connection was closed.');
                }
                $kept = false;
            } catch (NoAnswer $error) {
                $this->stream = null;
                throw $error;
            }
        }
    }

    private function open(): void
    {
        $stream = @stream_socket_client(
            $this->address, $number, $text, min($this->connect, $this->left())
        );
        if ($stream === false) {
            // Of a handshake that fails PHP says nothing here.
            throw new NoAnswer('No answer: ' . ($text !== '' ? $text : 'the TLS handshake failed') . '.');
        }
        stream_set_blocking($stream, false);
        if (extension_loaded('sockets') && str_starts_with($this->address, 'tcp:')) {
            $socket = @socket_import_stream($stream);
            $socket && @socket_set_option($socket, SOL_TCP, TCP_NODELAY, 1);
        }
        $this->stream = $stream;
        $this->buffer = '';
    }

    private function write(string $data): void
    {
        while ($data !== '') {
            $sent = @fwrite($this->stream, $data);
            if ($sent === false) {
                throw new Closed();
            }
            $data = substr($data, $sent);
            if ($sent === 0) {
                feof($this->stream) && throw new Closed();
                $this->await([], [$this->stream]);
            }
        }
    }

    private function answer(): array
    {
        do {
            $head = explode("\r\n", $this->readTo("\r\n\r\n"));
            if (preg_match('~^HTTP/1\.[01] (\d{3})~', $head[0], $match) !== 1) {
                throw new NoAnswer('What answers speaks no HTTP.');
            }
            $status = (int) $match[1];
        } while ($status < 200);
        $fields = [];
        foreach (array_slice($head, 1) as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $fields[strtolower($name)] = trim($value);
        }
        if (strtolower($fields['transfer-encoding'] ?? '') === 'chunked') {
            $body = $this->readChunks();
        } elseif (isset($fields['content-length'])) {
            $body = $this->read((int) $fields['content-length']);
        } else {
            $body = $status === 204 || $status === 304 ? '' : $this->readRest();
        }
        if (strtolower($fields['connection'] ?? '') === 'close') {
            $this->stream = null;
        }
        return [$status, $fields['etag'] ?? '', $body];
    }

    private function readChunks(): string
    {
        $body = '';
        while (($size = hexdec((string) strtok($this->readTo("\r\n"), ';'))) > 0) {
            $body .= $this->read((int) $size);
            $this->read(2);
        }
        while ($this->readTo("\r\n") !== '') {
        }
        return $body;
    }

    private function readTo(string $end): string
    {
        while (($at = strpos($this->buffer, $end)) === false) {
            $this->more();
        }
        $text = substr($this->buffer, 0, $at);
        $this->buffer = substr($this->buffer, $at + strlen($end));
        return $text;
    }

    private function read(int $size): string
    {
        while (strlen($this->buffer) < $size) {
            $this->more();
        }
        $text = substr($this->buffer, 0, $size);
        $this->buffer = substr($this->buffer, $size);
        return $text;
    }

    private function readRest(): string
    {
        try {
            while (true) {
                $this->more();
            }
        } catch (Closed) {
            $this->stream = null;
            return $this->buffer;
        }
    }

    private function more(): void
    {
        $part = @fread($this->stream, 65536);
        if ($part !== false && $part !== '') {
            $this->buffer .= $part;
            $this->heard = true;
        } elseif ($part === false || feof($this->stream)) {
            throw new Closed();
        } else {
            $this->await([$this->stream], []);
        }
    }

    private function await(array $read, array $write): void
    {
        $left = $this->left();
        $except = null;
        @stream_select($read, $write, $except, (int) $left, (int) (fmod($left, 1) * 1e6));
    }

    private function left(): float
    {
        $left = $this->until - hrtime(true) / 1e9;
        if ($left <= 0) {
            throw new NoAnswer("No answer within {$this->whole} s.");
        }
        return $left;
    }
}

/** The server closed the connection. @internal */
final class Closed extends \Exception {}
