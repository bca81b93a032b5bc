# Shared by the tests of faults and load: a machine on a wire of ours (test/net/relay.c) that loses,
# repeats, reorders and changes frames.  Sourced by test/net/faults.t and soak.sh.
. test/net/lib.sh

RELAY=
CAPTION=serving

# faults_begin: the namespace and its tap; skips everything where there can be none.
faults_begin() {
    net_begin
    [ "$MODE" = tap ] && return
    echo "1..0 # SKIP $NO_TAP"
    exit 0
}

# wire FAULTS...: from now on the wire has these.
wire() {
    wire_cut
    "${INSIDE[@]}" "$BUILD/net/relay" --qemu "$WORK/relay.socket:$WORK/qemu.socket" --tap tap0 "$@" \
        >>"$WORK/relay.out" &
    RELAY=$!
}

wire_cut() {
    [ -n "$RELAY" ] || return 0
    kill "$RELAY" 2>/dev/null
    wait "$RELAY" 2>/dev/null
    RELAY=
}

# machine_start NET WORDS...: `thunk run` on the wire, with that boot option.
machine_start() {
    local net=$1
    shift
    NET=(--net none --kernel-arg "net=$net" --qemu-arg -netdev
        --qemu-arg "dgram,id=wire,local.type=unix,local.path=$WORK/qemu.socket,remote.type=unix,remote.path=$WORK/relay.socket"
        --qemu-arg -device --qemu-arg "virtio-net-device,netdev=wire"
        --qemu-arg -qmp --qemu-arg "unix:$WORK/qmp.socket,server=on,wait=off")
    server_start "$@"
}

# link up|down: as a cable is.
link() {
    python3 - "$WORK/qmp.socket" "$1" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for command in ({"execute": "qmp_capabilities"},
                {"execute": "set_link", "arguments": {"name": "wire", "up": sys.argv[2] == "up"}}):
    f.write(json.dumps(command) + "\n")
    f.flush()
    while "return" not in (answer := json.loads(f.readline())):
        assert "error" not in answer, answer
END
}

# served: waits until the machine answers.
served() { await "${START_LIMIT:-60}" "$BUILD/net/stream" send "$GUEST" 7 1000; }

stream() { client "$1" "$BUILD/net/stream" "${@:2}" && echo "# $(cat "$WORK/client")"; }
