#!/usr/bin/env bash
# Bad programs and bad images, booted: one clear line, the right exit status, never a hang (124),
# never a panic.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
LIMIT=60

# refused NAME STATUS PATTERN OPTIONS...: thunk run ends with STATUS and exactly one line of error
# that matches PATTERN.
refused() {
    local name=$1 wanted=$2 pattern=$3 status=0
    shift 3
    "$THUNK" run --timeout "$LIMIT" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -eq "$wanted" ] && [ ! -s "$WORK/out" ] && [ "$(grep -c . "$WORK/err")" -eq 1 ] &&
        grep -Eqi "$pattern" "$WORK/err"
    ok $? "$name" || { echo "# status $status, wanted $wanted"; diagnose "$WORK/err"; }
}

# --- programs that the kernel is given inside a root, so that it is the kernel that refuses ---------
root="$WORK/root"
mkdir -p "$root/bin" "$root/directory" "$root/lib64"
cp "$programs/hello" "$root/bin/hello"
chmod 755 "$root/bin/hello"
printf '#!/bin/sh\necho hello\n' >"$root/bin/script"
: >"$root/bin/empty"
head -c 100 "$root/bin/hello" >"$root/bin/short"
head -c 3000 "$root/bin/hello" >"$root/bin/truncated"
printf 'MZ not an ELF file at all, but long enough to be read as one: %064d\n' 0 >"$root/bin/text"
for kind in class32 machine version phentsize phnum entry; do cp "$root/bin/hello" "$root/bin/$kind"; done
poke() { printf "$3" | dd of="$root/bin/$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
poke class32 4 '\001'
poke machine 18 '\003\000'
poke version 6 '\007'
poke phentsize 54 '\007\000'
poke phnum 56 '\377\377'
poke entry 24 '\001\000\000\000\000\000\377\377'
cp /bin/true "$root/bin/no-interpreter" # its interpreter is not in this root
cp "$root/bin/hello" "$root/bin/not-executable"
chmod 755 "$root"/bin/*
chmod 644 "$root/bin/not-executable"

refused "a missing program" 127 "absent.*(no such file|not found)" --root "$root" /bin/absent
refused "a directory" 126 "directory" --root "$root" /directory
refused "a script" 126 "script" --root "$root" /bin/script
refused "an empty file" 126 "bin/empty" --root "$root" /bin/empty
refused "an ELF file of 100 bytes" 126 "bin/short" --root "$root" /bin/short
refused "a truncated ELF file" 126 "truncated" --root "$root" /bin/truncated
refused "text" 126 "not an ELF" --root "$root" /bin/text
refused "a 32-bit ELF file" 126 "32-bit" --root "$root" /bin/class32
refused "an ELF file for another machine" 126 "bin/machine" --root "$root" /bin/machine
refused "a program header size that cannot be" 126 "bin/phentsize" --root "$root" /bin/phentsize
refused "65,535 program headers" 126 "bin/phnum" --root "$root" /bin/phnum
refused "a file without execute permission" 126 "permission" --root "$root" /bin/not-executable
refused "a missing interpreter" 127 "interpreter" --root "$root" /bin/no-interpreter
status=0
"$THUNK" run --timeout "$LIMIT" --root "$root" /bin/entry >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
[ "$status" -eq 139 ] || [ "$status" -eq 126 ]
ok $? "an entry point outside the program" || { echo "# status $status"; diagnose "$WORK/err"; }

# --- what thunk itself refuses before booting ---------------------------------------------------------
cat >"$WORK/lib.c" <<'C'
int answer(void);
int answer(void) { return 42; }
C
cat >"$WORK/use.c" <<'C'
int answer(void);
int main(void) { return answer(); }
C
gcc -shared -fPIC -o "$WORK/libanswer.so" "$WORK/lib.c" &&
    gcc -o "$WORK/use" "$WORK/use.c" -L"$WORK" -lanswer
refused "a missing library names who wants it" 1 "libanswer.so.*use|use.*libanswer.so" "$WORK/use"
rm -f "$WORK/libanswer.so"

# --- too little memory ---------------------------------------------------------------------------------
for memory in 1M 2M 3M 4M 5M; do
    status=0
    "$THUNK" run --timeout "$LIMIT" -m "$memory" "$programs/hello" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        [ "$(cat "$WORK/out")" = hello ]
    else
        [ "$status" -ne 124 ] && ! grep -qi panic "$WORK/err" && [ "$(grep -c . "$WORK/err")" -eq 1 ]
    fi
    ok $? "-m $memory: hello, or one line that says why not" || { echo "# status $status"; diagnose "$WORK/err"; }
done
status=0
"$THUNK" run --timeout "$LIMIT" -m 32M /usr/bin/lua5.4 -e \
    'local t = {} for i = 1, 1e9 do t[i] = tostring(i) end' >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
[ "$status" -eq 137 ] || [ "$status" -eq 1 ]
ok $? "a program that wants more memory than there is" || { echo "# status $status"; diagnose "$WORK/err"; }
! grep -qi panic "$WORK/err"
ok $? "and the kernel does not panic over it" || diagnose "$WORK/err"

# --- damaged images: seeded flips and cuts --------------------------------------------------------------
mkdir -p "$WORK/data"
seq 1 3000 >"$WORK/data/numbers"
"$THUNK" build -o "$WORK/image" --add "$WORK/data:/data" /bin/busybox sha256sum /data/numbers >"$WORK/out" 2>&1 ||
    diagnose "$WORK/out"
expected="$(sha256sum "$WORK/data/numbers" | cut -d' ' -f1)  /data/numbers"
size=$(stat -c %s "$WORK/image")

# wrong KIND NAME: what must not be, said on stderr too, which prove shows.
wrong() {
    { echo "# $1: $2, status $status after $((SECONDS - began)) s"; diagnose "$WORK/out"; diagnose "$WORK/err"; } |
        tee /dev/stderr
}

# boot_damaged NAME: boots $WORK/damaged.  The exact output with status 0 is right, and so is a
# failure that is reported; anything else is wrong.
hangs=0 panics=0 lies=0 refusals=0 sound=0
boot_damaged() {
    local status=0 began=$SECONDS
    "$THUNK" run --timeout "$LIMIT" --disk "$WORK/damaged" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    if [ "$status" -eq 124 ]; then
        hangs=$((hangs + 1)); wrong hang "$1"
    elif grep -qi panic "$WORK/err"; then
        panics=$((panics + 1)); wrong panic "$1"
    elif [ "$status" -eq 0 ] && [ "$(cat "$WORK/out")" = "$expected" ]; then
        sound=$((sound + 1))
    elif [ "$status" -ne 0 ] && [ -s "$WORK/err" ]; then
        refusals=$((refusals + 1))
    else
        lies=$((lies + 1)); wrong "a failure without a word, or wrong output" "$1"
    fi
}

# The parts of the image that hold bytes: "START END" each.
extents() {
    python3 -c 'import os, sys
f, at = os.open(sys.argv[1], os.O_RDONLY), 0
while at < os.fstat(f).st_size:
    try:
        start = os.lseek(f, at, os.SEEK_DATA)
    except OSError:
        break
    at = os.lseek(f, start, os.SEEK_HOLE)
    print(start, at)' "$1"
}

seed=${SEED:-20261121}
flips=${FLIPS:-200}
extents "$WORK/image" >"$WORK/extents"
used=$(awk '{ n += $2 - $1 } END { print n + 0 }' "$WORK/extents")
# What this awk, or a filesystem without holes, makes of it: a test of nothing is none.
[ "$used" -gt 1000000 ] && [ "$used" -lt "$size" ]
ok $? "the image says where its bytes are" || sed 's/^/# /' "$WORK/extents"
echo "# seed $seed, $flips flips, image of $size bytes, $used of them used"
# Of four flips two are in the first 64 KiB, one of them in its superblock; one is among the image's
# last blocks in use, where the log and the checksums are; one is anywhere among the bytes in use.
awk -v seed="$seed" -v n="$flips" '{ start[NR] = $1; length_[NR] = $2 - $1; used += $2 - $1 }
END {
    srand(seed)
    for (i = 0; i < n; i++) {
        tail = used < 16384 ? used : 16384
        at = i % 4 == 0 ? rand() * 65536 : i % 4 == 2 ? rand() * 512 : \
             i % 4 == 1 ? used - 1 - rand() * (tail - 1) : rand() * used
        at = int(at)
        if (i % 2) {
            for (e = 1; at >= length_[e]; e++) at -= length_[e]
            at += start[e]
        }
        printf "%d %d\n", at, 1 + int(rand() * 255)
    }
}' "$WORK/extents" >"$WORK/flips"
cp --sparse=always "$WORK/image" "$WORK/damaged"
while read -r offset bits; do
    old=$(od -An -tu1 -j "$offset" -N 1 "$WORK/image")
    printf "$(printf '\\%03o' $((old ^ bits)))" | dd of="$WORK/damaged" bs=1 seek="$offset" conv=notrunc 2>/dev/null
    boot_damaged "byte $offset xor $bits"
    printf "$(printf '\\%03o' "$old")" | dd of="$WORK/damaged" bs=1 seek="$offset" conv=notrunc 2>/dev/null
done <"$WORK/flips"
echo "# flips: $sound sound, $refusals refused, $hangs hangs, $panics panics, $lies lies"
[ $((hangs + panics + lies)) -eq 0 ] && [ $((sound + refusals)) -eq "$flips" ]
ok $? "$flips images with one byte flipped: sound output or a clear refusal"
[ "$refusals" -ge $((flips / 8)) ] && [ "$sound" -ge $((flips / 8)) ]
ok $? "and enough of them of each sort" || echo "# $sound sound, $refusals refused"

hangs=0 panics=0 lies=0 refusals=0 sound=0
for cut in 0 1 511 512 4095 4096 8192 12288 65536 $((size / 4)) $((size / 2)) $((size - 4096)); do
    [ "$cut" -lt "$size" ] || continue
    head -c "$cut" "$WORK/image" >"$WORK/damaged"
    boot_damaged "cut to $cut bytes"
done
[ $((hangs + panics + lies)) -eq 0 ]
ok $? "images cut short: refused with a word, or sound"

finish
