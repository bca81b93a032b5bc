#!/usr/bin/env bash
# Sockets, with right and wrong arguments: every result equals Linux's.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
mkdir -p "$WORK/files"

# both NAME PROGRAM: on one processor and on two.
both() {
    cp "$programs/$2" "$WORK/$2"
    OPTIONS=()
    same "$1" "$WORK/files" /dev/null "$WORK/$2"
    OPTIONS=(-c 2)
    same "$1, with two CPUs" "$WORK/files" /dev/null "$WORK/$2"
}

both "sockets of the machine itself" socket_unix
both "messages with descriptors and credentials" socket_messages
both "TCP" socket_inet
both "UDP" socket_datagrams
both "options" socket_options
# Where nothing is mounted at /sys there is nothing to compare with.
[ -e /sys/class/net/lo/type ] || NORMALISE='s,^(/sys/class/net/lo/[a-z]+): .*,\1,'
both "interfaces, and what shows the network" socket_interfaces

finish
