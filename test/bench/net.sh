#!/usr/bin/env bash
# The network's part of `make bench`: servers of Debian in Thunk and in a Linux guest, driven from a
# namespace over a tap with its offloads, one virtual CPU each, by turns.  Instructions are counted
# by a plugin of QEMU's translator (count.c), in runs of their own.
#   net.sh BUILD [nginx|redis|iperf|boot|open...]     rows are added to BUILD/bench/table.md
# The aims are those of the issue: other kernels' figures on such a machine, and the Linux guest of this run.
set -euo pipefail
build=$(realpath "$1")
shift
parts=" ${*:-boot nginx open redis iperf} "
bench=$build/bench
linux=$bench/linux
thunk=$build/thunk
table=$bench/table.md
work=$(mktemp -d "${TMPDIR:-/tmp}/thunk-bench.XXXXXX")
net=thunk-bench-$$
address=10.77.0.2
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-3}
guest=
. test/bench/lib.sh
. test/bench/linux_lib.sh

inside() { ip netns exec "$net" "$@"; }
# What is to be ended is started without a function: $! would be a shell around it.
guest_end() {
    [ -n "$guest" ] || return 0
    kill "$guest" 2>/dev/null || true
    wait "$guest" 2>/dev/null || true
    guest=
    rm -f "$work/count"
}
all_end() {
    guest_end
    ip netns del "$net" 2>/dev/null || true
    rm -rf "$work"
}
trap all_end EXIT

if ! ip netns add "$net"; then
    say "bench: no network namespace can be made here; the servers' rows are left out"
    exit 0
fi
ip -n "$net" link set lo up
inside ip tuntap add dev tap0 mode tap
ip -n "$net" addr add 10.77.0.1/24 dev tap0
ip -n "$net" link set tap0 up
# Known from the beginning, so that an answer after the start does not wait for ARP's second try.
ip -n "$net" neigh add "$address" lladdr 52:54:00:12:34:56 dev tap0 nud permanent
ulimit -n 65536 2>/dev/null || true

# --- the images ------------------------------------------------------------------------------------------
mkdir -p "$work/site" "$work/var"
printf 'Hello, world!\n' >"$work/site/small"
head -c 102400 /dev/urandom >"$work/site/100k"
cat >"$work/nginx.conf" <<'CONF'
daemon off;
master_process off;
error_log stderr crit;
pid /run/nginx.pid;
worker_rlimit_nofile 40000;
events { worker_connections 16384; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 1000s;
    server {
        listen 80 backlog=4096;
        root /site;
        location = /answer { default_type text/plain; return 200 "Hello, world!\n"; }
    }
}
CONF
NGINX=(nginx -c /nginx.conf)
printf 'bind 0.0.0.0\nprotected-mode no\nsave ""\n' >"$work/redis.conf"
REDIS=(redis-server /redis.conf)
IPERF=(iperf3 -s)
HTTP=(/http)

image() { # image NAME OPTIONS AND PROGRAM...
    local name=$1
    shift
    "$thunk" build -o "$work/$name.img" "$@"
}
image nginx --deb nginx --add "$work/site:/site" --add "$work/nginx.conf:/nginx.conf" --add "$work/var:/var/lib/nginx" "${NGINX[@]}"
image redis --deb redis-server --add "$work/redis.conf:/redis.conf" "${REDIS[@]}"
image iperf iperf3 "${IPERF[@]:1}"
image http --add "$bench/guest/http:/http" /http

# Linux runs the same files from its initial file system, which is in memory.
linux_tree() {
    local tree=$linux/net name
    rm -rf "$tree" && mkdir -p "$tree"
    for name in nginx redis iperf http; do
        rm -rf "$work/tree" && "$thunk" cp "$work/$name.img:/" "$work/tree"
        cp -a --update=all "$work/tree/." "$tree/" 2>/dev/null || cp -a "$work/tree/." "$tree/"
    done
    linux_net_root "$linux" "$tree"
    linux_pack "$tree" "$linux/net.cpio"
}
linux_tree

# --- the guests --------------------------------------------------------------------------------------------
THUNK_NET=(--net "tap:tap0,$address/24,gateway=10.77.0.1")
# How each is started, in `words`: thunk_words IMAGE [count], linux_words PROGRAM [count].
thunk_words() {
    words=("$thunk" run --accel tcg -m 512M --kernel-arg open_files=40000 "${THUNK_NET[@]}" --disk "$work/$1.img")
    [ -z "${2:-}" ] || words+=(--qemu-arg -plugin --qemu-arg "file=$bench/count.so,out=$work/count")
}
linux_words() {
    local -n program=${1^^}
    words=(qemu-system-x86_64 -M q35 -accel tcg -cpu "max,erms=off,fsrm=off" -nodefaults -no-user-config -vga none
        -display none -serial "file:$work/linux.log" -no-reboot -m 768M -kernel "$linux/vmlinuz" -initrd "$linux/net.cpio"
        -netdev tap,id=net,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=net,romfile=
        -append "console=ttyS0 quiet panic=-1 -- ${program[*]}")
    [ -z "${2:-}" ] || words+=(-plugin "file=$bench/count.so,out=$work/count")
}
guest_start() { # guest_start thunk|linux IMAGE PORT [count]
    guest_end
    "$1_words" "$2" "${4:-}"
    ip netns exec "$net" "${words[@]}" </dev/null >"$work/guest.log" 2>&1 &
    guest=$!
    for _ in $(seq 600); do
        if inside timeout 1 bash -c "exec 3<>/dev/tcp/$address/$3" 2>/dev/null; then
            sleep 0.5
            return 0
        fi
        kill -0 "$guest" 2>/dev/null || break
        sleep 0.1
    done
    say "bench: $1 with $2 does not answer: $(tail -n 1 "$work/guest.log")"
    guest_end
    return 1
}
count() { od -An -tu8 -N8 "$work/count" | tr -d ' '; }

