#!/bin/sh
# The checks themselves are checked: each must pass what is right and refuse what is wrong.
# CC and CLANG name the compilers.
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/runtime" "$root/fs" "$root/unix" "$root/kernel" "$root/drivers"
failed=0

expect() { # expect pass|refuse WHAT COMMAND...
    wanted=$1 what=$2
    shift 2
    if "$@" >/dev/null 2>&1; then got=pass; else got=refuse; fi
    if [ $got != "$wanted" ]; then
        echo "tools/check: $what: the check should $wanted it, but did not"
        failed=1
    fi
}
with() { # with FILE TEXT: then the file is taken away again by the next call
    [ -z "$last" ] || rm -f "$last"
    last=$root/$1
    printf '%b' "$2" >"$last"
}
last=

with unix/a.c '#include "fs/fs.h"\n#include "drivers/console.h"\n'
expect pass "includes along the arrows" sh "$here/layers.sh" "$root"
with fs/a.c '#include "unix/unix.h"\n'
expect refuse "fs including unix" sh "$here/layers.sh" "$root"
with unix/a.c '#include "drivers/drivers.h"\n'
expect refuse "unix including a driver" sh "$here/layers.sh" "$root"
with kernel/a.c '#include "drivers/drivers.h"\n'
expect refuse "kernel including a driver" sh "$here/layers.sh" "$root"
with kernel/init.c '#include "drivers/drivers.h"\n'
expect pass "kernel/init.c including a driver" sh "$here/layers.sh" "$root"
with runtime/a.c '#include <string.h>\n'
expect refuse "a C library's header in runtime" sh "$here/layers.sh" "$root"
with fs/a.c '#ifdef KERNEL\n#endif\n'
expect refuse "a fork in shared code" sh "$here/layers.sh" "$root"
mkdir -p "$root/kernel/net"
with kernel/net/a.c '#include "lwip/tcp.h"\n'
expect pass "the network including lwIP" sh "$here/layers.sh" "$root"
with kernel/net/tcp.h '#include "lwip/tcp.h"\n'
expect refuse "the interface of the network including lwIP" sh "$here/layers.sh" "$root"
with unix/a.c '#include "lwip/tcp.h"\n'
expect refuse "unix including lwIP" sh "$here/layers.sh" "$root"

body=$(yes ';' | head -n 68)
with fs/a.c "void f(void)\n{\n$body\n}\n"
expect pass "a function of 70 lines" sh "$here/lengths.sh" "$root"
with fs/a.c "void f(void)\n{\n$body\n;\n}\n"
expect refuse "a function of 71 lines" sh "$here/lengths.sh" "$root"
with fs/a.c "$(yes '' | head -n 801 | tr '\n' ';' | sed 's/;/\\n/g')"
expect refuse "a file of 801 lines" sh "$here/lengths.sh" "$root"

with fs/a.c '/* Everything is fine; todo lists are kept elsewhere. */\n'
expect pass "plain words" sh "$here/words.sh" "$root"
with fs/a.c '/* TO''DO */\n'
expect refuse "a note to oneself" sh "$here/words.sh" "$root"
with fs/a.c '/* from deb.deb''ian.or''g */\n'
expect refuse "the name of a host" sh "$here/words.sh" "$root"

try_instruction() { # try_instruction pass|refuse INSTRUCTION
    with fs/a.c "void f(void); void f(void) { __asm__ volatile(\"$2\"); }\n"
    ${CC:-gcc} -c -o "$root/a.o" "$root/fs/a.c" || failed=1
    expect "$1" "the instruction $2" sh "$here/privileged.sh" "$root/a.o"
}
try_instruction pass 'pause'
for instruction in cli sti hlt rdmsr wrmsr swapgs iretq sysretq stac clac 'in %dx, %al' 'outl %eax, %dx' \
    'mov %rax, %cr3' 'mov %cr2, %rax' 'invlpg (%rax)' 'lgdt (%rax)' 'lidt (%rax)' 'ltr %ax' 'rep insb'; do
    try_instruction refuse "$instruction"
done

mkdir -p "$root/kernel/x86"
with kernel/x86/halt.h 'static inline void halt(void) { __asm__ volatile("hlt"); }\n'
header=$last last=
with fs/a.c '#include "kernel/x86/halt.h"\nvoid f(void); void f(void) { halt(); }\n'
(cd "$root" && ${CC:-gcc} -g -O2 -I. -c -o a.o fs/a.c) || failed=1
expect pass "an inline function of kernel/x86/" sh "$here/privileged.sh" "$root/a.o"
rm -f "$header"

with fs/a.c 'int   f( void );\n'
expect refuse "a form that is not ours" clang-format --style=LLVM --dry-run -Werror "$root/fs/a.c"
with fs/a.c 'int f(int *p);\nint f(int *p)\n{\n    if (!p)\n        return *p;\n    return 0;\n}\n'
expect refuse "a null dereference" ${CLANG:-clang} --analyze --analyzer-output text -Xclang -analyzer-werror "$root/fs/a.c"

[ $failed = 0 ] || exit 1
