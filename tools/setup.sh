#!/bin/sh
# Installs what `make run`, `make test` or `make bench` needs and this machine does not have, by name,
# through apt-get.  Silent and quick when everything is there.  Called by tools/setup.mk before
# anything is compiled; `tools/setup.sh --show run|test|bench|fuzz` only says what is missing.
set -eu

show=
if [ "${1:-}" = --show ]; then
    show=1
    shift
fi

build="gcc make libc6-dev nasm qemu-system-x86 libjansson-dev xz-utils"
tests="perl clang clang-format clang-tools libclang-rt-14-dev llvm binutils musl-tools g++
       grub-pc-bin grub-common xorriso mtools gdb
       e2fsprogs busybox-static lua5.4 sqlite3 jq gzip python3 spin
       iproute2 procps curl openssl wrk redis-tools iperf3"

bench="golang-go valgrind"

fuzz="afl++"

case "${1:-}" in
run) wanted=$build ;;
test) wanted="$build $tests" ;;
bench) wanted="$build $tests $bench" ;;
fuzz) wanted="$build $tests $fuzz" ;;
*)
    echo "thunk: write tools/setup.sh [--show] run|test|bench|fuzz" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    # Not a Debian: what is missing shows when it is used, and the packages have other names.
    for program in gcc nasm qemu-system-x86_64; do
        command -v $program >/dev/null && continue
        echo "thunk: $program is missing; this is no Debian, so install it by hand (Debian's names: $(echo $wanted))" >&2
        exit 1
    done
    exit 0
fi

# Names without their architecture: "ii  gcc".
installed=" $(dpkg-query -W -f='${db:Status-Abbrev}${Package} ' $wanted 2>/dev/null | tr -s ' ') "
missing=
for package in $wanted; do
    case "$installed" in
    *"ii $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ -n "$show" ]; then
    echo "thunk: not installed:$missing" >&2
    exit 1
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "thunk: as root, run: apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "thunk: installing$missing" >&2
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists may be there and good; only when they are not is it worth the time to fetch them.
if ! apt install -y --no-install-recommends $missing >"$log" 2>&1; then
    echo "thunk: fetching package lists first" >&2
    if ! { apt update && apt install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "thunk: apt-get could not install:$missing" >&2
        exit 1
    fi
fi
