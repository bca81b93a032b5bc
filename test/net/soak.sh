#!/usr/bin/env bash
# What takes hours: `make soak`.  Open connections by the thousand, new ones a thousand a second, a bad
# path, wrong packets by the million, servers under load; afterwards the machine has as much memory as
# before, and no connection.  SOAK_SHORT=1 does each for seconds.  SEED=N repeats a run.  PARTS names
# which of streams, nginx, redis and dhcp to do: they may run beside each other; LOAD_SECONDS how long
# wrk and redis-benchmark each go on.
. test/net/faults_lib.sh
LIMIT=36000
CLIENT_LIMIT=7200
SEED=${SEED:-$RANDOM}
if [ -n "${SOAK_SHORT:-}" ]; then
    OPEN=1000 RATE=200 RATE_SECONDS=10 BAD_MB=2 WRONG=5000 INJECT=500 LOAD_SECONDS=10 LATE=20 GIVE_UP=130
else
    OPEN=10000 RATE=1000 RATE_SECONDS=600 BAD_MB=200 WRONG=1000000 INJECT=1000 LOAD_SECONDS=${LOAD_SECONDS:-3600} LATE=60 GIVE_UP=300
fi
PARTS=${PARTS:-streams nginx redis dhcp}
LEVEL_KIB=4096 # what caches of the heaps may keep
faults_begin
echo "# SEED=$SEED"
"${INSIDE[@]}" sysctl -qw net.ipv4.ip_local_port_range="1024 65000" net.ipv4.tcp_tw_reuse=1 2>/dev/null

# census: asks for one, and waits until it is whole.
census() {
    local before i
    before=$(grep -c 'census ends' "$WORK/server.err")
    kill -QUIT "$SERVER"
    for ((i = 0; i < 100; i++)); do
        [ "$(grep -c 'census ends' "$WORK/server.err")" -gt "$before" ] && return
        sleep 0.1
    done
    return 1
}

free_kib() { sed -n 's/.*memory: \([0-9]*\) KiB of .*/\1/p' "$WORK/server.err" | tail -1; }

# level NAME: memory is as it was when BEFORE was taken, and no connection is left.
level() {
    local after tcp
    census || { ok 1 "$1: a census"; return; }
    after=$(free_kib)
    tcp=$(grep ' TCP: ' "$WORK/server.err" | tail -1)
    echo "# $1: $BEFORE KiB free before, $after after; ${tcp#*: }"
    [ "$after" -ge $((BEFORE - LEVEL_KIB)) ]
    ok $? "$1: memory is level"
    grep -q ' 0 opening, 0 established, 0 closing, 0 in TIME-WAIT' <<<"$tcp"
    ok $? "$1: no connection is left"
}

# quiet NAME: it runs, and the kernel had nothing to say but what it was asked.
quiet() {
    kill -0 "$SERVER" 2>/dev/null
    ok $? "$1: it still runs"
    ! sed '/somebody outside asks/,/census ends/d' "$WORK/server.err" | grep '^thunk:' >"$WORK/said"
    ok $? "$1: the kernel has nothing to say" || diagnose "$WORK/said"
}

part_streams() {
    machine_start "$GUEST/24" -m 1G "$BUILD/net/stream_guest" serve 7
    served
    ok $? "a server is reached" || { diagnose "$WORK/server.err"; finish; }
    stream "a connection before all others" hold "$GUEST" 7 200 0
    sleep 65
    census
    BEFORE=$(free_kib)
    ulimit -n "$(ulimit -Hn)"
    stream "$OPEN connections are held, and each answers" hold "$GUEST" 7 "$OPEN" 10
    stream "$RATE new connections a second for $RATE_SECONDS s" many "$GUEST" 7 "$RATE" "$RATE_SECONDS"
    wire --seed "$SEED" --loss 1 --duplicate 1 --reorder 1 --delay 50 --queue 20000
    stream "$BAD_MB MB to it: 1 % loss, twice, late; 100 ms" send "$GUEST" 7 "${BAD_MB}000000"
    stream "and $BAD_MB MB from it" receive "$GUEST" 7 "${BAD_MB}000000"
    wire --seed "$SEED" --inject "$INJECT"
    sent=0
    for ((round = 0; sent < WRONG && round < 100000; round++)); do
        timeout 2 "${INSIDE[@]}" "$BUILD/net/stream" send "$GUEST" 7 200000 >/dev/null 2>&1
        kill -USR1 "$RELAY"
        sleep 0.1
        sent=$(sed -n 's/^relay: in: .* mutated \([0-9]*\) .*/\1/p' "$WORK/relay.out" | tail -1)
    done
    echo "# $sent wrong packets in $round rounds"
    wire --seed "$SEED"
    served
    ok $? "after $WRONG wrong packets it serves on"
    sleep "$GIVE_UP" # what wrong packets left half open is given up
    level "streams"
    quiet "streams"
    server_kill
}

