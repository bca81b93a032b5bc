#!/bin/sh
# Puts lwIP's source archive at the path given, whole and with the right checksum, or says in one line
# why it cannot.  Called by kernel/net/lwip/lwip.mk.
#
#   sh kernel/net/lwip/fetch.sh ARCHIVE
#
# It is the original archive of Debian's source package, which survives the revisions of the package.
# It comes from wherever this machine's own apt looks for packages, and needs neither root nor package
# lists.  A copy is kept in the user's cache, so that `make clean` costs no second download.
# LWIP_ARCHIVE=FILE (an archive that is there already) comes before everything else.
set -eu

name=lwip_2.2.1+dfsg1.orig.tar.xz
sum=83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1
wanted=$1
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/thunk
helper=/usr/lib/apt/apt-helper

right() {
    [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = $sum ]
}

# Copies in two steps: the file appears whole or not at all.
place() {
    cp "$1" "$2.$$" 2>/dev/null && mv "$2.$$" "$2" || { rm -f "$2.$$" 2>/dev/null; return 1; }
}

die() {
    rm -f "$wanted.part"
    echo "thunk: $*" >&2
    exit 1
}

mkdir -p "$(dirname "$wanted")"
right "$wanted" && exit 0

if [ -n "${LWIP_ARCHIVE:-}" ]; then
    right "$LWIP_ARCHIVE" || die "LWIP_ARCHIVE=$LWIP_ARCHIVE is not $name (SHA-256 $sum)"
    place "$LWIP_ARCHIVE" "$wanted" || die "cannot write $wanted"
    exit 0
fi
if right "$cache/$name"; then
    place "$cache/$name" "$wanted" || die "cannot write $wanted"
    exit 0
fi

[ -x $helper ] ||
    die "lwIP is missing and there is no apt here to fetch it: get $name, and make LWIP_ARCHIVE=FILE"

# The archives that apt knows; the section differs between Debian and those made from it.
archives=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' | sort -u)
for archive in $archives; do
    for section in main universe; do
        rm -f "$wanted.part"
        $helper -qq download-file "${archive%/}/pool/$section/l/lwip/$name" "$wanted.part" \
            "SHA256:$sum" >/dev/null 2>&1 || continue
        right "$wanted.part" || continue
        mv "$wanted.part" "$wanted"
        { mkdir -p "$cache" && place "$wanted" "$cache/$name"; } 2>/dev/null || true
        exit 0
    done
done
die "could not fetch lwIP from any archive that apt is configured with (no network?): get $name, and make LWIP_ARCHIVE=FILE"
