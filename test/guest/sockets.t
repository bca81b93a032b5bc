#!/usr/bin/env bash
# Sockets, with right and wrong arguments: every result equals Linux's.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
OPTIONS=()

mkdir -p "$WORK/files"
cp "$programs/socket_unix" "$WORK/unix"
same "sockets of the machine itself" "$WORK/files" /dev/null "$WORK/unix"
OPTIONS=(-c 2)
same "sockets of the machine itself, with two CPUs" "$WORK/files" /dev/null "$WORK/unix"

OPTIONS=()
cp "$programs/socket_inet" "$WORK/inet"
same "TCP and UDP" "$WORK/files" /dev/null "$WORK/inet"
OPTIONS=(-c 2)
same "TCP and UDP, with two CPUs" "$WORK/files" /dev/null "$WORK/inet"

OPTIONS=()
cp "$programs/socket_interfaces" "$WORK/interfaces"
same "interfaces, and what shows the network" "$WORK/files" /dev/null "$WORK/interfaces"

finish
