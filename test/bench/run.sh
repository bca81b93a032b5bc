#!/usr/bin/env bash
# `make bench`: the figures, Thunk's and a Linux guest's side by side in the same run.
# Counts are guest instructions (-icount shift=0,sleep=off, one CPU); times are of this machine and
# are to be read as ratios.  The table goes to standard output and to $BUILD/bench/table.md.
set -euo pipefail
build=$(realpath "$1")
bench=$build/bench
linux=$bench/linux
thunk=$build/thunk
guest=$bench/guest
cpu=max,erms=off,fsrm=off # TCG counts every byte of rep movsb
icount=(-accel tcg,thread=single -icount "shift=0,sleep=off")
work=$(mktemp -d "${TMPDIR:-/tmp}/thunk-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
table=$bench/table.md
: >"$table"

. test/bench/lib.sh

linux_guest() { # linux_guest MACHINE INITRD OPTIONS... -- KERNEL ARGUMENTS
    local machine=$1 initrd=$2 extra=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do extra+=("$1"); shift; done
    [ $# -gt 0 ] && shift
    qemu-system-x86_64 -M "$machine" -cpu "$cpu" -nodefaults -no-user-config -vga none -display none -serial stdio \
        -no-reboot -m 256M -kernel "$linux/vmlinuz" -initrd "$initrd" "${extra[@]}" \
        -append "console=ttyS0 quiet panic=-1 $*"
}

# --- boot and size ------------------------------------------------------------------------------------
head_row "boot and size"
"$thunk" build -o "$work/hello.img" --size 64M "$guest/hello"
"$thunk" build -o "$work/first.img" --size 64M "$guest/first"
# The least of several: with sleep=off, virtual time jumps to the next armed timer when the guest
# waits for its disk before the disk has answered, and that jump is no instruction.
entry_to_user() {
    local first entry
    for _ in 1 2 3 4 5; do
        first=$(timeout 120 "$thunk" run --disk "$work/first.img" --accel tcg --kernel-arg log=debug \
            --qemu-arg -icount --qemu-arg shift=0,sleep=off 2>"$work/first.log") || continue
        entry=$(grep -oE 'entry at tsc [0-9]+' "$work/first.log" | awk '{ print $4; exit }')
        awk -v a="$first" -v b="${entry:-0}" 'BEGIN { printf "%.2f\n", (a - b) / 1e6 }'
    done | sort -n | head -1
}
figure=$(entry_to_user)
figure=${figure:--}
row "kernel entry to first user instruction, microvm, 64 MiB disk, M insn" "$figure" "-" "<= 2 (aim 1)" "$(met "$figure" "<=" 2)"

hello_ms() { for _ in 1 2 3 4 5 6 7; do "$bench/until" hello "$thunk" run --accel tcg "$@" --disk "$work/hello.img" || true; done | median; }
micro=$(hello_ms --machine microvm)
q35=$(hello_ms --machine q35)
export linux cpu
linux_ms=$(for _ in 1 2 3; do
    "$bench/until" hello qemu-system-x86_64 -M q35 -accel tcg -cpu "$cpu" -nodefaults -no-user-config -vga none -display none \
        -serial stdio -no-reboot -m 256M -kernel "$linux/vmlinuz" -initrd "$linux/hello.cpio" \
        -append "console=ttyS0 quiet panic=-1" || true
done | median)
row "QEMU start to a static hello's output, microvm, ms" "$micro" "$linux_ms (q35)" "<= Linux / 20; peers 60" \
    "$(met "$micro" "<=" "$(awk -v l="$linux_ms" 'BEGIN { print l / 20 }')")"
row "the same on q35, ms" "$q35" "$linux_ms" "130" "$(met "$q35" "<=" 130)"

smallest() { # smallest LIMIT PROGRAM...: MiB of the smallest machine in which it succeeds
    local limit=$1 m
    shift
    for m in $(seq 3 "$limit"); do
        if timeout 60 "$thunk" run -m "${m}M" --timeout 50 "$@" >"$work/out" 2>/dev/null </dev/null; then
            echo "$m"
            return
        fi
    done
    echo -
}
hello_m=$(smallest 24 "$guest/hello")
lua_m=$(smallest 32 /usr/bin/lua5.4 -e 'print("hello")')
row "smallest -m for a static hello, MiB" "$hello_m" "72 (peers.md)" "8 (peers 6)" "$(met "$hello_m" "<=" 8)"
row "smallest -m for lua5.4, MiB" "$lua_m" "-" "16" "$(met "$lua_m" "<=" 16)"
bytes=$(stat -c %s "$build/kernel.elf")
linux_bytes=$(stat -c %s "$linux/vmlinuz")
row "kernel, stripped, KB" "$((bytes / 1000))" "$((linux_bytes / 1000)) (compressed)" "1000" "$(met "$((bytes / 1000))" "<=" 1000)"

# --- instructions per operation --------------------------------------------------------------------------
say "counting instructions in Thunk and in the Linux guest"
timeout 300 "$thunk" run --net none --accel tcg --qemu-arg -icount --qemu-arg shift=0,sleep=off "$guest/calls" \
    >"$work/calls.thunk" 2>"$work/calls.err" || say "bench: calls in Thunk: status $?: $(head -1 "$work/calls.err")"
timeout 300 "$thunk" run --net none --accel tcg --qemu-arg -icount --qemu-arg shift=0,sleep=off "$guest/threads" \
    >>"$work/calls.thunk" 2>"$work/threads.err" || say "bench: threads in Thunk: status $?: $(head -1 "$work/threads.err")"
for program in calls threads; do
    timeout 600 bash -c "$(declare -f linux_guest); linux_guest q35 $linux/$program.cpio ${icount[*]}" 2>/dev/null |
        tr -d '\r' >>"$work/calls.linux" || true
done
head_row "instructions per operation"
call_row() { # call_row NAME KEY AIM
    local a b
    a=$(awk -v k="$2" '$1 == k { print $2 }' "$work/calls.thunk")
    b=$(awk -v k="$2" '$1 == k { print $2 }' "$work/calls.linux")
    row "$1" "${a:--}" "${b:--}" "$3" "$(met "${a:--}" "<=" "$3")"
}
call_row "getppid (issue: 150)" getppid 120
call_row "clock_gettime through libc" clock_gettime 60
call_row "read 1 byte of /dev/zero" read_zero_1 250
call_row "write 1 byte to /dev/null" write_null_1 250
call_row "pread cached, 1 byte (issue: 600)" pread_1 500
call_row "pread cached, 4 KiB" pread_4096 950
call_row "open + close, a path of six components" open_close 2500
call_row "stat, a path of six components" stat 1400
call_row "pipe write + read, one thread" pipe 900
call_row "eventfd write + read" eventfd 600
call_row "epoll_wait, one ready of one" epoll_wait 350
call_row "sched_yield, one thread" sched_yield 600
call_row "sched_yield, two threads" yield_two 600
call_row "futex wake without waiter" futex_wake 200
call_row "futex ping-pong, two threads, there and back" futex 2000
call_row "pipe ping-pong, two threads, there and back" pipe_pair 4000
call_row "unix-socket ping-pong, two threads, there and back" socket_pair 5000
call_row "thread create + join" thread 12000
call_row "mmap + touch + munmap, 4 KiB" mmap_4096 6000
call_row "mmap + touch + munmap, 64 MiB" mmap_64m 12000000
call_row "nanosleep(1 us), with the microsecond's 1,000" nanosleep_1us 21000

# --- two processors ------------------------------------------------------------------------------------------
say "two threads on two processors, in both guests"
for _ in 1 2 3; do # by turns
    timeout 120 "$thunk" run --accel tcg -c 2 "$guest/threads" >>"$work/pair.thunk" 2>/dev/null || true
    timeout 120 bash -c "$(declare -f linux_guest); linux_guest q35 $linux/threads.cpio -accel tcg,thread=multi -smp 2" \
        2>/dev/null </dev/null | tr -d '\r' >>"$work/pair.linux" || true
done
head_row "two threads on two processors, a round trip in microseconds (wall time)"
pair_row() { # pair_row NAME KEY
    local a b
    a=$(awk -v k="$2" '$1 == k { print $2 / 1000 }' "$work/pair.thunk" | median)
    b=$(awk -v k="$2" '$1 == k { print $2 / 1000 }' "$work/pair.linux" | median)
    row "$1" "$a" "$b" "<= Linux" "$(met "$a" "<=" "$b")"
}
pair_row "futex ping-pong" futex_cpus
pair_row "pipe ping-pong" pipe_cpus

# --- disk --------------------------------------------------------------------------------------------------
say "reading a 64 MiB file, cold, in both guests"
mkdir -p "$work/files"
head -c 67108864 /dev/urandom >"$work/files/data"
"$thunk" build -o "$work/cold.img" --add "$work/files/data:/data" "$guest/coldread" /data
mkfs.ext4 -q -F -d "$work/files" "$work/ext4.img" 128M
rate() { tr -d '\r' | awk '/^MiB\/s/ { print $2 }'; }
linux_read() {
    timeout 90 qemu-system-x86_64 -M q35 -accel tcg -cpu "$cpu" -nodefaults -no-user-config -vga none -display none -serial stdio \
        -no-reboot -m 256M -kernel "$linux/vmlinuz" -initrd "$linux/disk.cpio" \
        -drive "id=d,file=$work/ext4.img,format=raw,if=none,cache=unsafe" -device virtio-blk-pci,drive=d \
        -append "console=ttyS0 quiet panic=-1 -- /coldread /mnt/data" 2>/dev/null </dev/null | rate
}
# By turns, so that a machine that is slow for a while is slow for both.
for _ in 1 2 3 4 5; do
    timeout 60 "$thunk" run --accel tcg --disk "$work/cold.img" 2>/dev/null | rate >>"$work/cold.thunk" || true
    linux_read >>"$work/cold.linux" || true
done
thunk_rate=$(median <"$work/cold.thunk")
linux_rate=$(median <"$work/cold.linux")
say "each run: Thunk $(tr '\n' ' ' <"$work/cold.thunk")Linux $(tr '\n' ' ' <"$work/cold.linux")"
head_row "disk"
row "cold sequential read of a 64 MiB file, MiB/s" "$thunk_rate" "$linux_rate" ">= 2 x Linux" \
    "$(met "$thunk_rate" ">=" "$(awk -v l="$linux_rate" 'BEGIN { print (l == "-" ? "-" : 2 * l) }')")"

# --- a filesystem that is written to -----------------------------------------------------------------------
say "writing and reading files, in both guests"
linux_disk() {
    rm -f "$work/ext4.img"
    mkfs.ext4 -q -F "$work/ext4.img" 1G
    timeout 300 qemu-system-x86_64 -M q35 -accel tcg -cpu "$cpu" -nodefaults -no-user-config -vga none -display none -serial stdio \
        -no-reboot -m 512M -kernel "$linux/vmlinuz" -initrd "$linux/disk.cpio" \
        -drive "id=d,file=$work/ext4.img,format=raw,if=none,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=d \
        -append "console=ttyS0 quiet panic=-1 MOUNT=rw -- /disk /mnt" 2>/dev/null </dev/null | tr -d '\r'
}
mkdir -p "$work/d"
for _ in 1 2 3; do # by turns
    timeout 300 "$thunk" run --accel tcg -m 512M --add "$work/d:/d" "$guest/disk" /d \
        >>"$work/disk.thunk" 2>"$work/disk.err" || say "bench: disk in Thunk: status $?: $(head -1 "$work/disk.err")"
    linux_disk >>"$work/disk.linux" || true
done
head_row "disk, 64 MiB file, virtio-blk, cache=unsafe, against ext4"
disk_row() { # disk_row NAME KEY RELATION FACTOR PEER: the aim is FACTOR times the better of Linux and PEER
    local a b aim
    a=$(awk -v k="$2" '$1 == k { print $2 }' "$work/disk.thunk" | median)
    b=$(awk -v k="$2" '$1 == k { print $2 }' "$work/disk.linux" | median)
    aim=$(awk -v l="$b" -v f="$4" -v p="$5" 'BEGIN { print (l == "-" ? "-" : f * (l > p ? l : p)) }')
    row "$1" "$a" "$b" "$3 $aim ($4 x the better of Linux and peers' $5)" "$(met "$a" "$3" "$aim")"
}
disk_row "sequential write + fsync, MiB/s" write_mib_s ">=" 1.3 262
disk_row "random 4 KiB write, one fsync at the end, IOPS" random_write_iops ">=" 1.3 23800
disk_row "random 4 KiB write, fdatasync each, IOPS" random_write_fdatasync_iops ">=" 1.3 3500
disk_row "cached read, sequential, MiB/s (peers' aim 2,000)" cached_read_mib_s ">=" 1 2000
disk_row "cached read, random 4 KiB, IOPS (peers' aim 300,000)" cached_read_iops ">=" 1 300000
disk_row "cold read, sequential, MiB/s" cold_read_mib_s ">=" 1.3 562
disk_row "cold read, random 4 KiB, IOPS" cold_read_iops ">=" 1.3 13000
disk_row "create, files/s" create_s ">=" 2 6600
disk_row "unlink, files/s" unlink_s ">=" 2 42000
latency_row() { # the lower the better
    local a b
    a=$(awk -v k="$2" '$1 == k { print $2 }' "$work/disk.thunk" | median)
    b=$(awk -v k="$2" '$1 == k { print $2 }' "$work/disk.linux" | median)
    row "$1" "$a" "$b" "<= Linux" "$(met "$a" "<=" "$b")"
}
latency_row "fsync while another thread writes, median, us" fsync_median_us
latency_row "fsync while another thread writes, 99th percentile, us" fsync_99_us
a=$(awk '$1 == "fsync_beside_mib_s" { print $2 }' "$work/disk.thunk" | median)
b=$(awk '$1 == "fsync_beside_mib_s" { print $2 }' "$work/disk.linux" | median)
row "what that thread writes meanwhile, MiB/s" "$a" "$b" "-" "-"

# --- mounting ----------------------------------------------------------------------------------------------
say "mounting 1, 10,000 and 1,000,000 files"
head_row "mount"
# Without a network: the answers of its DHCP would be served while the mount waits for the disk, and
# a quarter of the code that the emulator translates in that time would be lwIP's.
mount_row() { # mount_row FILES AIM_MS
    local ms bytes
    "$bench/many" "$work/many.img" "$1" "$guest/hello" >"$work/many.out"
    bytes=$(awk '/bytes a file/ { print $1 }' "$work/many.out")
    ms=$(for _ in 1 2 3 4 5; do
        timeout 60 "$thunk" run --accel tcg -m 1G --net none --timeline --disk "$work/many.img" 2>&1 >/dev/null </dev/null |
            awk '/ us .*filesystem mounted/ { print $2 / 1000 }' | tail -1
    done | median)
    row "mount of $1 files, ms of a TCG guest" "$ms" "-" "$2" "$(met "$ms" "<=" "$2")"
    [ "$1" -lt 1000 ] || row "memory of $1 files that nobody touched, bytes a file" "$bytes" "-" "200" "$(met "$bytes" "<=" 200)"
}
mount_row 1 10
mount_row 10000 20
mount_row 1000000 1000
# --- servers ---------------------------------------------------------------------------------------------------
test/bench/net.sh "$build" || say "bench: the servers' part failed"

echo
echo "Counts: -icount shift=0,sleep=off. Linux: Debian's $(cat "$linux/release"), q35, the same static binary as /init." | tee -a "$table"
