#!/usr/bin/env bash
# A program's end: what it has written arrives, and the other side learns that it is over.
set -u
. test/net/lib.sh

net_begin
cat >"$WORK/receiver.py" <<'PY'
import socket, sys
listener = socket.create_server((sys.argv[1], 0))
print(listener.getsockname()[1], flush=True)
listener.settimeout(60)
s, _ = listener.accept()
s.settimeout(20)
received = 0
try:
    while data := s.recv(1 << 20):
        received += len(data)
    print(received, "and the end")
except OSError as e:
    print(received, "and", e)
PY
# ends NAME RECEIVED PROGRAM...: the program connects to this side's PORT.
ends() {
    local name=$1 wanted=$2
    shift 2
    : >"$WORK/receiver.out"
    local at=$HOST
    [ "$MODE" = tap ] || at=127.0.0.1
    "${INSIDE[@]}" timeout 90 python3 "$WORK/receiver.py" "$at" >"$WORK/receiver.out" 2>&1 &
    local receiver=$! port=
    for _ in $(seq 200); do
        port=$(head -n 1 "$WORK/receiver.out")
        [ -z "$port" ] || break
        sleep 0.1
    done
    "${INSIDE[@]}" "$THUNK" run --timeout 60 "${NET[@]}" "${@//PORT/$port}" >"$WORK/out" 2>"$WORK/err" </dev/null
    ok $? "$name: the program ends well" || diagnose "$WORK/err"
    wait "$receiver"
    [ "$(tail -n 1 "$WORK/receiver.out")" = "$wanted" ]
    ok $? "$name: $wanted" || diagnose "$WORK/receiver.out"
}

# Neither of bash's words forks.
ends "four megabytes and an end at once" "4000000 and the end" /bin/bash -c "printf '%04000000d' 0 >/dev/tcp/$HOST/PORT"
ends "a connection that nobody closed" "5 and the end" /bin/bash -c "exec 3<>/dev/tcp/$HOST/PORT; printf hello >&3; exit 0"
finish
