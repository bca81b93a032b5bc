#!/usr/bin/env bash
# Debian's nginx: small and large files, kept connections, TLS, wrk.
set -u
. test/net/lib.sh

net_begin
mkdir -p "$WORK/site" "$WORK/tls" "$WORK/body"
printf 'Hello, world!\n' >"$WORK/site/small"
head -c 102400 /dev/urandom >"$WORK/site/100k"
head -c 104857600 /dev/urandom >"$WORK/site/100m"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=thunk.test \
    -addext subjectAltName=DNS:thunk.test -keyout "$WORK/tls/key.pem" -out "$WORK/tls/cert.pem" 2>/dev/null
cat >"$WORK/nginx.conf" <<'CONF'
daemon off;
master_process off;
error_log stderr;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    server {
        listen 80;
        listen 443 ssl;
        ssl_certificate /tls/cert.pem;
        ssl_certificate_key /tls/key.pem;
        root /site;
        location = /count { return 200 "$connection $connection_requests\n"; }
    }
}
CONF
expose 443; TLS=$PORT
expose 80
AT=http://$GUEST:$PORT
server_start --deb nginx --add "$WORK/site:/site" --add "$WORK/tls:/tls" --add "$WORK/nginx.conf:/nginx.conf" \
    --add "$WORK/body:/var/lib/nginx" nginx -c /nginx.conf
serves "nginx answers" curl -fsS --max-time 5 -o "$WORK/small" "$AT/small"

cmp "$WORK/small" "$WORK/site/small"
ok $? "a file of 14 bytes"

# fetched NAME FILE CURL'S WORDS...: what curl writes is that file of the site.
fetched() {
    local name=$1 file=$2 wanted got
    shift 2
    wanted=$(sha256sum <"$WORK/site/$file")
    got=$(timeout 60 "${INSIDE[@]}" curl -sS --max-time 55 "$@" 2>"$WORK/client" | sha256sum)
    [ "$wanted" = "$got" ]
    ok $? "$name" || diagnose "$WORK/client"
}
fetched "a file of 100 KiB" 100k "$AT/100k"
fetched "a file of 100 MiB" 100m "$AT/100m"
client "the last 100 bytes of it, as a range" curl -fsS --max-time 20 -o "$WORK/range" -r -100 "$AT/100m"
cmp "$WORK/range" <(tail -c 100 "$WORK/site/100m")
ok $? "and they are these"

client "three requests go over one connection" curl -sS --max-time 20 "$AT/count" "$AT/count" "$AT/count"
[ "$(awk '{ print $1 }' "$WORK/client" | uniq | wc -l)" = 1 ] && [ "$(awk '{ print $2 }' "$WORK/client" | tr '\n' ' ')" = "1 2 3 " ]
ok $? "nginx counts them on it" || diagnose "$WORK/client"
client "404 for what is not there" curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$AT/absent"
[ "$(cat "$WORK/client")" = 404 ]
ok $? "and nothing else"
client "a request that is nonsense gets 400" bash -c \
    "exec 3<>/dev/tcp/$GUEST/$PORT; printf 'nonsense\r\n\r\n' >&3; head -c 12 <&3 >/dev/null; timeout 10 cat <&3 | grep -q 400"

AS=(--cacert "$WORK/tls/cert.pem" --connect-to "thunk.test:443:$GUEST:$TLS")
fetched "100 KiB over TLS, with the certificate verified" 100k "${AS[@]}" https://thunk.test/100k
fetched "100 MiB over TLS" 100m "${AS[@]}" https://thunk.test/100m

# wrk_clean NAME PATH: three seconds of wrk, with no error of a socket and no answer but 200.
wrk_clean() {
    client "$1" wrk -t 2 -c "$MANY" -d 3s --timeout 10s "$AT/$2"
    grep -q 'Requests/sec' "$WORK/client" && ! grep -qE 'Socket errors|Non-2xx' "$WORK/client"
    ok $? "$1: no error" || diagnose "$WORK/client"
    awk '/Requests\/sec/ { print "# " $2 " requests/s" }' "$WORK/client"
}
MANY=$(at_once 32)
wrk_clean "wrk with $MANY connections, 14 bytes" small
wrk_clean "wrk with $MANY connections, 100 KiB" 100k
fetched "100 MiB once more" 100m "$AT/100m"
server_quiet nginx
finish
