#!/usr/bin/env bash
# `make run`: Debian's nginx in a machine of its own, with a page of ours, at a port of this machine.
#   run.sh THUNK
# PORT says which port (8080, or another one when that is taken).  At a terminal it runs until
# Ctrl-C; without one (or with CI set) the page is fetched, compared, and the machine ended: the
# status says whether it was served.
set -euo pipefail
thunk=$1
here=$(dirname "$0")
patience=120 # seconds until it must have answered, packages to be fetched included

port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

if [ -n "${PORT:-}" ]; then
    port_is_free "$PORT" || { echo "make run: something listens at port $PORT already; write make run PORT=NUMBER" >&2; exit 1; }
    port=$PORT
else
    port=8080
    while ! port_is_free "$port"; do port=$((port + 1)); done
fi
address=http://127.0.0.1:$port/

words=(run -p "127.0.0.1:$port:80" --deb nginx --add "$here/index.html:/site/index.html" --add "$here/nginx.conf:/site.conf"
    nginx -c /site.conf)
echo "+ $thunk ${words[*]}"
"$thunk" "${words[@]}" </dev/null &
machine=$!
trap 'kill "$machine" 2>/dev/null; wait "$machine" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

# page: what the server sends, without the head; fails when it does not answer.  Of bash alone: a
# machine that only builds has no client.
page() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    timeout 5 sed '1,/^\r$/d' <&3
    exec 3>&-
}
until page 2>/dev/null | cmp -s - "$here/index.html"; do
    kill -0 "$machine" 2>/dev/null || { wait "$machine" || exit $?; exit 1; }
    [ "$SECONDS" -lt "$patience" ] || { echo "make run: no answer after $patience seconds" >&2; exit 1; }
    sleep 0.1
done

if [ -t 0 ] && [ -z "${CI:-}" ]; then
    printf '\n  Open %s\n  Ctrl-C ends it.\n\n' "$address"
    wait "$machine"
else
    echo "$address answered with tools/demo/index.html, $(wc -c <"$here/index.html") bytes."
    echo "There is no terminal to wait at, so the machine is ended."
fi
