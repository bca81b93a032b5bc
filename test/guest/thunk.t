#!/usr/bin/env bash
# The thunk command itself: usage, refusals, and images built and looked into without booting.
set -u
. test/guest/lib.sh
export XDG_CACHE_HOME="$WORK/cache"
mkdir -p "$XDG_CACHE_HOME"

# prints NAME EXPECTED ARGUMENTS...: exactly that output, status 0.
prints() {
    local name=$1 wanted=$2 status=0
    shift 2
    "$THUNK" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -eq 0 ] && [ "$(cat "$WORK/out")" = "$wanted" ]
    ok $? "$name" || { echo "# status $status"; diagnose "$WORK/out"; diagnose "$WORK/err"; }
}

# --- usage -------------------------------------------------------------------------------------------
refused "no verb" 2 "VERB"
refused "a verb that is not there" 2 "frobnicate" frobnicate
refused "run without a program" 2 "PROGRAM" run
refused "an option that is not there" 2 "frobnicate" run --frobnicate true
refused "an option without its value" 2 "SIZE" run -m
refused "a size that is none" 2 "-m 12Q" run -m 12Q true
for cpus in 0 65 -1 two 1x; do refused "$cpus processors" 2 "-c $cpus: .*1 to 64" run -c $cpus true; done
printf '{"RunConfig": {"CPUs": 65}}' >"$WORK/config"
refused "65 processors in a JSON file" 2 "CPUs: .*1 to 64" run --config "$WORK/config" true
refused "a network of an unknown kind" 2 "--net wifi: write user" run --net wifi true
refused "a port that is none" 2 "-p 0:80: write .*HOST:GUEST" run -p 0:80 true
refused "--keep without a name" 2 "--keep" run --keep "" true
refused "--keep of a build" 2 "--keep: .*-o" build -o "$WORK/x" --keep x true
refused "--keep and --disk" 2 "--keep and --disk" run --keep x --disk y
refused "--keep of what is not there, and no program" 2 "does not exist yet" run --keep "$WORK/absent"
refused "--size of an image that is there" 2 "--size" run --disk x --size 1G
refused "--trace of a build" 2 "--trace" build -o "$WORK/x" --trace x true
refused "--trace without a name" 2 "--trace" run --trace "" true
refused "--flame over the trace" 2 "--flame x" run --trace x --flame x true
refused "a trace that cannot be written" 1 "/absent/x: cannot be written" run --trace /absent/x true
refused "UEFI" 2 "uefi" run --firmware uefi true
refused "qcow2" 2 "qcow2" build -o "$WORK/x" --format qcow2 true
refused "build without -o" 2 "-o" build true
refused "an accelerator that is not there" 2 "--accel fast" run --accel fast true
refused "a variable without a value" 2 "NAME=VALUE" run -e NAME true
refused "--disk with a program" 2 "--disk" run --disk x true
refused "a timeout that is none" 2 "--timeout soon" run --timeout soon true
for verb in run build ls tree cat cp stat check dump doctor; do
    "$THUNK" $verb --help >"$WORK/out" 2>"$WORK/err" && grep -q example "$WORK/out" && [ ! -s "$WORK/err" ]
    ok $? "$verb --help has an example"
done

# --- programs that cannot be ----------------------------------------------------------------------------
printf '#!/bin/sh\n' >"$WORK/script"
printf 'plain text\n' >"$WORK/text"
head -c 40 /bin/true >"$WORK/short"
{ head -c 4 /bin/true; printf '\001'; tail -c +6 /bin/true; } >"$WORK/narrow"
chmod 755 "$WORK"/script "$WORK"/text "$WORK"/short "$WORK"/narrow
refused "a program that is not there" 127 "no-such-program" run no-such-program
refused "a path that is not there" 127 "absent" run "$WORK/absent"
refused "a folder" 126 "folder" run "$WORK"
refused "a script" 126 "script" run "$WORK/script"
refused "text" 126 "not an ELF" run "$WORK/text"
refused "a short file" 126 "short" run "$WORK/short"
refused "a 32-bit program" 126 "32-bit" run "$WORK/narrow"
refused "an added file that is not there" 1 "absent" run --add "$WORK/absent" true
refused "a root that is not there" 1 "absent" run --root "$WORK/absent" /bin/true
refused "a config that is not JSON" 2 "script" run --config "$WORK/script" true
printf '{"Args": ["x"], "Kloud": 1}' >"$WORK/config"
refused "a config's key that is not known" 2 "Kloud" run --config "$WORK/config" true
refused "an image that is not there" 1 "absent" run --disk "$WORK/absent"
refused "an image that is none" 1 "text: .*too short" ls "$WORK/text"
head -c 1048576 /dev/zero >"$WORK/zeroes"
refused "an image of zeroes" 1 "zeroes" ls "$WORK/zeroes"

