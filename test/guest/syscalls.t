#!/usr/bin/env bash
# System calls about files, with right and wrong arguments: every result equals Linux's.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
OPTIONS=()

mkdir -p "$WORK/files/dir/sub"
(
    cd "$WORK/files" || exit 1
    awk 'BEGIN { for (i = 0; i < 1000; i++) printf "%09d\n", i }' >file
    : >empty
    echo '#!/bin/false' >executable
    chmod 644 file empty
    chmod 755 executable dir dir/sub .
    for i in $(seq 1 20); do echo "$i" >"dir/entry-$i"; done
    ln file dir/hard
    ln -s file link
    ln -s dir linkdir
    ln -s loop loop
    ln -s nothing-there dangling
    find . -exec touch -h -d '2021-02-03 04:05:06' {} +
)
cp "$programs/syscalls_files" "$WORK/program"
same "calls about files" "$WORK/files" /dev/null "$WORK/program"

cp "$programs/syscalls_copy" "$WORK/copy"
same "what calls copy" "$WORK/files" /dev/null "$WORK/copy"

cp "$programs/syscalls_paths" "$WORK/paths"
same "paths" "$WORK/files" /dev/null "$WORK/paths"

# These change the tree, and leave it as it was.
cp "$programs/syscalls_tree" "$WORK/tree"
same "calls that change the tree" "$WORK/files" /dev/null "$WORK/tree"

cp "$programs/syscalls_write" "$WORK/write"
same "calls that write" "$WORK/files" /dev/null "$WORK/write"
OPTIONS=(-c 2)
same "calls that write, with two CPUs" "$WORK/files" /dev/null "$WORK/write"

OPTIONS=()
cp "$programs/syscalls_shm" "$WORK/shm"
same "shared memory and timers" "$WORK/files" /dev/null "$WORK/shm"

# It takes root to set them.
if [ "$(id -u)" = 0 ]; then
    cp "$programs/syscalls_groups" "$WORK/groups"
    same "supplementary groups" "$WORK/files" /dev/null "$WORK/groups"
else
    skip "supplementary groups" "only root may change them here"
fi

cp "$programs/syscalls_epoll" "$WORK/epoll"
same "epoll, eventfd, poll and select" "$WORK/files" /dev/null "$WORK/epoll"

cp "$programs/syscalls_readonly" "$WORK/syscalls_readonly"
"$THUNK" run --timeout "$LIMIT" --kernel-arg read_only --add "$WORK/files:/data" --cwd /data "$WORK/syscalls_readonly" \
    </dev/null >"$WORK/guest.out" 2>&1
ok $? "calls that would change the read-only tree, and the virtual files" || diagnose "$WORK/guest.out"

finish
