# Clients of Perl's: perl.pl CLIENT PORT put|get, prints JSON.
use strict;
use warnings;
use JSON;

my ($client, $port, $verb) = @ARGV;
my @samples = (
    "'hello'" => 'hello', "'42'" => '42', '42' => 42, '1.5' => 1.5, 'undef' => undef,
    '{a => 1}' => { a => 1 }, '[1]' => [1], '3000 x' => 'x' x 3000,
);
require Cache::Memcached::Fast;
my %options = (servers => ["127.0.0.1:$port"]);
if ($client =~ /json/) {
    my $json = JSON->new->utf8->allow_nonref;
    $options{serialize_methods} = [sub { $json->encode($_[0]) }, sub { $json->decode($_[0]) }];
}
my $cache = Cache::Memcached::Fast->new(\%options);
my %found;
if ($verb eq 'put') {
    for (my $at = 0; $at < @samples; $at += 2) {
        my $key = 'c' . $at / 2;
        my $stored = eval { $cache->set($key, $samples[$at + 1], 600) };
        $found{$samples[$at]} = $stored ? $key : 'not stored';
    }
} else {
    my $plain = JSON->new->canonical->allow_nonref;
    for my $name (@{ decode_json(do { local $/; <STDIN> }) }) {
        my $value = eval { $cache->get($name) };
        $found{$name} = $@ ? 'exception' : substr(ref $value ? $plain->encode($value) : $value // 'undef', 0, 40);
    }
}
print encode_json(\%found);