# --- a tree goes in and comes out as it was --------------------------------------------------------------
tree=$WORK/tree
mkdir -p "$tree/bin" "$tree/empty" "$tree/deep/er/still" "$tree/sticky" "$tree/etc"
: >"$tree/etc/hosts" # without these two the image would get them
: >"$tree/etc/resolv.conf"
cp /bin/busybox "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
ln "$tree/bin/busybox" "$tree/bin/link"
ln -s /nowhere/at/all "$tree/dangling"
seq 1 100000 >"$tree/deep/numbers"
: >"$tree/deep/er/nothing"
truncate -s 100M "$tree/deep/er/hole"
printf 'in the middle' | dd of="$tree/deep/er/hole" bs=1 seek=50000000 conv=notrunc 2>/dev/null
printf 'x' >"$tree/deep/er/still/name with  spaces"
printf 'y' >"$tree/deep/er/still/$(printf 'n%.0s' $(seq 1 255))"
for i in $(seq 1 600); do echo $i >"$tree/deep/er/still/$i"; done
chmod 1777 "$tree/sticky"
chmod 4711 "$tree/bin/busybox"
chmod 600 "$tree/deep/numbers"
chmod 0750 "$tree/deep/er"
find "$tree" -depth -exec touch -h -d '2001-02-03 04:05:06.789012345' {} +
"$THUNK" build -o "$WORK/image" --root "$tree" -e A=1 -e B='2 3' --cwd /deep --hostname box /bin/busybox echo 'one two' >"$WORK/out" 2>&1
ok $? "build of a tree" || diagnose "$WORK/out"
[ "$(stat -c %b "$WORK/image")" -lt 40000 ]
ok $? "holes take no room in the image"
"$THUNK" cp "$WORK/image:/" "$WORK/copy" >"$WORK/out" 2>&1
ok $? "cp of the whole tree" || diagnose "$WORK/out"
listing() { (cd "$1" && find . -printf '%p %y %m %U %G %n %T@ %l ' \( -type f -printf '%s' , -true \) -printf '\n' | sort); }
listing "$tree" | grep -v '^\. ' >"$WORK/list.before"
listing "$WORK/copy" | grep -v '^\. ' >"$WORK/list.after"
diff "$WORK/list.before" "$WORK/list.after" >"$WORK/diff"
ok $? "names, types, modes, owners, links, times and sizes are the same" || diagnose "$WORK/diff"
diff -r --no-dereference "$tree" "$WORK/copy" >"$WORK/diff" 2>&1
ok $? "and every byte" || diagnose "$WORK/diff"
[ "$(stat -c %b "$WORK/copy/deep/er/hole")" -lt 1000 ]
ok $? "a hole is a hole again"
prints "ls" "$(printf 'bin\ndangling\ndeep\nempty\netc\nsticky')" ls "$WORK/image"
prints "ls of a file through a symlink" "/bin/sh" ls "$WORK/image" /bin/sh
"$THUNK" ls -l "$WORK/image" /bin >"$WORK/out"
grep -q '^-rws--x--x   2 .* link$' "$WORK/out" && grep -q '^l.* sh -> busybox$' "$WORK/out"
ok $? "ls -l" || diagnose "$WORK/out"
"$THUNK" cat "$WORK/image" /deep/numbers | cmp - "$tree/deep/numbers"
ok $? "cat"
"$THUNK" cat "$WORK/image" /deep/er/hole | cmp - "$tree/deep/er/hole"
ok $? "cat of a file with holes"
"$THUNK" cat "$WORK/image" bin/../bin/./sh | cmp - /bin/busybox
ok $? "cat through dots and a symlink"
refused "cat of a folder" 1 "folder" cat "$WORK/image" /deep
refused "cat of what is not there" 1 "No such file" cat "$WORK/image" /deep/absent
refused "cat below a file" 1 "Not a directory" cat "$WORK/image" /deep/numbers/x
refused "cp between two images" 2 "one of the two" cp "$WORK/image:/deep" "$WORK/image:/text"
"$THUNK" cp "$WORK/image:/deep/numbers" "$WORK/copy/empty" && cmp "$WORK/copy/empty/numbers" "$tree/deep/numbers"
ok $? "cp of a file into a folder"