# --- figures ----------------------------------------------------------------------------------------------
wrk_rate() { # wrk_rate PATH CONNECTIONS: requests a second; an error of a socket makes it none
    inside timeout 60 wrk -t 1 -c "$2" -d "${seconds}s" --timeout 10s "http://$address/$1" >"$work/wrk" || true
    grep -qE 'Socket errors|Non-2xx' "$work/wrk" && say "bench: wrk $1: $(grep -E 'Socket errors|Non-2xx' "$work/wrk")"
    awk '/Requests\/sec/ { print $2 }' "$work/wrk"
}
ask_count() { # ask_count PATH CONNECTIONS REQUESTS: instructions a request, when all are open and warm
    inside timeout 300 "$bench/ask" "$address" 80 "$1" "$2" "$3" "$work/count" 2>"$work/ask.err" ||
        say "bench: ask $*: $(tail -n 1 "$work/ask.err")"
}
redis_words() { inside timeout 60 redis-benchmark -h "$address" -q -c 16 -t get "$@" | tr '\r' '\n' | awk '/requests per second/ { print $2 }' | tail -1; }
redis_count() { # redis_count REQUESTS WORDS...: instructions a request
    local before after requests=$1
    shift
    before=$(count)
    redis_words -n "$requests" "$@" >/dev/null
    after=$(count)
    awk -v n="$((after - before))" -v r="$requests" 'BEGIN { printf "%.0f\n", n / r }'
}
iperf_rate() { inside timeout 60 iperf3 -c "$address" -t "$seconds" -J "$@" 2>/dev/null |
    python3 -c 'import json, sys; print("%.0f" % (json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e6))' || true; }

of() { [ -s "$work/$1" ] && median <"$work/$1" || echo -; }
# server_row NAME KEY RELATION FACTOR PEER: the aim is FACTOR times the better of Linux here and PEER.
server_row() {
    local a b aim peer="the better of Linux and peers' $5"
    [ "$5" != 0 ] || peer=Linux
    a=$(of "$2.thunk")
    b=$(of "$2.linux")
    aim=$(awk -v l="$b" -v f="$4" -v p="$5" 'BEGIN { print (l == "-" ? "-" : f * (l + 0 > p + 0 ? l : p)) }')
    row "$1" "$a" "$b" "$3 $aim ($4 x $peer)" "$(met "$a" "$3" "$aim")"
}
count_row() { # count_row NAME KEY AIM
    row "$1" "$(of "$2.thunk")" "$(of "$2.linux")" "$3" "$(met "$(of "$2.thunk")" "<=" "$3")"
}
add() { # add FILE FIGURE: when there is one
    [ -z "$2" ] || echo "$2" >>"$work/$1"
}
wanted() { case $parts in *" $1 "*) ;; *) return 1 ;; esac; }

# first_answers IMAGE ROUNDS_OF_LINUX: milliseconds from QEMU's start, for IMAGE.{thunk,q35,linux}
first_answers() {
    for _ in $(seq $((rounds + 2))); do
        thunk_words "$1"
        add "$1.thunk" "$(inside "$bench/answer" "$address" 80 "${words[@]}" --machine microvm || true)"
        add "$1.q35" "$(inside "$bench/answer" "$address" 80 "${words[@]}" --machine q35 || true)"
    done
    for _ in $(seq "$2"); do
        linux_words "$1"
        add "$1.linux" "$(inside "$bench/answer" "$address" 80 "${words[@]}" || true)"
    done
}
smallest_server() { # MiB of the smallest machine that answers
    local m
    for m in $(seq 3 24); do
        if inside timeout 10 "$bench/answer" "$address" 80 "$thunk" run --accel tcg -m "${m}M" "${THUNK_NET[@]}" \
            --disk "$work/http.img" >"$work/smallest" 2>/dev/null; then
            echo "$m"
            return
        fi
    done
}
if wanted boot; then
    say "the first HTTP answer after the start"
    first_answers http "$rounds"
    first_answers nginx "$rounds"
    add smallest "$(smallest_server)"
    head_row "servers: tap with offloads, static address"
    row "QEMU start to the first answer of a static HTTP server, microvm, ms" "$(of http.thunk)" "$(of http.linux) (q35)" 100 \
        "$(met "$(of http.thunk)" "<=" 100)"
    row "the same on q35, ms" "$(of http.q35)" "$(of http.linux)" 180 "$(met "$(of http.q35)" "<=" 180)"
    row "QEMU start to nginx's first answer, microvm, ms" "$(of nginx.thunk)" "$(of nginx.linux) (q35)" "-" "-"
    row "the same on q35, ms" "$(of nginx.q35)" "$(of nginx.linux)" "-" "-"
    row "smallest -m for a static HTTP server, MiB" "$(of smallest)" "72 (peers.md)" 8 "$(met "$(of smallest)" "<=" 8)"
