#!/usr/bin/env bash
# Debian's memcached: set, get, delete, incr, 1,000 keys, large values, many connections, UDP.
set -u
. test/net/lib.sh

net_begin
expose 11211 udp; UDP=$PORT
expose 11211
server_start --deb memcached memcached -u root -l 0.0.0.0 -U 11211 -t 4
AT=("$GUEST" "$PORT")
serves "memcached answers" python3 test/net/memcached_client.py "${AT[@]}" version
for what in keys incr large connections; do
    # shellcheck disable=SC2086
    client "memcached: $what" python3 test/net/memcached_client.py "${AT[@]}" "$what" $IN_TURN
done
client "memcached: a get over UDP" python3 test/net/memcached_client.py "${AT[@]}" udp "$UDP"
server_quiet memcached
finish