# --- extended attributes go with files --------------------------------------------------------------------
attributes() { # attributes FOLDER: of what is below it
    python3 -c '
import os, sys
for at, folders, files in os.walk(sys.argv[1]):
    for path in sorted(os.path.join(at, name) for name in folders + files):
        for name in sorted(os.listxattr(path, follow_symlinks=False)):
            print(os.path.relpath(path, sys.argv[1]), name, os.getxattr(path, name, follow_symlinks=False).hex())' "$1"
}
mkdir -p "$WORK/with/in"
printf 'of a file' >"$WORK/with/file"
if python3 -c '
import os, sys
os.setxattr(sys.argv[1] + "/file", "user.empty", b"")
os.setxattr(sys.argv[1] + "/file", "user.bytes", bytes(range(256)) * 4)
os.setxattr(sys.argv[1] + "/in", "user.folder", b"in it")' "$WORK/with" 2>/dev/null; then
    chmod 0444 "$WORK/with/file"
    attributes "$WORK/with" >"$WORK/wanted"
    cp "$WORK/image" "$WORK/image.attributes"
    "$THUNK" cp "$WORK/with" "$WORK/image.attributes:/" 2>"$WORK/err" &&
        "$THUNK" cp "$WORK/image.attributes:/with" "$WORK/again" 2>>"$WORK/err"
    ok $? "cp of files with extended attributes, into an image and out of it" || diagnose "$WORK/err"
    attributes "$WORK/again" >"$WORK/out"
    [ "$(wc -l <"$WORK/wanted")" -eq 3 ] && diff "$WORK/wanted" "$WORK/out" >"$WORK/diff"
    ok $? "they are the same" || diagnose "$WORK/diff"
    "$THUNK" check "$WORK/image.attributes" >"$WORK/out" 2>&1
    ok $? "and the image is sound" || diagnose "$WORK/out"
else
    skip "cp of extended attributes" "there are none on $WORK"
fi
"$THUNK" stat "$WORK/image" >"$WORK/out"
printf 'program /bin/busybox\narg /bin/busybox\narg echo\narg one two\n' >"$WORK/wanted"
grep -E '^(program|arg) ' "$WORK/out" | diff "$WORK/wanted" - && grep -q '^env B=2 3$' "$WORK/out" &&
    grep -q '^cwd /deep$' "$WORK/out" && grep -q '^hostname box$' "$WORK/out"
ok $? "stat of an image shows its settings" || diagnose "$WORK/out"
"$THUNK" stat "$WORK/image" /deep/er >"$WORK/out"
grep -q '^mode 0750$' "$WORK/out" && grep -q '^modified 2001-02-03 .*06.789012345$' "$WORK/out"
ok $? "stat of a file" || diagnose "$WORK/out"
"$THUNK" tree "$WORK/image" /bin >"$WORK/out" && [ "$(tail -n 1 "$WORK/out")" = '`-- sh -> busybox' ]
ok $? "tree" || diagnose "$WORK/out"