part_nginx() {
    command -v wrk >/dev/null || { skip "nginx under load" "wrk is missing"; return; }
    mkdir -p "$WORK/site" "$WORK/body"
    head -c 102400 /dev/urandom >"$WORK/site/100k"
    printf '%s\n' 'daemon off; master_process off; error_log stderr; pid /run/nginx.pid;' \
        'events { worker_connections 1024; }' \
        'http { access_log off; sendfile on; server { listen 80; root /site; } }' >"$WORK/nginx.conf"
    machine_start "$GUEST/24" -m 1G --deb nginx --add "$WORK/site:/site" --add "$WORK/nginx.conf:/nginx.conf" \
        --add "$WORK/body:/var/lib/nginx" nginx -c /nginx.conf
    await 60 curl -fsS --max-time 5 -o "$WORK/100k" "http://$GUEST/100k"
    ok $? "nginx answers" || diagnose "$WORK/server.err"
    client "wrk warms it up" wrk -t1 -c50 -d5s "http://$GUEST/100k"
    sleep 65
    census
    BEFORE=$(free_kib)
    client "wrk for $LOAD_SECONDS s" wrk -t1 -c50 -d"${LOAD_SECONDS}s" "http://$GUEST/100k"
    grep -E 'requests in|Socket errors|Requests/sec' "$WORK/client" | sed 's/^/# /'
    sleep 65
    level nginx
    quiet nginx
    server_kill
}

part_redis() {
    command -v redis-benchmark >/dev/null || { skip "redis under load" "redis-benchmark is missing"; return; }
    machine_start "$GUEST/24" -m 1G --deb redis-server redis-server --bind 0.0.0.0 --protected-mode no --save ""
    await 60 bash -c "redis-cli -h $GUEST ping | grep -qx PONG"
    ok $? "redis-server answers" || diagnose "$WORK/server.err"
    load() { client "$1" timeout 7200 redis-benchmark -h "$GUEST" -q -n 5000 -r 1000 -t set,get,incr,lpush,mset; }
    load "redis-benchmark warms it up"
    sleep 65
    census
    BEFORE=$(free_kib)
    until=$((SECONDS + LOAD_SECONDS))
    "${INSIDE[@]}" bash -c "while [ \$SECONDS -lt $LOAD_SECONDS ]; do redis-benchmark -h $GUEST -q -n 5000 -r 1000 -t set,get,incr,mset || exit 1; done" \
        >/dev/null 2>&1
    ok $? "redis-benchmark for $LOAD_SECONDS s"
    [ "$SECONDS" -ge "$until" ] || sleep 1
    sleep 65
    level redis
    quiet redis
    server_kill
}

# A DHCP server that is late.
part_dhcp() {
    helper python3 test/net/dhcp_server.py "$LATE" "$HOST" "$GUEST" >"$WORK/dhcp"
    machine_start dhcp "$BUILD/net/stream_guest" serve 7
    START_LIMIT=300 served
    ok $? "a DHCP server that is $LATE s late is waited for" || diagnose "$WORK/server.err"
    sed 's/^/# /' "$WORK/dhcp"
    server_kill
}

for part in $PARTS; do
    wire --seed "$SEED" --queue 20000
    part_"$part"
done
wire_cut
sed 's/^/# /' "$WORK/relay.out"
finish
