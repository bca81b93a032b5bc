#!/usr/bin/env bash
# Programs of Debian 12 that write: what they leave behind is read by other programs, in the same
# machine and after another start, and must be what the same programs leave behind on this host.
# `make soak` (SOAK=1) takes larger files.
set -u
. test/guest/lib.sh
mkdir "$WORK/empty"
large() { [ -n "${SOAK:-}" ] && echo "$1" || echo "$2"; } # large SOAK USUAL

# kept NAME IMAGE PROGRAM ARG...: runs on an image that is kept; status 0 passes.
kept() {
    local name=$1 image=$2
    shift 2
    "$THUNK" run --timeout "$LIMIT" --keep "$image" --size 1G -m 256M --add "$WORK/empty:/w" --add /etc/passwd --add /etc/group \
        -e PATH=/usr/bin:/bin -e LC_ALL=C -e TZ=UTC0 --cwd /w "${OPTIONS[@]}" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
    ok $? "$name" || { diagnose "$WORK/err"; diagnose "$WORK/out"; }
}
OPTIONS=()

# --- trees made by lua and by python ----------------------------------------------------------------
cat >"$WORK/tree.lua" <<'LUA'
local total = 0
for d = 1, 300 do
    local f = assert(io.open(string.format("lua-%03d.txt", d), "w"))
    for line = 1, d * 7 do
        f:write(string.format("line %d of file %d, %s\n", line, d, string.rep("x", line % 50)))
    end
    total = total + f:seek("end")
    assert(f:close())
    if d % 3 == 0 then assert(os.rename(string.format("lua-%03d.txt", d), string.format("renamed-%03d.txt", d))) end
    if d % 30 == 1 then assert(os.remove(string.format("lua-%03d.txt", d))) end
end
print(total)
LUA
cat >"$WORK/tree.py" <<'PY'
import hashlib, os, shutil
for d in range(40):
    os.makedirs(f"a/{d}/deep/er", exist_ok=True)
    for f in range(20):
        with open(f"a/{d}/deep/er/file-{f}", "wb") as out:
            out.write(hashlib.sha256(f"{d}/{f}".encode()).digest() * (f * d + 1))
    os.symlink(f"er/file-{d % 20}", f"a/{d}/deep/link")
    os.link(f"a/{d}/deep/er/file-1", f"a/{d}/hard")
shutil.copytree("a/7", "b", symlinks=True)
shutil.rmtree("a/8")
os.replace("a/9", "c")
with open("sparse", "wb") as out:
    out.truncate(5 << 30)
    out.seek(4500000000)
    out.write(b"behind four gigabytes")
with open("a/1/deep/er/file-3", "r+b") as out:
    out.truncate(17)
os.chmod("a/2", 0o750)
os.utime("a/3", ns=(1234567890123456789, 1234567890987654321))
PY
cat >"$WORK/look.py" <<'PY'
import hashlib, os
for root, names, files in os.walk("."):
    names.sort()
    for n in sorted(files + names):
        p = os.path.join(root, n)
        s = os.lstat(p)
        if os.path.islink(p):
            print(p, "->", os.readlink(p))
        elif os.path.isdir(p):
            print(p, oct(s.st_mode), s.st_nlink)
        elif s.st_size > 1 << 30:
            with open(p, "rb") as f:
                f.seek(4500000000 - 10)
                print(p, s.st_size, s.st_blocks <= 64, f.read(40))
        else:
            print(p, oct(s.st_mode), s.st_nlink, s.st_size, hashlib.sha256(open(p, "rb").read()).hexdigest())
print(os.stat("a/3").st_mtime_ns)
PY
mkdir "$WORK/host"
(cd "$WORK/host" && env -i PATH=/usr/bin:/bin LC_ALL=C sh -c "umask 022; lua5.4 $WORK/tree.lua && python3.11 $WORK/tree.py" >/dev/null)
OPTIONS=(--add "$WORK/tree.lua:/tree.lua" --add "$WORK/tree.py:/tree.py" --add "$WORK/look.py:/look.py" \
    --add /usr/lib/python3.11 --add /usr/bin/lua5.4 --add /usr/bin/python3.11)
