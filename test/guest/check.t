#!/usr/bin/env bash
# Images that are written to: kept and thrown away, copied into, checked, shown, damaged and repaired.
set -u
. test/guest/lib.sh
export XDG_CACHE_HOME="$WORK/cache"
mkdir -p "$XDG_CACHE_HOME"

# finds NAME PATTERN IMAGE: thunk check says a line that matches, and ends with status 1.
finds() {
    local name=$1 pattern=$2 status=0
    "$THUNK" check "$3" >"$WORK/out" 2>"$WORK/err" || status=$?
    [ "$status" -eq 1 ] && grep -Eq "$pattern" "$WORK/out"
    ok $? "$name" || { echo "# status $status"; diagnose "$WORK/out"; diagnose "$WORK/err"; }
}

clean() { # clean NAME IMAGE
    "$THUNK" check "$2" >"$WORK/out" 2>&1 && [ "$(grep -c 'nothing is wrong' "$WORK/out")" -eq 1 ]
    ok $? "$1" || diagnose "$WORK/out"
}

# same_bytes NAME FILE SUM
same_bytes() {
    [ "$(sha256sum <"$2")" = "$3" ]
    ok $? "$1"
}

run() { "$THUNK" run --timeout "$LIMIT" "$@" </dev/null 2>"$WORK/err"; }

