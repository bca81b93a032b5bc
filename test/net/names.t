#!/usr/bin/env bash
# Names are resolved by glibc and by musl, with the name server of the network's settings.
set -u
. test/net/lib.sh

net_begin
need_tap "names of a name server of our own" || finish
helper python3 test/net/name_server.py "$HOST" >"$WORK/ready"
for _ in $(seq 200); do
    [ ! -s "$WORK/ready" ] || break
    sleep 0.1
done
for libc in glibc musl; do
    # glibc takes the first line of /etc/hosts with the name for IPv4 and IPv6 both.
    wanted_of_localhost=$([ "$libc" = glibc ] && echo "127.0.0.1" || echo "127.0.0.1 ::1")
    program=$(realpath "$BUILD/net/resolve_$libc")
    # resolved NAME WANTED: on one line, the addresses of NAME or what is wrong
    resolved() {
        local got
        got=$("${INSIDE[@]}" "$THUNK" run --timeout 60 "${NET[@]}" "$program" "$1" 2>"$WORK/err" </dev/null)
        [ "$got" = "$2" ]
        ok $? "$libc: $1 is $2" || { echo "# $got"; diagnose "$WORK/err"; }
    }
    resolved one.thunk.test "192.0.2.1"
    resolved both.thunk.test "192.0.2.2 2001:db8::2"
    resolved alias.thunk.test "192.0.2.1"
    # Too long for UDP: asked for again by TCP, which Debian's musl does not.
    [ "$libc" = musl ] || resolved many.thunk.test "$(python3 -c 'print(*["192.0.2.%d" % i for i in range(100, 160)])')"
    resolved absent.thunk.test "no such name"
    resolved localhost "$wanted_of_localhost"
    resolved 198.51.100.7 "198.51.100.7"
done
finish
