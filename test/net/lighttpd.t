#!/usr/bin/env bash
# Debian's lighttpd: files, a POST that is read whole and refused, many connections.
set -u
. test/net/lib.sh

net_begin
mkdir -p "$WORK/site" "$WORK/empty"
printf 'Hello, world!\n' >"$WORK/site/small"
head -c 5000000 /dev/urandom >"$WORK/site/large"
cat >"$WORK/lighttpd.conf" <<'CONF'
server.document-root = "/site"
server.port = 80
server.max-keep-alive-requests = 1000
mimetype.assign = ( "" => "application/octet-stream" )
CONF
expose 80
AT=http://$GUEST:$PORT
server_start --deb lighttpd --add "$WORK/site:/site" --add "$WORK/lighttpd.conf:/lighttpd.conf" \
    --add "$WORK/empty:/var/tmp" lighttpd -D -f /lighttpd.conf
serves "lighttpd answers" curl -fsS --max-time 5 -o "$WORK/small" "$AT/small"
cmp "$WORK/small" "$WORK/site/small"
ok $? "a file of 14 bytes"
client "a file of 5 MB" curl -fsS --max-time 50 -o "$WORK/large" "$AT/large"
cmp "$WORK/large" "$WORK/site/large"
ok $? "it is the same"
client "HEAD says how long it is" bash -c "curl -fsSI --max-time 20 $AT/large | grep -qi '^content-length: 5000000'"
client "a POST of 1 MB is answered" curl -sS --max-time 50 -o /dev/null -w '%{http_code}' --data-binary "@$WORK/site/large" "$AT/small"
grep -qE '^(200|405|413|501)$' "$WORK/client"
ok $? "as HTTP does" || diagnose "$WORK/client"
client "wrk with $(at_once 16) connections" wrk -t 2 -c "$(at_once 16)" -d 2s --timeout 10s "$AT/small"
grep -q Requests/sec "$WORK/client" && ! grep -qE 'Socket errors|Non-2xx' "$WORK/client"
ok $? "no error" || diagnose "$WORK/client"
server_quiet lighttpd
finish
