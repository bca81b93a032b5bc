#!/usr/bin/env bash
# iperf3 both ways, over TCP and UDP.
set -u
. test/net/lib.sh

net_begin
expose 5201 udp
if [ "$MODE" = user ]; then # one number for both
    NET+=(-p "127.0.0.1:$PORT:5201")
else
    expose 5201
fi
server_start iperf3 -s --forceflush
IPERF=(iperf3 -c "$GUEST" -p "$PORT" -J --connect-timeout 5000)
serves "iperf3 answers" "${IPERF[@]}" -n 1K

# After each test iperf3 closes the socket that it listens on, and makes it anew.
tested=1
listening() {
    tested=$((tested + 1))
    await 20 bash -c "[ $tested -le \$(grep -c '^Server listening' '$WORK/server.out') ]"
}

# moved NAME LEAST OPTIONS...: at least that many Mbit/s arrived.
moved() {
    local name=$1 least=$2
    shift 2
    listening
    client "$name" "${IPERF[@]}" -t 2 "$@"
    python3 - "$least" "$WORK/client" 2>&1 <<'PY'
import json, sys
result = json.load(open(sys.argv[2]))
if "error" in result:
    sys.exit("# " + result["error"])
end = result["end"]
s = end.get("sum_received") or end["sum"]
rate = (s["bits_per_second"] if "sum_received" in end else s["bits_per_second"] * (100 - s["lost_percent"]) / 100) / 1e6
print("# %.1f Mbit/s%s" % (rate, ", %.2f %% lost" % s["lost_percent"] if "lost_percent" in s else ""))
sys.exit(rate < float(sys.argv[1]))
PY
    ok $? "$name: at least $least Mbit/s" || diagnose "$WORK/server.out"
}
moved "TCP into the machine" 20
moved "TCP out of the machine" 20 -R
moved "four connections into the machine" 20 -P 4
moved "both ways at once" 10 --bidir
moved "UDP into the machine, 10 Mbit/s" 8 -u -b 10M
moved "UDP out of the machine, 10 Mbit/s" 8 -u -b 10M -R
server_quiet iperf3
finish