kept "lua writes a tree" "$WORK/tree.img" /usr/bin/lua5.4 /tree.lua
kept "python writes a tree beside it" "$WORK/tree.img" /usr/bin/python3.11 /tree.py
kept "python looks at it after another start" "$WORK/tree.img" /usr/bin/python3.11 /look.py
(cd "$WORK/host" && env -i PATH=/usr/bin:/bin LC_ALL=C python3.11 "$WORK/look.py") >"$WORK/host.out"
cmp "$WORK/host.out" "$WORK/out" >"$WORK/cmp" 2>&1
ok $? "names, modes, link counts, times and contents equal the host's" || diff "$WORK/host.out" "$WORK/out" | head -20 | sed 's/^/# /'
"$THUNK" check "$WORK/tree.img" >"$WORK/err" 2>&1
ok $? "thunk check finds nothing wrong" || diagnose "$WORK/err"
OPTIONS=()

# --- busybox on big files ---------------------------------------------------------------------------
big=$WORK/big.img
BUSYBOX=/bin/busybox
zeros=$(large 200 40)                # MiB
bytes=$(large 60000000 12000000)     # of random data
lines=$(large 400000 60000)
kept "busybox dd writes a large file" "$big" $BUSYBOX dd if=/dev/zero of=zeros bs=1M "count=$zeros" conv=fsync
head -c "$bytes" /dev/urandom >"$WORK/random"
awk -v lines="$lines" 'BEGIN { srand(3); for (i = 0; i < lines; i++) print int(rand() * 1e9), "line", i }' >"$WORK/lines"
"$THUNK" cp "$WORK/random" "$big:/w/random" 2>"$WORK/err" && "$THUNK" cp "$WORK/lines" "$big:/w/lines" 2>>"$WORK/err"
ok $? "thunk cp puts files into the image" || diagnose "$WORK/err"
kept "busybox cp copies a file" "$big" $BUSYBOX cp random copy
kept "busybox tar packs them" "$big" $BUSYBOX tar cf packed.tar random lines copy
kept "busybox sort sorts lines into a file" "$big" $BUSYBOX sort -o sorted lines
kept "busybox md5sum reads all of it" "$big" $BUSYBOX md5sum zeros random copy packed.tar sorted
cp "$WORK/out" "$WORK/sums"
(
    cd "$WORK" || exit 1
    head -c $((zeros << 20)) /dev/zero | md5sum | awk '{ print $1 }'
    md5sum random random | awk '{ print $1 }'
    LC_ALL=C sort lines | md5sum | awk '{ print $1 }'
) >"$WORK/expected"
awk '!/packed/ { print $1 }' "$WORK/sums" | cmp - "$WORK/expected" >"$WORK/cmp" 2>&1
ok $? "their contents are right" || { diagnose "$WORK/sums"; diagnose "$WORK/expected"; }
"$THUNK" cat "$big" /w/packed.tar 2>"$WORK/err" | tar xOf - copy 2>>"$WORK/err" | cmp - "$WORK/random" >>"$WORK/err" 2>&1
ok $? "the archive unpacks on the host to what went in" || diagnose "$WORK/err"
"$THUNK" check "$big" >"$WORK/err" 2>&1
ok $? "thunk check finds nothing wrong after that" || diagnose "$WORK/err"

# --- fio ---------------------------------------------------------------------------------------------
cat >"$WORK/verify.fio" <<FIO
[global]
thread
directory=/w
size=$(large 24m 6m)
verify=crc32c
verify_fatal=1
do_verify=1
group_reporting
[sequential]
rw=write
bs=128k
[random]
stonewall
rw=randwrite
bs=4k
fsync=64
[mixed]
stonewall
rw=randrw
bsrange=512-64k
bs_unaligned
numjobs=2
size=$(large 8m 2m)
[mapped]
stonewall
ioengine=mmap
rw=randwrite
bs=4k
size=$(large 8m 2m)
FIO
OPTIONS=(--deb fio --add "$WORK/verify.fio:/verify.fio")
kept "fio --thread writes and verifies, in order, at random, mixed and through mmap" "$WORK/fio.img" /usr/bin/fio /verify.fio
grep -q 'err= 0' "$WORK/out" && ! grep -qiE 'verify: bad|err=[ ]*[1-9]' "$WORK/out" "$WORK/err"
ok $? "fio saw no error" || diagnose "$WORK/out"
finish
