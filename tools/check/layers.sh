#!/bin/sh
# Reads the #include and #if lines of all C files below the given root, and complains about those
# that point against the arrows between the layers, about headers of a C library in the freestanding
# layers, and about forks in runtime/ and fs/.  One line per complaint; status 1 when there is one.
cd "${1:-.}" || exit 2
find runtime fs kernel drivers unix boot tools \( -name '*.[ch]' -o -name '*.def' \) 2>/dev/null | sort | xargs -r awk '
BEGIN {
    may["runtime"] = " runtime "
    may["fs"] = " fs runtime "
    may["kernel"] = " kernel runtime "
    may["drivers"] = " drivers kernel runtime "
    may["unix"] = " unix fs kernel runtime drivers/console.h "
    may["boot"] = " boot kernel runtime "
    may["tools"] = " tools fs runtime "
    freestanding = " stdalign.h stdarg.h stdbool.h stddef.h stdint.h cpuid.h "
}
function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }
FNR == 1 { layer = FILENAME; sub(/\/.*/, "", layer) }
FILENAME == "kernel/init.c" { next }
# What lwIP finds instead of a C library, and who puts it there.
FILENAME ~ /^kernel\/net\/(lwip\/(libc|arch)\/|lwip_port.c)/ { next }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    path = $0; sub(/^[^"]*"/, "", path); sub(/".*/, "", path)
    to = path; sub(/\/.*/, "", to)
    if (path !~ /\//) complain("include from the root: \"" layer "/...\", not \"" path "\"")
    else if ((to == "lwip" || path == "netif/ethernet.h") && FILENAME ~ /^kernel\/net\// &&
             FILENAME !~ /\/(address|device|event|net|tcp|udp)\.h$/) next
    else if (!index(may[layer], " " to " ") && !index(may[layer], " " path " "))
        complain(layer "/ may not include " path)
}
/^[ \t]*#[ \t]*include[ \t]*</ && layer != "tools" {
    path = $0; sub(/^[^<]*</, "", path); sub(/>.*/, "", path)
    if (!index(freestanding, " " path " ")) complain("<" path "> is not there without a C library")
}
/^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)/ && (layer == "runtime" || layer == "fs") {
    if ($0 !~ /CLOSURE_CHECKS|__clang__|__has_|__SANITIZE/) complain("no forks in shared code: " $0)
}
END { exit bad }'
