#!/bin/sh
# The random bases of the image and of the direct map, the option that fixes them, and the one line
# for each thing a machine may lack.  TAP.

BUILD=${BUILD:-build}
number=0
failed=0

# starts MEMORY OPTIONS: a machine without a disk; its output is in $out, QEMU's status in $status.
starts() {
    out=$(timeout 300 qemu-system-x86_64 -accel tcg -M microvm,acpi=off -cpu max -m "$1" -nodefaults \
        -no-user-config -display none -serial stdio -no-reboot \
        -device isa-debug-exit,iobase=0x501,iosize=4 -kernel "$BUILD/kernel.elf" \
        -append "exit_port=0x501 $2" </dev/null 2>&1)
    status=$?
    out=$(echo "$out" | tr -d '\r')
}

ok() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        echo "$out" | sed 's/^/# /'
        failed=1
    fi
}

bases() {
    echo "$out" | sed -n 's/.*the image is at \([0-9a-f]*\), the direct map at \([0-9a-f]*\).*/\1 \2/p'
}

starts 64M log=debug
first=$(bases)
[ -n "$first" ]
ok $? "the bases are said with log=debug"
starts 64M log=debug
[ -n "$(bases)" ] && [ "$first" != "$(bases)" ]
ok $? "the next start has other bases"
for option in nokaslr kaslr=off; do
    starts 64M "log=debug $option"
    [ "$(bases)" = "ffffffff80000000 ffff888000000000" ]
    ok $? "$option fixes them"
done

starts 64M ""
[ "$status" = 3 ] && [ "$(echo "$out" | grep -c .)" = 1 ] && echo "$out" | grep -q "no disk was found"
ok $? "no disk: one line, status 1"
starts 2M ""
[ "$status" = 3 ] && [ "$(echo "$out" | grep -c .)" = 1 ] && echo "$out" | grep -q "too little memory"
ok $? "too little memory: one line, status 1"
starts 64M "log=loud"
[ "$status" = 3 ] && echo "$out" | grep -q "log=loud is none of"
ok $? "an unknown log level is said"

echo "1..$number"
exit $failed