# flip FILE BYTE: changes its lowest bit.
flip() {
    local byte
    byte=$(dd if="$1" bs=1 skip="$2" count=1 status=none | od -An -tu1)
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# --- usage ---------------------------------------------------------------------------------------
for words in "check" "check a b" "check -o a b" "check --frobnicate a" "dump" "dump a b" "dump -x"; do
    refused "thunk $words" 2 "check|dump" $words
done
refused "check of what is not there" 1 "absent" check "$WORK/absent"
refused "check of a folder" 1 "folder" check "$WORK"

# --- what is kept, and what is not ---------------------------------------------------------------
mkdir -p "$WORK/empty"
script='n=0; [ -f /d/count ] && read n </d/count; n=$((n + 1)); echo $n >/d/count; echo "run $n $0 $1 $V"; echo "line $n" >>/d/log'
image=$WORK/kept.img
[ "$(run --keep "$image" --add "$WORK/empty:/d" /bin/busybox sh -c "$script" name one)" = "run 1 name one " ]
ok $? "--keep builds the image and runs it" || diagnose "$WORK/err"
clean "which is in order then" "$image"
[ "$("$THUNK" cat "$image" /d/count)" = 1 ]
ok $? "and has what the program wrote"
[ "$(run --keep "$image")" = "run 2 name one " ]
ok $? "an image that is there is booted again" || diagnose "$WORK/err"
[ "$(run --keep "$image" -e V=value busybox sh -c "$script" name two)" = "run 3 name two value" ]
ok $? "with new arguments and variables" || diagnose "$WORK/err"
[ "$("$THUNK" cat "$image" /d/log | tr '\n' ' ')" = "line 1 line 2 line 3 " ]
ok $? "and goes on with its files"
clean "and is in order" "$image"
sum=$(sha256sum <"$image")
[ "$(run --disk "$image")" = "run 4 name two value" ]
ok $? "--disk boots it, and the program can write" || diagnose "$WORK/err"
same_bytes "but the image stays as it is" "$image" "$sum"
refused "a program that is not in it" 127 "nothere: is not in" run --keep "$image" nothere
same_bytes "which changes nothing" "$image" "$sum"
chmod 444 "$image"
if [ "$(id -u)" -ne 0 ]; then
    refused "an image that may not be written" 1 "for writing" run --keep "$image"
else
    skip "an image that may not be written" "root may write everything"
fi
chmod 644 "$image"
exec 9<"$image"
flock -s 9
refused "an image that somebody reads is not written to" 1 "in use" run --keep "$image"
"$THUNK" ls "$image" >"$WORK/out" 2>&1
ok $? "but may be read by others"
exec 9<&-
exec 9<"$image"
flock -x 9
refused "one that somebody writes to is not even read" 1 "in use" ls "$image"
exec 9<&-
run --size 48M --keep "$WORK/small.img" /bin/busybox sh -c \
    'while echo 0123456789012345678901234567890123456789012345678901234567890123 >&2; do :; done 2>/full; echo full' >"$WORK/out"
clean "a disk that a program has filled up is in order" "$WORK/small.img"

# --- building ------------------------------------------------------------------------------------
"$THUNK" build -o "$WORK/a.img" /bin/busybox && "$THUNK" stat "$WORK/a.img" >"$WORK/out" &&
    [ "$(sed -n 's/^blocks free //p' "$WORK/out")" -ge 16384 ]
ok $? "build leaves 64 MiB free" || diagnose "$WORK/out"
"$THUNK" build --size 1G -o "$WORK/a.img" /bin/busybox && [ "$(stat -c %s "$WORK/a.img")" -eq 1073741824 ] &&
    [ "$(stat -c %b "$WORK/a.img")" -lt 16384 ]
ok $? "--size makes it as long as that, of holes"
clean "which is in order" "$WORK/a.img"
"$THUNK" build --no-checksums -o "$WORK/b.img" /bin/busybox && "$THUNK" check "$WORK/b.img" >"$WORK/out" &&
    grep -q ' 0 blocks of data verified' "$WORK/out" && ! "$THUNK" dump "$WORK/b.img" | grep -q checksums
ok $? "--no-checksums" || diagnose "$WORK/out"

# --- copying in ----------------------------------------------------------------------------------
tree=$WORK/tree
mkdir -p "$tree/deep/er" "$tree/empty"
seq 1 100000 >"$tree/deep/numbers"
ln "$tree/deep/numbers" "$tree/deep/er/again"
ln -s ../nowhere "$tree/deep/dangling"
: >"$tree/deep/nothing"
truncate -s 20M "$tree/hole"
printf middle | dd of="$tree/hole" bs=1 seek=10000000 conv=notrunc status=none
for i in $(seq 1 200); do echo $i >"$tree/deep/er/$i"; done
chmod 4711 "$tree/deep/numbers"
find "$tree" -depth -exec touch -h -d '2001-02-03 04:05:06.789012345' {} +
listing() { (cd "$1" && find . -printf '%p %y %m %U %G %n %T@ %l ' \( -type f -printf '%s' , -true \) -printf '\n' | sort); }
"$THUNK" cp "$tree" "$WORK/a.img:/tree" >"$WORK/out" 2>&1
ok $? "cp of a tree into an image" || diagnose "$WORK/out"
clean "which is in order" "$WORK/a.img"
"$THUNK" cp "$WORK/a.img:/tree" "$WORK/back" && listing "$tree" >"$WORK/list.before" && listing "$WORK/back" >"$WORK/list.after" &&
    diff "$WORK/list.before" "$WORK/list.after" >"$WORK/diff" && diff -r --no-dereference "$tree" "$WORK/back" >"$WORK/diff"
ok $? "and comes out as it was" || diagnose "$WORK/diff"
[ "$(stat -c %b "$WORK/back/hole")" -lt 1000 ]
ok $? "its hole as well"
echo other >"$tree/deep/numbers.new" && mv "$tree/deep/numbers.new" "$tree/deep/numbers"
"$THUNK" cp "$tree/." "$WORK/a.img:/tree" && "$THUNK" cp "$WORK/a.img:/tree/." "$WORK/again" &&
    diff -r --no-dereference "$tree" "$WORK/again" >"$WORK/diff"
ok $? "a second copy takes the place of the first" || diagnose "$WORK/diff"
"$THUNK" ls "$WORK/a.img" /tree/deep >"$WORK/out" && ! grep -q thunk-cp "$WORK/out"
ok $? "and leaves nothing else" || diagnose "$WORK/out"
clean "and is in order" "$WORK/a.img"
[ "$(run --keep "$WORK/a.img" busybox cat /tree/deep/numbers)" = other ]
ok $? "a program reads what was copied" || diagnose "$WORK/err"
echo text >"$WORK/deep"
refused "a file over a folder" 1 "folder there" cp "$WORK/deep" "$WORK/a.img:/tree"
refused "into a folder that is not there" 1 "No such file" cp /etc/hostname "$WORK/a.img:/absent/x"
refused "of what is not there" 1 "absent" cp "$WORK/absent" "$WORK/a.img:/"
head -c 300M /dev/urandom >"$WORK/large"
refused "more than there is room for" 1 "no room" cp "$WORK/large" "$WORK/kept.img:/large"
clean "leaves the image in order" "$WORK/kept.img"
"$THUNK" ls "$WORK/kept.img" >"$WORK/out" && ! grep -q large "$WORK/out" && ! grep -q thunk-cp "$WORK/out"
ok $? "and without half a file" || diagnose "$WORK/out"
truncate -s +300M "$WORK/kept.img"
"$THUNK" cp "$WORK/large" "$WORK/kept.img:/large" >"$WORK/out" 2>&1 && "$THUNK" cat "$WORK/kept.img" /large | cmp - "$WORK/large"
ok $? "a longer image has room" || diagnose "$WORK/out"
clean "and is in order" "$WORK/kept.img"
rm -f "$WORK/large" "$WORK/kept.img"

# --- damage --------------------------------------------------------------------------------------
"$THUNK" build -o "$WORK/good.img" --add "$tree:/tree" /bin/busybox cat /tree/deep/numbers
"$THUNK" dump "$WORK/good.img" >"$WORK/dump"
grep -q 'LINK directory .*"numbers"$' "$WORK/dump" && grep -q '^superblock A (block 0), which counts' "$WORK/dump" &&
    [ "$(tail -n 1 "$WORK/dump")" = "(the log ends here)" ]
ok $? "dump shows superblocks, records and the end" || diagnose "$WORK/dump"
log=$(sed -n 's/^group 1 in block \([0-9]*\):.*/\1/p' "$WORK/dump")
second=$(sed -n 's/^group 2 in block \([0-9]*\):.*/\1/p' "$WORK/dump")

# unusable NAME IMAGE PATTERN: every verb refuses it with that reason, and leaves it as it is.
unusable() {
    local sum
    sum=$(sha256sum <"$2")
    refused "$1: ls" 1 "$3" ls "$2"
    refused "$1: run --keep" 1 "$3" run --keep "$2"
    refused "$1: run --keep with a program" 1 "$3" run --keep "$2" busybox true
    refused "$1: cp into it" 1 "$3" cp /etc/hostname "$2:/x"
    run --disk "$2" >"$WORK/out"
    [ $? -eq 1 ] && grep -Eq "$3" "$WORK/err"
    ok $? "$1: run --disk" || diagnose "$WORK/err"
    "$THUNK" check "$2" >"$WORK/out" 2>&1
    [ $? -eq 1 ]
    ok $? "$1: check says so" || diagnose "$WORK/out"
    "$THUNK" dump "$2" >"$WORK/out" 2>&1
    [ $? -le 1 ] && ! grep -q mistake "$WORK/out"
    ok $? "$1: dump goes on or refuses" || diagnose "$WORK/out"
    same_bytes "$1: is left as it is" "$2" "$sum"
}
cp "$WORK/good.img" "$WORK/bad.img"
flip "$WORK/bad.img" $((second * 4096 + 3000))
unusable "a damaged log" "$WORK/bad.img" "damaged"
finds "check names the group and its place" "^group 2, expected at byte $((second * 4096)), does not match its checksum" "$WORK/bad.img"
"$THUNK" dump "$WORK/bad.img" >"$WORK/out"
[ "$(grep -c '^group ' "$WORK/out")" -eq $(($(grep -c '^group ' "$WORK/dump") - 1)) ]
ok $? "dump goes on behind it"
head -c $((log * 4096 + 100)) "$WORK/good.img" >"$WORK/cut.img"
unusable "an image cut short" "$WORK/cut.img" "shorter"
head -c 2M /dev/urandom >"$WORK/noise.img"
unusable "noise" "$WORK/noise.img" "no filesystem of ours"
truncate -s 2M "$WORK/zero.img"
if command -v mkfs.ext4 >/dev/null; then
    mkfs.ext4 -q -F "$WORK/zero.img"
fi
unusable "another filesystem" "$WORK/zero.img" "no filesystem of ours"
cp "$WORK/good.img" "$WORK/bad.img"
flip "$WORK/bad.img" 10
flip "$WORK/bad.img" $((16 * 4096 + 20))
unusable "both superblocks damaged" "$WORK/bad.img" "no superblock is valid"

# --- repair --------------------------------------------------------------------------------------
cp "$WORK/good.img" "$WORK/bad.img"
flip "$WORK/bad.img" $((16 * 4096 + 20))
finds "one superblock is damaged" "^superblock B .* does not match its checksum" "$WORK/bad.img"
"$THUNK" cat "$WORK/bad.img" /tree/deep/numbers >"$WORK/out" 2>&1
ok $? "the other one is enough"
"$THUNK" check --repair "$WORK/bad.img" >"$WORK/out" 2>&1 && grep -q 'superblock B is written anew' "$WORK/out"
ok $? "and it is written anew" || diagnose "$WORK/out"
clean "then nothing is wrong" "$WORK/bad.img"

# The first file of one block that lies in /tree: the image has others.
for place in $(sed -n 's/^  MAP inode .*file blocks 0\.\.1 at disk block \([0-9]*\).*/\1/p' "$WORK/dump"); do
    cp "$WORK/good.img" "$WORK/bad.img"
    flip "$WORK/bad.img" $((place * 4096))
    "$THUNK" check "$WORK/bad.img" 2>/dev/null | grep -q "^/tree/" && break
done
finds "damaged data is named with its file and place" "^/tree/.* bytes 0..4096 do not match" "$WORK/bad.img"
lost=$(sed -n 's/^\(.*\) (inode .*/\1/p' "$WORK/out" | head -n 1)
! "$THUNK" cat "$WORK/bad.img" "$lost" >"$WORK/out" 2>"$WORK/err" && grep -q "thunk: fs: $lost .*checksum" "$WORK/err"
ok $? "reading it fails, and says which file" || diagnose "$WORK/err"
"$THUNK" check --no-data "$WORK/bad.img" >"$WORK/out"
ok $? "--no-data does not look at data"
sum=$(sha256sum <"$WORK/bad.img")
"$THUNK" check --repair -o "$WORK/mended.img" "$WORK/bad.img" >"$WORK/out" 2>&1 && grep -q "^$lost: bytes 0..4096 are lost" "$WORK/out"
ok $? "a copy is repaired" || diagnose "$WORK/out"
same_bytes "and the image is as it was" "$WORK/bad.img" "$sum"
clean "the copy is in order" "$WORK/mended.img"
! "$THUNK" cat "$WORK/mended.img" "$lost" >"$WORK/out" 2>&1 && "$THUNK" ls "$WORK/mended.img" /lost+found | grep -q -- "-${lost##*/}\$"
ok $? "and the file is in /lost+found"
"$THUNK" cp "$WORK/mended.img:/tree" "$WORK/mended" && diff -r --no-dereference "$tree" "$WORK/mended" >"$WORK/diff"
[ "$(grep -vc '^Only in' "$WORK/diff")" -eq 0 ] && [ "$(wc -l <"$WORK/diff")" -eq 1 ]
ok $? "all others are what they were" || diagnose "$WORK/diff"
refused "a copy that is there is not overwritten" 1 "mended.img" check --repair -o "$WORK/mended.img" "$WORK/bad.img"

cp "$WORK/good.img" "$WORK/bad.img"
flip "$WORK/bad.img" $((second * 4096 + 3000))
"$THUNK" check --repair "$WORK/bad.img" >"$WORK/out" 2>&1
ok $? "a damaged log is repaired" || diagnose "$WORK/out"
clean "then nothing is wrong" "$WORK/bad.img"
rm -rf "$WORK/mended"
"$THUNK" cp "$WORK/bad.img:/" "$WORK/mended" >"$WORK/out" 2>&1
wrong=0
(cd "$WORK/mended/tree" 2>/dev/null && find . -type f) | while read -r file; do
    cmp -s "$WORK/mended/tree/$file" "$tree/$file" || { echo "$file"; wrong=1; }
done >"$WORK/diff"
[ ! -s "$WORK/diff" ]
ok $? "and no file that is left has other bytes" || diagnose "$WORK/diff"
"$THUNK" cp /etc/hostname "$WORK/bad.img:/after" && clean "it can be written to again" "$WORK/bad.img"

finish
