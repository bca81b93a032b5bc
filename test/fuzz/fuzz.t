#!/bin/sh
# Runs every fuzz target for FUZZ_SECONDS, each one TAP test.  A crash is kept, and its path printed.
set -u
build=${BUILD:-build}/fuzz
seconds=${FUZZ_SECONDS:-20}
count=0
failed=0

for source in test/fuzz/*_fuzz.c; do
    name=$(basename "$source" .c)
    target=$build/$name
    count=$((count + 1))
    if [ ! -x "$target" ]; then
        echo "not ok $count - $name is not built"
        failed=1
        continue
    fi
    corpus=$build/$name.corpus
    mkdir -p "$corpus"
    seeder=$build/${name%_fuzz}_seeds
    seeds=test/fuzz/${name%_fuzz}_seeds
    if [ -x "$seeder" ]; then
        seeds=$build/$name.seeds
        mkdir -p "$seeds"
        "$seeder" "$seeds" || echo "# the seeds could not be made"
    fi
    [ -d "$seeds" ] || seeds=
    # shellcheck disable=SC2086
    if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -artifact_prefix="$build/$name.crash-" "$corpus" $seeds >"$build/$name.log" 2>&1; then
        echo "ok $count - $name: $(grep '^Done' "$build/$name.log" | tail -1)"
    else
        failed=1
        echo "not ok $count - $name"
        tail -40 "$build/$name.log" | sed 's/^/# /'
    fi
done
echo "1..$count"
exit $failed
