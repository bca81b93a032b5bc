# Shared by the crash tests: starting a machine that writes, and ending it at any moment.
# Sourced by test/crash/*.t, which run from the repository's root.
. test/guest/lib.sh

# machine_start OUTPUT OPTION...: `thunk run` in the background; sets machine (its process).
machine_start() {
    local output=$1
    shift
    : >"$output" # now: the background begins when it likes
    "$THUNK" run --timeout "$LIMIT" "$@" >>"$output" 2>"$WORK/machine.err" </dev/null &
    machine=$!
}

# The emulator that belongs to $machine; nothing while there is none.
emulator() {
    local child
    for child in $(cat "/proc/$machine/task/$machine/children" 2>/dev/null); do
        case $(cat "/proc/$child/comm" 2>/dev/null) in
        qemu-system*) echo "$child" && return ;;
        esac
    done
    return 1
}

# running: the machine has not ended by itself.
running() { kill -0 "$machine" 2>/dev/null; }

# lines_wait COUNT FILE: until FILE has COUNT lines, or the machine has ended.
lines_wait() {
    while running && [ "$(wc -l <"$2")" -lt "$1" ]; do
        sleep 0.02
    done
}

# power_off: ends the emulator of $machine at once, as a power cut would; when there is none yet, as
# soon as there is.
power_off() {
    local pid=
    while running && [ -z "$pid" ]; do
        pid=$(emulator) || sleep 0.02
    done
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    wait "$machine" 2>/dev/null
}

# acked FILE: the last step that was acknowledged in whole lines of FILE.
acked() { awk '/^ack [0-9]+$/ { n = $2 } END { print n + 0 }' "$1"; }

# A time below $1 milliseconds, from the seed.
RANDOM=${SEED:-$$}
random_ms() { echo $((RANDOM * 32768 + RANDOM)) | awk -v most="$1" '{ print ($1 % most) / 1000 }'; }

# emulator_wrap BLOCKDEV: makes $WORK/bin, to be put into PATH, with an emulator that has this
# -blockdev (its node is to be called disk) in place of the disk which it is told to use.
emulator_wrap() {
    local real
    real=$(command -v qemu-system-x86_64)
    mkdir -p "$WORK/bin"
    cat >"$WORK/bin/qemu-system-x86_64" <<WRAPPER
#!/usr/bin/env bash
words=()
while [ \$# -gt 0 ]; do
    if [ "\$1" = -drive ]; then
        shift
        words+=(-blockdev "$1")
    else
        words+=("\$1")
    fi
    shift
done
exec "$real" "\${words[@]}"
WRAPPER
    chmod +x "$WORK/bin/qemu-system-x86_64"
}