fi

if wanted nginx; then
    say "nginx in both guests"
    for _ in $(seq "$rounds"); do
        for who in thunk linux; do
            guest_start $who nginx 80 || continue
            add "answer.$who" "$(wrk_rate answer 16)"
            add "small.$who" "$(wrk_rate small 16)"
            add "large.$who" "$(wrk_rate 100k 16)"
        done
    done
    for who in thunk linux; do
        guest_start $who nginx 80 count || continue
        add "answer_count.$who" "$(ask_count answer 16 20000)"
        add "small_count.$who" "$(ask_count small 16 20000)"
        add "large_count.$who" "$(ask_count 100k 16 5000)"
    done
    head_row "nginx, one virtual CPU, wrk with 16 connections"
    server_row "14-byte answers without a file, requests/s" answer ">=" 2 10604
    count_row "14-byte answers without a file, instructions each" answer_count 10000
    server_row "14-byte answers of a file, requests/s" small ">=" 2 10604
    count_row "14-byte answers of a file, instructions each" small_count 10000
    server_row "100 KiB answers, requests/s" large ">=" 1.5 1241
    count_row "100 KiB answers, instructions each" large_count 50000
fi

if wanted open; then
    say "the cost of open connections"
    head_row "nginx, 14-byte answers, instructions each with so many connections open"
    for who in thunk linux; do
        guest_start $who nginx 80 count || continue
        for connections in 1 100 1000 10000; do
            mkfifo "$work/hold"
            ip netns exec "$net" python3 test/bench/hold.py "$address" 80 "$connections" <"$work/hold" >"$work/held" 2>"$work/hold.err" &
            holder=$!
            exec 4>"$work/hold"
            for _ in $(seq 1800); do [ -s "$work/held" ] || ! kill -0 "$holder" 2>/dev/null || { sleep 0.1; continue; }; break; done
            if [ "$(cat "$work/held")" = "$connections" ]; then
                add "idle_$connections.$who" "$(ask_count small 16 20000)"
            else
                say "bench: $who: $connections connections: $(tail -n 1 "$work/hold.err")"
            fi
            exec 4>&-
            wait "$holder" || true
            rm -f "$work/hold"
        done
        for connections in 1 100 1000 10000; do
            add "active_$connections.$who" "$(ask_count small "$connections" $((4000 + 4 * connections)))"
        done
        guest_end
    done
    for kind in idle active; do
        aim=$(awk -v b="$(of ${kind}_1.thunk)" 'BEGIN { print (b == "-" ? "-" : int(1.2 * b)) }')
        name="idle beside 16 that ask"
        [ $kind = idle ] || name="all asking"
        for connections in 1 100 1000 10000; do count_row "$name: $connections" "${kind}_$connections" "$aim"; done
    done
fi

if wanted redis; then
    say "redis in both guests"
    for _ in $(seq "$rounds"); do
        for who in thunk linux; do
            guest_start $who redis 6379 || continue
            add "get.$who" "$(redis_words -n 30000)"
            add "pipe.$who" "$(redis_words -n 200000 -P 16)"
        done
    done
    for who in thunk linux; do
        guest_start $who redis 6379 count || continue
        add "get_count.$who" "$(redis_count 20000)"
        add "pipe_count.$who" "$(redis_count 100000 -P 16)"
    done
    head_row "redis-server, one virtual CPU, redis-benchmark -t get with 16 clients"
    server_row "GET, requests/s" get ">=" 2 12308
    row "GET, instructions each" "$(of get_count.thunk)" "$(of get_count.linux)" "-" "-"
    server_row "GET pipelined by 16, requests/s" pipe ">=" 2 80645
    row "GET pipelined by 16, instructions each" "$(of pipe_count.thunk)" "$(of pipe_count.linux)" "-" "-"
fi

if wanted iperf; then
    say "iperf3 in both guests"
    for _ in $(seq "$rounds"); do
        for who in thunk linux; do
            guest_start $who iperf 5201 || continue
            sleep 1
            add "in.$who" "$(iperf_rate)"
            sleep 1
            add "out.$who" "$(iperf_rate -R)"
        done
    done
    head_row "iperf3, one virtual CPU, one connection"
    server_row "into the machine, Mbit/s" in ">=" 1.2 0
    server_row "out of the machine, Mbit/s" out ">=" 1.2 0
fi
guest_end
