<?php

/** Laravel's cache on the driver, named as the README says. Debian's Laravel is older than its PHP. */

declare(strict_types=1);

error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'Illuminate/Cache/autoload.php';
require_once 'Illuminate/Container/autoload.php';
require_once getenv('CLIENTS') . '/php/Cache.php';
require_once getenv('CLIENTS') . '/php/laravel/Store.php';

$app = new Illuminate\Container\Container();
$stores = ['driver' => 'cacheapi', 'url' => getenv('CACHE'), 'key' => getenv('KEY')];
$app['config'] = new Illuminate\Support\Fluent([
    'cache.default' => 'cacheapi', 'cache.prefix' => 'app:', 'cache.stores.cacheapi' => $stores,
    'app.key' => 'of the test',
]);
$manager = new Illuminate\Cache\CacheManager($app);

/** Laravel's facade. */
final class Cache
{
    public static function __callStatic(string $name, array $arguments): mixed
    {
        return $GLOBALS['manager']->$name(...$arguments);
    }
}

preg_match_all('/^```php\n(.*?)^```$/ms', file_get_contents(getenv('CLIENTS') . '/php/README.md'), $boxes);
// A machine that is busy with other tests is no cache that is away.
eval(str_replace("['secret'", "['timeout' => 60, 'connect_timeout' => 60, 'secret'", $boxes[1][1]));

$cache = $manager->store();
$object = new ArrayObject(['a' => 1]);
$lock = $cache->lock('job', 60);
$found = [
    'miss' => $cache->get('a', 'instead'),
    'put' => [$cache->put('a', ['b' => 1.0], 60), $cache->get('a'), $cache->has('a')],
    'many' => [$cache->putMany(['x' => 1, 'y' => 2], 60), $cache->many(['x', 'no', 'y', 'x'])],
    'add' => [$cache->add('x', 9, 60), $cache->add('z', 3, 60), $cache->get('x')],
    'forever' => [$cache->forever('f', 1), $cache->get('f')],
    'count' => [$cache->increment('n'), $cache->increment('n', 4), $cache->decrement('n', 2)],
    'remember' => [$cache->remember('r', 60, fn () => 'first'), $cache->remember('r', 60, fn () => 'second')],
    'object' => [$cache->put('o', $object, 60), $cache->get('o') == $object],
    'lock' => [$lock->get(), $cache->lock('job', 60)->get(), $lock->release(), $cache->lock('job', 60)->get()],
    'prefix' => $cache->getStore()->getPrefix(),
    'forget' => [$cache->forget('a'), $cache->get('a'), $cache->pull('x'), $cache->get('x')],
    'over' => [$cache->put('y', 1, 0), $cache->get('y')],
    'flush' => [$cache->flush(), $cache->get('f')],
];
echo json_encode($found, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION);
