#!/usr/bin/env bash
# What `thunk` offers: --net user with -p, for TCP and UDP; --capture.
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
finish
