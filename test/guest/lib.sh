# Shared by the guest tests: TAP, and running one command on the host and in the machine.
# Sourced by test/guest/*.t, which run from the repository's root.

BUILD=${BUILD:-build}
THUNK=$(realpath "$BUILD/thunk")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/thunk-test.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
LIMIT=${LIMIT:-300} # seconds one machine may take

tests=0
failed=0

ok() { # ok STATUS NAME: status 0 passes
    tests=$((tests + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tests - $2"
    else
        failed=$((failed + 1))
        echo "not ok $tests - $2"
    fi
    return "$1"
}

skip() { # skip NAME WHY
    tests=$((tests + 1))
    echo "ok $tests - $1 # SKIP $2"
}

diagnose() { # diagnose FILE: its first lines, as TAP comments
    head -c 3000 "$1" | head -20 | sed 's/^/# /'
}

finish() {
    echo "1..$tests"
    [ "$failed" -eq 0 ]
    exit
}

# refused NAME STATUS PATTERN ARGUMENTS...: thunk says one line on stderr that matches, and ends with
# that status.  What it printed is in $WORK/out.
refused() {
    local name=$1 wanted=$2 pattern=$3 status=0
    shift 3
    "$THUNK" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -eq "$wanted" ] && [ "$(grep -c . "$WORK/err")" -eq 1 ] &&
        grep -Eq "^thunk: .*($pattern)" "$WORK/err"
    ok $? "$name" || { echo "# status $status, wanted $wanted"; diagnose "$WORK/err"; }
}

# same NAME DIRECTORY STDIN PROGRAM ARG...: runs PROGRAM in DIRECTORY on this host and, with
# DIRECTORY added to the image as its working directory, in the machine; output, error output and
# exit status must be equal byte for byte.  OPTIONS (an array) holds further options of thunk run.
# NORMALISE, a sed script, is applied to both outputs: what is the host filesystem's own affair.
same() {
    local name=$1 directory=$2 stdin=$3
    shift 3
    local host=0 guest=0
    (cd "$directory" && env -i PATH=/usr/bin:/bin LC_ALL=C TZ=UTC0 PWD=/data ${HOST_ENVIRONMENT:-} "$@" \
        <"$stdin" >"$WORK/host.out" 2>"$WORK/host.err") || host=$?
    "$THUNK" run --timeout "$LIMIT" --add "$directory:/data" --cwd /data \
        -e PATH=/usr/bin:/bin -e LC_ALL=C -e TZ=UTC0 -e PWD=/data "${OPTIONS[@]}" "$@" \
        <"$stdin" >"$WORK/guest.out" 2>"$WORK/guest.err" || guest=$?
    if [ -n "${NORMALISE:-}" ]; then
        sed -i -E "$NORMALISE" "$WORK/host.out" "$WORK/guest.out"
    fi
    local wrong=0
    [ "$host" -eq "$guest" ] || { wrong=1; echo "# exit status $guest, on the host $host"; }
    cmp "$WORK/host.out" "$WORK/guest.out" >"$WORK/cmp" 2>&1 || { wrong=1; sed 's/^/# output: /' "$WORK/cmp"; }
    if [ -z "${ANY_STDERR:-}" ]; then
        cmp "$WORK/host.err" "$WORK/guest.err" >"$WORK/cmp" 2>&1 || { wrong=1; sed 's/^/# error output: /' "$WORK/cmp"; }
    fi
    ok "$wrong" "$name" || diagnose "$WORK/guest.err"
}
