#!/bin/sh
# Checks one model of test/model/ with spin: tools/check/models.sh MODEL.pml DIRECTORY
#
# The model's first comment says how: each `RUN FLAGS` must go through every state without an error,
# and each `MUTATION NAME FLAGS`, which breaks the model with -DNAME, must be found out.  So a model
# that proves nothing fails too.  A run is bounded: 300 seconds and 1.5 GB, and hitting a bound is
# a failure.
set -u

model=$1
directory=$2
failed=0

command -v spin >/dev/null || {
    echo "tools/check/models.sh: spin is missing (Debian: apt-get install spin)" >&2
    exit 1
}
mkdir -p "$directory" || exit 1
model=$(realpath "$model")
cd "$directory" || exit 1

# One search; its report goes to ./report.  False when it could not be made.
search() {
    rm -f pan pan.* ./*.trail
    spin -a "$@" "$model" >report 2>&1 || return 1
    grep -q Error report && return 1
    ${CC:-gcc} -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=1500 -o pan pan.c >>report 2>&1 || return 1
    timeout 300 ./pan -m100000 >report 2>&1
    grep -q '^State-vector' report
}

complain() {
    echo "$model: $1" >&2
    sed -n '1,12p' report >&2
    failed=1
}

states() {
    sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' report
}

check_run() {
    if ! search "$@"; then
        complain "could not be searched ($*)"
    elif ! grep -q 'errors: 0' report; then
        complain "an error ($*)"
    elif grep -q 'not completed\|too small' report; then
        complain "the search reached a bound ($*)"
    else
        echo "$(basename "$model") $*: $(states) states, no error"
    fi
}

check_mutation() {
    name=$1
    shift
    if ! search "-D$name" "$@"; then
        complain "could not be searched ($name $*)"
    elif ! grep -q 'assertion violated\|invalid end state' report; then
        complain "the mutation $name was not found out ($*)"
    fi
}

plan=$(sed -n -e '/\*\//q' -e 's/^ *\(RUN\|MUTATION\)\( .*\)*$/\1\2/p' "$model")
case "$plan" in
*RUN*MUTATION*) ;;
*)
    echo "$model: its first comment needs a RUN and a MUTATION" >&2
    exit 1
    ;;
esac
while read -r kind flags; do
    case $kind in
    RUN) check_run $flags ;;
    MUTATION) check_mutation $flags ;;
    esac
done <<END
$plan
END
exit $failed
