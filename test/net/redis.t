#!/usr/bin/env bash
# Debian's redis-server: redis-benchmark, and an append-only file that loses nothing acknowledged when
# the machine is killed.
set -u
. test/net/lib.sh

net_begin
expose 6379
NET_OF_REDIS=("${NET[@]}")
# No fork inside: nothing may ask for a snapshot or a rewrite in the background.
REDIS=(redis-server --bind 0.0.0.0 --protected-mode no --save "" --auto-aof-rewrite-percentage 0)
CLI=(redis-cli -h "$GUEST" -p "$PORT")

server_start --deb redis-server "${REDIS[@]}"
serves "redis-server answers PING" bash -c "${CLI[*]} ping | grep -qx PONG"
client "redis-benchmark: SET, GET, INCR, LPUSH and ranges with $(at_once 50) clients" \
    redis-benchmark -h "$GUEST" -p "$PORT" -q -c "$(at_once 50)" \
    -n 5000 -t set,get,incr,lpush,lrange_100,mset
[ "$(tr '\r' '\n' <"$WORK/client" | grep -c 'requests per second')" -ge 6 ] && ! grep -qi error "$WORK/client"
ok $? "all of them have a figure" || diagnose "$WORK/client"
client "redis-benchmark: pipelined by 16, values of 10,000 bytes" redis-benchmark -h "$GUEST" -p "$PORT" -q -P 16 -c "$(at_once 50)" \
    -n 8000 -d 10000 -t set,get
client "a value of 20 MiB comes back as it went" python3 test/net/redis_client.py "$GUEST" "$PORT" large
client "a subscriber hears what is published" python3 test/net/redis_client.py "$GUEST" "$PORT" publish
client "BLPOP waits, and times out" python3 test/net/redis_client.py "$GUEST" "$PORT" block
server_quiet redis-server
"${INSIDE[@]}" "${CLI[@]}" shutdown nosave >/dev/null 2>&1
wait "$SERVER"
ok $? "SHUTDOWN ends the machine with status 0"
SERVER=

# --- appendfsync always --------------------------------------------------------------------------
NET=("${NET_OF_REDIS[@]}")
mkdir -p "$WORK/empty"
AOF=(--dir /data --appendonly yes --appendfsync always)
for round in 1 2 3; do
    server_start --keep "$WORK/redis.img" --deb redis-server --add "$WORK/empty:/data" --size 512M \
        /usr/bin/"${REDIS[@]}" "${AOF[@]}"
    serves "round $round: it answers after its start" bash -c "${CLI[*]} ping | grep -qx PONG"
    if [ "$round" -gt 1 ]; then
        client "round $round: nothing that was acknowledged is lost" python3 test/net/redis_client.py "$GUEST" "$PORT" \
            verify "$WORK/acknowledged"
        sed 's/^/# /' "$WORK/client"
    fi
    "${INSIDE[@]}" python3 test/net/redis_client.py "$GUEST" "$PORT" load "$WORK/acknowledged" "$round" >"$WORK/load" 2>&1 &
    loader=$!
    for _ in $(seq 600); do
        grep -q loading "$WORK/load" && break
        sleep 0.1
    done
    sleep 1.5
    kill -KILL "$(pgrep -P "$SERVER" -f qemu-system)"
    wait "$SERVER" 2>/dev/null
    SERVER=
    wait "$loader"
    ok $? "round $round: the client wrote until QEMU was killed" || diagnose "$WORK/load"
    sed 's/^/# /' "$WORK/load"
done
client_ended=$("$THUNK" check "$WORK/redis.img" 2>&1)
ok $? "thunk check finds no damage" || echo "# $client_ended"
finish
