#!/bin/sh
# Programs that must not compile, with gcc and with clang; and one that must, so that this can fail.
#
# Each program's second line says what the compilers have to say, as an extended regular expression:
#     /* error: EXPRESSION */                both say something that matches
#     /* error: EXPRESSION | EXPRESSION */   gcc, then clang
# or `/* compiles */`.  Speaks TAP.
CC=${CC:-gcc}
CLANG=${CLANG:-clang}
FLAGS="-std=gnu2x -I. -O2 -Wall -Wextra -Wshadow -Wno-unused-function -Werror -fno-strict-aliasing"

cd "$(dirname "$0")/../.." || exit 1
number=0
failures=0

report() { # passed, text
    number=$((number + 1))
    if [ "$1" = yes ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        failures=$((failures + 1))
    fi
}

# One program with one compiler: expected is empty when it must compile.
try() { # compiler, kind, program, expected, checks
    output=$("$1" $FLAGS $5 -c -o /dev/null "$3" 2>&1)
    compiled=$?
    name=$(basename "$3" .c)
    if [ -z "$4" ]; then
        [ $compiled = 0 ] && passed=yes || passed=no
        report $passed "$2 $5 compiles $name"
    else
        passed=no
        if [ $compiled != 0 ] && printf '%s\n' "$output" | grep -E "(error|warning):" |
            grep -E -q -e "$4"; then
            passed=yes
        fi
        report $passed "$2 $5 refuses $name"
    fi
    [ $passed = yes ] || printf '%s\n' "$output" | sed 's/^/#   /' | head -n 12
}

for program in test/compile/*.c; do
    expected=$(sed -n '2s|^/\* error: \(.*\) \*/$|\1|p' "$program")
    if [ -z "$expected" ] && ! sed -n 2p "$program" | grep -q '^/\* compiles \*/$'; then
        report no "$program says on its second line what is expected"
        continue
    fi
    for checks in "" -DCLOSURE_CHECKS=1; do
        try "$CC" gcc "$program" "${expected%% | *}" "$checks"
        try "$CLANG" clang "$program" "${expected##* | }" "$checks"
    done
done
echo "1..$number"
[ $failures = 0 ]
