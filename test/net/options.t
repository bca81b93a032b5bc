#!/usr/bin/env bash
# What `thunk` offers: --net user with -p, for TCP and UDP; --capture, there and of a tap.
set -u
. test/net/lib.sh

THUNK_NO_TAP="the user network is what is tried here"
net_begin
expose 11211 udp; UDP=$PORT
expose 11211
server_start -v --capture "$WORK/frames.pcap" --deb memcached memcached -u root -l 0.0.0.0 -U 11211
AT=("$GUEST" "$PORT")
serves "--net user -p: memcached answers" python3 test/net/memcached_client.py "${AT[@]}" version
client "--net user -p: 1,000 keys" python3 test/net/memcached_client.py "${AT[@]}" keys
client "--net user -p PORT:PORT/udp" python3 test/net/memcached_client.py "${AT[@]}" udp "$UDP"
grep -q "TCP 127.0.0.1:$PORT leads to the machine's port 11211" "$WORK/server.err"
ok $? "-v says where the port is" || diagnose "$WORK/server.err"
grep -Eq 'address 10\.0\.2\.15/24' "$WORK/server.err"
ok $? "-v shows the address that DHCP gave" || diagnose "$WORK/server.err"
server_kill
python3 test/net/pcap.py "$WORK/frames.pcap" >"$WORK/frames"
ok $? "--capture: the file is a pcap of whole frames"
for wanted in 'udp [0-9.]*:68 > [0-9.]*:67' 'arp' 'tcp [0-9.]*:[0-9]* > 10.0.2.15:11211' 'tcp 10.0.2.15:11211 > ' 'udp 10.0.2.15:11211 >'; do
    grep -q "^$wanted" "$WORK/frames"
    ok $? "--capture: there is: $wanted" || diagnose "$WORK/frames"
done

# --- a tap: frames have a header of virtio-net in front on their way, and large ones are not cut ---
unset THUNK_NO_TAP
net_begin
if need_tap "--capture of a tap"; then
    server_start -v --capture "$WORK/tap.pcap" --deb memcached memcached -u root -l 0.0.0.0
    serves "memcached answers at a tap" python3 test/net/memcached_client.py "$GUEST" 11211 version
    client "large values over a tap" python3 test/net/memcached_client.py "$GUEST" 11211 large
    grep -Eq "address $GUEST/24, gateway $HOST" "$WORK/server.err"
    ok $? "-v shows the address that was given" || diagnose "$WORK/server.err"
    server_kill
    python3 test/net/pcap.py "$WORK/tap.pcap" >"$WORK/frames"
    ok $? "--capture of a tap: the file is a pcap of whole frames"
    for wanted in arp "tcp $HOST:[0-9]* > $GUEST:11211" "tcp $GUEST:11211 > $HOST"; do
        grep -q "^$wanted" "$WORK/frames"
        ok $? "--capture of a tap: there is: $wanted" || diagnose "$WORK/frames"
    done
    ! grep -vqE '^(arp|ipv6|tcp|udp|ip) ' "$WORK/frames"
    ok $? "--capture of a tap: every frame is one" || grep -vE '^(arp|ipv6|tcp|udp|ip) ' "$WORK/frames" | head -3 | sed 's/^/# /'
fi
finish
