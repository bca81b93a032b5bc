#!/usr/bin/env bash
# A path that loses, repeats, reorders and spoils frames; a link that goes down and comes back; packets
# that are wrong; a DHCP server that is late.  SEED=N repeats a run.
. test/net/faults_lib.sh
faults_begin
SEED=${SEED:-$RANDOM}
echo "# SEED=$SEED"

# --- streams on a bad path ---
wire --seed "$SEED" --loss 1 --duplicate 1 --reorder 1 --corrupt 0.2 --delay 10
machine_start "$GUEST/24" "$BUILD/net/stream_guest" serve 7
served
ok $? "a server is reached over a wire that loses 1 %" || { diagnose "$WORK/server.err"; finish; }
stream "4 MB arrive, each byte" send "$GUEST" 7 4000000
stream "4 MB come back, each byte" receive "$GUEST" 7 4000000

# --- a link that goes down ---
wire --seed "$SEED" --delay 5 --rate 20
"${INSIDE[@]}" "$BUILD/net/stream" send "$GUEST" 7 6000000 >"$WORK/sent" 2>&1 &
sent=$!
"${INSIDE[@]}" "$BUILD/net/stream" receive "$GUEST" 7 6000000 >"$WORK/received" 2>&1 &
received=$!
sleep 1
link down
ok $? "the link goes down"
sleep 3
link up
ok $? "and comes back"
wait $sent
ok $? "what was being sent arrives all the same" || diagnose "$WORK/sent"
wait $received
ok $? "so does what was being received" || diagnose "$WORK/received"

# --- packets that are wrong ---
wire --seed "$SEED" --mutate 50 --corrupt 5
for ((i = 0; i < 20; i++)); do
    timeout 2 "${INSIDE[@]}" "$BUILD/net/stream" send "$GUEST" 7 300000 >/dev/null 2>&1
done
wire --seed "$SEED"
served
ok $? "after wrong packets it serves on" || diagnose "$WORK/server.err"
stream "and each byte is right" receive "$GUEST" 7 1000000
server_quiet "wrong packets"
server_kill

# --- DHCP that is late ---
wire --seed "$SEED"
helper python3 test/net/dhcp_server.py "${DHCP_LATE:-20}" "$HOST" "$GUEST" >"$WORK/dhcp"
machine_start dhcp "$BUILD/net/stream_guest" serve 7
served
ok $? "a DHCP server that is ${DHCP_LATE:-20} s late is waited for" || diagnose "$WORK/server.err"
sed 's/^/# /' "$WORK/dhcp"
server_kill
wire_cut
sed 's/^/# /' "$WORK/relay.out"
finish
