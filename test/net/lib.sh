# Shared by the tests of the network: a network namespace of the test's own with a tap, a server in
# the machine, clients beside it.  Sourced by test/net/*.t, which run from the repository's root.
#
# Where no namespace can be made (no root, no iproute2, no /dev/net/tun) the machine is on QEMU's
# user network, with ports forwarded; what needs a tap is skipped, with the reason.
. test/guest/lib.sh
trap 'net_end' EXIT
trap 'exit 1' HUP INT TERM

NAMESPACE=thunk-$$
HOST=           # this side, seen from the machine
GUEST=          # the machine, seen from this side
INSIDE=()       # what a client is started with
NET=()          # thunk's options
MODE=user
NO_TAP=         # why not
IN_TURN=        # what tells a client to open its connections one after the other
AT_ONCE_MOST=64 # connections that a client may open at once
SERVER=         # its process, while it runs
HELPERS=()      # processes of this test's own

net_begin() {
    local error
    HOST=10.77.0.1 GUEST=10.77.0.2 INSIDE=() MODE=user NO_TAP=
    if [ -n "${THUNK_NO_TAP:-}" ]; then
        NO_TAP="THUNK_NO_TAP is set"
    elif error=$(namespace_make 2>&1); then
        MODE=tap
        INSIDE=(ip netns exec "$NAMESPACE")
        NET=(--net "tap:tap0,$GUEST/24,gateway=$HOST,dns=$HOST")
        return
    else
        NO_TAP="no namespace with a tap can be made here: $(head -1 <<<"$error")"
    fi
    echo "# $NO_TAP; the machine is on the user network"
    NET=(--net user)
    # QEMU listens on a forwarded port with a backlog of 1: of many connections at once this host's
    # kernel lets some wait for minutes, and no packet of them reaches the machine.  A Linux guest
    # gets as few: 53 of 200, where this machine got 90.
    IN_TURN=in-turn
    AT_ONCE_MOST=2
    HOST=10.0.2.2
    GUEST=127.0.0.1
}

# at_once COUNT: as many connections at once, or as few as get through.
at_once() { echo $(($1 < AT_ONCE_MOST ? $1 : AT_ONCE_MOST)); }

namespace_make() {
    command -v ip >/dev/null || { echo "ip is missing (iproute2)"; return 1; }
    [ -c /dev/net/tun ] || { echo "/dev/net/tun is missing"; return 1; }
    ip netns add "$NAMESPACE" || return 1
    ip -n "$NAMESPACE" link set lo up &&
        ip netns exec "$NAMESPACE" ip tuntap add dev tap0 mode tap &&
        ip -n "$NAMESPACE" addr add "$HOST/24" dev tap0 &&
        ip -n "$NAMESPACE" link set tap0 up && return
    ip netns del "$NAMESPACE"
    return 1
}

net_end() {
    local helper
    server_kill
    for helper in "${HELPERS[@]}"; do kill "$helper" 2>/dev/null; done
    [ "$MODE" = tap ] && ip netns del "$NAMESPACE"
    rm -rf "$WORK"
}

# helper PROGRAM...: runs beside the machine until the test ends.
helper() {
    "${INSIDE[@]}" "$@" &
    HELPERS+=($!)
}

# expose PORT [udp]: how a client reaches that port of the machine: sets PORT, and adds to NET when
# ports are forwarded.  Before server_start.
expose() {
    PORT=$1
    [ "$MODE" = user ] || return 0
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    NET+=(-p "127.0.0.1:$PORT:$1${2:+/$2}")
}

# server_start WORDS...: `thunk run` with these words.  Its output is in $WORK/server.out and .err.
server_start() {
    "${INSIDE[@]}" "$THUNK" run --timeout "$LIMIT" "${NET[@]}" "$@" \
        >"$WORK/server.out" 2>"$WORK/server.err" </dev/null &
    SERVER=$!
}

# await SECONDS PROGRAM...: until it succeeds beside the machine; fails when the server has ended or
# the time is over.
await() {
    local until=$((SECONDS + $1))
    shift
    while ! "${INSIDE[@]}" "$@" >"$WORK/await" 2>&1; do
        kill -0 "$SERVER" 2>/dev/null || { echo "# the server ended"; return 1; }
        [ "$SECONDS" -lt "$until" ] || { echo "# no answer in time"; diagnose "$WORK/await"; return 1; }
        sleep 0.1
    done
}

# serves NAME PROGRAM...: the first test: the server answers.  Nothing else can be tried when it does
# not.
serves() {
    local name=$1
    shift
    await "${START_LIMIT:-60}" "$@"
    ok $? "$name" || { diagnose "$WORK/server.out"; diagnose "$WORK/server.err"; finish; }
}

# The server still runs, and the kernel had nothing to say.
server_quiet() {
    kill -0 "$SERVER" 2>/dev/null
    ok $? "$1: it still runs" || { wait "$SERVER"; echo "# status $?"; }
    ! grep -q '^thunk:' "$WORK/server.err"
    ok $? "$1: the kernel has nothing to say" || diagnose "$WORK/server.err"
}

server_kill() {
    [ -n "$SERVER" ] || return 0
    kill -TERM "$SERVER" 2>/dev/null
    wait "$SERVER" 2>/dev/null
    SERVER=
}

# client NAME PROGRAM...: it succeeds beside the machine; its output is in $WORK/client.
client() {
    local name=$1
    shift
    timeout "${CLIENT_LIMIT:-60}" "${INSIDE[@]}" "$@" >"$WORK/client" 2>&1
    ok $? "$name" || { diagnose "$WORK/client"; diagnose "$WORK/server.err"; }
}

need_tap() { # need_tap NAME: whether there is one; skips when not
    [ "$MODE" = tap ] && return
    skip "$1" "$NO_TAP"
    return 1
}
