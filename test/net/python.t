#!/usr/bin/env bash
# python3.11: http.server, with a thread for each connection, and an echo server of asyncio with 200
# connections.
set -u
. test/net/lib.sh

net_begin
NET_AT_FIRST=("${NET[@]}")
PYTHON=(--add /usr/lib/python3.11 -m 512M -e PYTHONDONTWRITEBYTECODE=1 -e PYTHONUNBUFFERED=1)
[ -d /etc/python3.11 ] && PYTHON+=(--add /etc/python3.11)

mkdir -p "$WORK/site/folder"
printf 'Hello, world!\n' >"$WORK/site/small"
head -c 3000000 /dev/urandom >"$WORK/site/large"
expose 8000
AT=http://$GUEST:$PORT
server_start "${PYTHON[@]}" --add "$WORK/site:/site" /usr/bin/python3.11 -m http.server --directory /site 8000
serves "http.server answers" curl -fsS --max-time 5 -o "$WORK/small" "$AT/small"
cmp "$WORK/small" "$WORK/site/small"
ok $? "a file of 14 bytes"
client "a file of 3 MB" curl -fsS --max-time 50 -o "$WORK/large" "$AT/large"
cmp "$WORK/large" "$WORK/site/large"
ok $? "it is the same"
client "a folder is listed" bash -c "curl -fsS --max-time 20 $AT/ | grep -q 'href=\"folder/\"'"
client "eight clients at once" bash -c "
    for i in 1 2 3 4 5 6 7 8; do curl -fsS --max-time 50 -o '$WORK/part'\$i $AT/large & done; wait
    for i in 1 2 3 4 5 6 7 8; do cmp '$WORK/part'\$i '$WORK/site/large' || exit 1; done"
kill -0 "$SERVER"
ok $? "it still runs" || diagnose "$WORK/server.err"
grep -q '"GET /large HTTP/1.1" 200' "$WORK/server.err"
ok $? "it has written its lines" || diagnose "$WORK/server.err"
server_kill

NET=("${NET_AT_FIRST[@]}")
expose 7
server_start "${PYTHON[@]}" --add test/net/echo_server.py:/echo.py /usr/bin/python3.11 /echo.py 7
serves "the echo server of asyncio answers" python3 test/net/echo_client.py "$GUEST" "$PORT" 1 1000
# shellcheck disable=SC2086
client "200 connections at once, 20,000 bytes on each" python3 test/net/echo_client.py "$GUEST" "$PORT" 200 20000 $IN_TURN
client "one connection, 4 MB" python3 test/net/echo_client.py "$GUEST" "$PORT" 1 4000000
server_quiet "the echo server"
finish