# --- being the program ------------------------------------------------------------------------------------
run() { "$THUNK" run --timeout "$LIMIT" "$@"; }
for machine in microvm pc q35; do
    run --machine $machine /bin/busybox sh -c 'echo out; echo err >&2; exit 7' >"$WORK/out" 2>"$WORK/err" </dev/null
    [ $? -eq 7 ] && [ "$(cat "$WORK/out")" = out ] && [ "$(cat "$WORK/err")" = err ]
    ok $? "$machine: output, error output and exit status are the program's" || diagnose "$WORK/err"
done
[ "$( (echo a; sleep 1; echo b) | run /bin/busybox sort -r | tr '\n' ' ')" = "b a " ]
ok $? "standard input comes as it comes, and ends"
run /bin/busybox wc -c <&- >"$WORK/out" 2>"$WORK/err"
ok $? "a closed standard input is an empty one" || diagnose "$WORK/err"
run /bin/busybox yes </dev/null 2>"$WORK/err" | head -n 1 >"$WORK/out"
[ "${PIPESTATUS[0]}" -eq 141 ] && [ "$(cat "$WORK/out")" = y ]
ok $? "a reader that goes away ends the machine, status 141" || diagnose "$WORK/err"
"$THUNK" run --timeout 2 /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err"
[ $? -eq 124 ] && [ "$(grep -c . "$WORK/err")" -eq 1 ]
ok $? "--timeout ends it, status 124" || diagnose "$WORK/err"
# machine_wait PID: the QEMU of this thunk, once there is one; for at most a minute.
machine_wait() {
    local machine=
    for _ in $(seq 3000); do
        machine=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || break
        [ -z "$machine" ] || break
        sleep 0.02
    done
    echo $machine # without the space behind it
}
"$THUNK" run --accel tcg --timeout 3 /bin/busybox sh -c 'echo in time; exit 7' </dev/null >"$WORK/out" 2>"$WORK/err" &
pid=$!
machine=$(machine_wait $pid)
kill -STOP $pid
for _ in $(seq 3000); do # it has ended, and nobody looks
    grep -q '^State:.Z' /proc/$machine/status 2>/dev/null && break
    sleep 0.02
done
sleep 3
kill -CONT $pid
wait $pid
status=$?
[ "$status" -eq 7 ] && [ "$(cat "$WORK/out")" = "in time" ] && [ ! -s "$WORK/err" ]
ok $? "what a machine said before its time was over counts, when thunk itself comes late" ||
    { echo "# status $status"; diagnose "$WORK/err"; }
for signal in INT:130 TERM:143; do
    "$THUNK" run /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err" &
    pid=$!
    sleep 2
    kill -"${signal%:*}" $pid
    wait $pid
    [ $? -eq "${signal#*:}" ] && [ ! -s "$WORK/err" ]
    ok $? "SIG${signal%:*} ends it, status ${signal#*:}" || diagnose "$WORK/err"
done
"$THUNK" run /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err" &
pid=$!
machine=$(machine_wait $pid)
kill -KILL $pid
{ wait $pid; } 2>/dev/null
for _ in $(seq 100); do
    kill -0 $machine 2>/dev/null || break
    sleep 0.3
done
[ -n "$machine" ] && ! kill -0 $machine 2>/dev/null
ok $? "the machine does not outlive a thunk that is killed"
# The first QEMU of an empty cache tries KVM, where there is /dev/kvm.
for accel in auto tcg; do
    rm -f "$XDG_CACHE_HOME/thunk/accel"
    "$THUNK" run --accel $accel --timeout 20 /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err" &
    pid=$!
    machine=$(machine_wait $pid)
    [ -z "$machine" ] || kill -KILL $machine
    wait $pid
    status=$?
    [ -n "$machine" ] && [ "$status" -eq 1 ] && [ "$(grep -c '^thunk: ' "$WORK/err")" -eq 1 ] &&
        [ ! -e "$XDG_CACHE_HOME/thunk/accel" ]
    ok $? "--accel $accel: a QEMU that is killed at its start ends the command, and teaches it nothing" ||
        { echo "# status $status"; diagnose "$WORK/err"; }
