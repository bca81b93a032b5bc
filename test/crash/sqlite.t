#!/usr/bin/env bash
# sqlite3 from Debian writes transactions and is killed with its machine at random moments, with a
# rollback journal and with a write-ahead log: afterwards the database is sound and no row is
# missing whose transaction was acknowledged.
# KILLS says how often for each of the two (12), TRANSACTIONS how many there are at the end (600); in
# `make soak` 50 and 10,000.
set -u
. test/crash/lib.sh
kills=${KILLS:-$([ -n "${SOAK:-}" ] && echo 50 || echo 12)}
transactions=${TRANSACTIONS:-$([ -n "${SOAK:-}" ] && echo 10000 || echo 600)}
share=$((transactions / kills)) # of one machine, on average
mkdir "$WORK/empty"

# script FIRST LAST MODE: transactions, each acknowledged.  FULL leaves the end of a transaction to
# the removal of the rollback journal, which only EXTRA makes durable.
script() {
    echo "PRAGMA journal_mode=$3; PRAGMA synchronous=EXTRA;"
    echo "create table if not exists t(id integer primary key, text text);"
    awk -v first="$1" -v last="$2" 'BEGIN {
        for (n = first; n <= last; n++)
            printf "begin; insert into t values(%d, '"'row %d '"' || hex(zeroblob(200))); update t set text = text || '"'.'"' where id = %d; commit; select '"'ack %d'"';\n", n, n, n / 2, n
    }'
}

# With -bail, since what follows a statement that failed would be acknowledged all the same.
database() { # database OPTION...: sqlite3 on the script, on the disk that is kept
    exec "$THUNK" run --timeout "$LIMIT" --keep "$image" "$@" --cwd /db /usr/bin/sqlite3 -batch -bail data.db \
        <"$WORK/script" 2>"$WORK/machine.err"
}

# What the database says of itself, in $WORK/rows; what is wrong goes to $WORK/wrong.
look() { # look WHEN ACKED
    printf 'PRAGMA integrity_check; select count(*), max(id), min(id) from t;\n' >"$WORK/script"
    (database) >"$WORK/rows"
    rows=$(awk -F'|' 'NR == 2 { print $1 + 0 }' "$WORK/rows")
    [ "$(head -1 "$WORK/rows")" = ok ] || { echo "$1: not sound:"; head -3 "$WORK/rows" "$WORK/machine.err"; } >>"$WORK/wrong"
    awk -F'|' 'NR == 2 && ($1 != $2 || $3 != 1) { print "a row in the middle is missing: " $0 }' "$WORK/rows" >>"$WORK/wrong"
    [ "${rows:-0}" -ge "$2" ] || echo "$1: $2 was acknowledged, ${rows:-nothing} is there" >>"$WORK/wrong"
}

run_mode() { # run_mode MODE
    local mode=$1 rows=0 n now options
    image=$WORK/$mode.img
    options=(--size 96M --add "$WORK/empty:/db" --add /etc/passwd)
    : >"$WORK/wrong"
    for n in $(seq "$kills"); do
        script $((rows + 1)) $((rows + 100000 / kills)) "$mode" >"$WORK/script"
        : >"$WORK/acks"
        (database "${options[@]}") >>"$WORK/acks" &
        machine=$!
        # Not before it has done something, and then as long as its share may take.
        lines_wait $((RANDOM % (2 * share) + 2)) "$WORK/acks"
        sleep "$(random_ms 100)"
        power_off
        cp "$WORK/machine.err" "$WORK/killed.err"
        now=$(acked "$WORK/acks")
        [ "$now" -gt "$rows" ] || { echo "run $n acknowledged nothing:"; head -3 "$WORK/machine.err"; } >>"$WORK/wrong"
        options=()
        look "kill $n" "$now"
        [ -s "$WORK/wrong" ] && { head -3 "$WORK/killed.err" >>"$WORK/wrong"; break; }
    done
    if [ ! -s "$WORK/wrong" ] && [ "$rows" -lt "$transactions" ]; then
        script $((rows + 1)) "$transactions" "$mode" >"$WORK/script"
        (database) >"$WORK/acks"
        look "at the end" "$transactions"
    fi
    echo "# $mode: $n kills, $rows transactions"
    [ ! -s "$WORK/wrong" ]
    ok $? "sqlite3, journal_mode=$mode: sound, with all that was acknowledged, after $kills kills" || diagnose "$WORK/wrong"
    "$THUNK" check "$image" >"$WORK/check" 2>&1
    ok $? "thunk check finds nothing wrong after them" || diagnose "$WORK/check"
}

run_mode delete
run_mode wal
finish