done
[ "$(run --add "$tree/deep:/data" --cwd /data -e GREETING=hello /bin/busybox sh -c 'pwd; echo $GREETING; read n <numbers; echo $n' </dev/null)" = "$(printf '/data\nhello\n1')" ]
ok $? "working directory, environment and added files"
[ "$(run --hostname box /bin/busybox hostname </dev/null)" = box ]
ok $? "--hostname"
run --disk "$WORK/image" </dev/null >"$WORK/out" 2>"$WORK/err" && [ "$(cat "$WORK/out")" = "one two" ]
ok $? "--disk boots an image that was built" || diagnose "$WORK/err"
THUNK_KERNEL="$WORK/absent" "$THUNK" run true >"$WORK/out" 2>"$WORK/err" </dev/null
[ $? -eq 1 ] && grep -q '^thunk: .*absent.*kernel is not there' "$WORK/err"
ok $? "a kernel that is not there" || diagnose "$WORK/err"

# --- what goes into an image ------------------------------------------------------------------------------
"$THUNK" build -o "$WORK/libs" lua5.4 >"$WORK/out" 2>&1 && "$THUNK" tree "$WORK/libs" >"$WORK/out" &&
    grep -q 'ld-linux-x86-64.so.2' "$WORK/out" && grep -q 'libm.so.6' "$WORK/out" && grep -q 'libc.so.6' "$WORK/out"
ok $? "a program goes in with its libraries and its interpreter" || diagnose "$WORK/out"
"$THUNK" cat "$WORK/libs" /lib64/ld-linux-x86-64.so.2 | cmp - /lib64/ld-linux-x86-64.so.2
ok $? "the interpreter is where the program looks for it"
mkdir -p "$WORK/origin/lib" && cat >"$WORK/origin/a.c" <<'C' && cat >"$WORK/origin/b.c" <<'C2'
int answer(void);
int answer(void) { return 42; }
C
int answer(void);
int main(void) { return answer(); }
C2
gcc -shared -fPIC -o "$WORK/origin/lib/libanswer.so" "$WORK/origin/a.c" &&
    gcc -o "$WORK/origin/use" "$WORK/origin/b.c" -L"$WORK/origin/lib" -lanswer -Wl,-rpath,'$ORIGIN/lib' &&
    "$THUNK" build -o "$WORK/libs" "$WORK/origin/use" >"$WORK/out" 2>&1 &&
    "$THUNK" cat "$WORK/libs" "$WORK/origin/lib/libanswer.so" | cmp - "$WORK/origin/lib/libanswer.so"
ok $? "a library beside the program, by \$ORIGIN" || diagnose "$WORK/out"
printf '{"Args": ["-c", "x y"], "Env": {"K": "V"}, "MapDirs": {"%s": "/origin"}, "RunConfig": {"Memory": "64M"}}' "$WORK/origin" >"$WORK/config"
"$THUNK" build -o "$WORK/libs" --config "$WORK/config" true >"$WORK/out" 2>&1 && "$THUNK" stat "$WORK/libs" >"$WORK/out" &&
    grep -q '^arg x y$' "$WORK/out" && grep -q '^env K=V$' "$WORK/out" && "$THUNK" cat "$WORK/libs" /origin/a.c | cmp - "$WORK/origin/a.c"
ok $? "options from a JSON file" || diagnose "$WORK/out"
printf 'one' >"$WORK/one"
"$THUNK" build -o "$WORK/libs" --add "$WORK/one:/dir/" --add "$WORK/text:/dir/one" true >"$WORK/out" 2>&1
prints "what is added later takes the place of what was there" "plain text" cat "$WORK/libs" /dir/one
echo old >"$WORK/kept"
refused "a size that is too small" 1 "--size" build -o "$WORK/kept" --size 8K true
[ "$(cat "$WORK/kept")" = old ] && ! ls "$WORK"/kept.part* >/dev/null 2>&1
ok $? "a failed build leaves what was there, and nothing else"

finish
