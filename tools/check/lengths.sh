#!/bin/sh
# Complains about functions of more than 70 lines and files of more than 800, below the given root.
# A function is what stands between a "{" and a "}" in the first column, as our format writes it.
cd "${1:-.}" || exit 2
find runtime fs kernel drivers unix boot tools test \
    \( -name '*.[ch]' -o -name '*.asm' -o -name '*.sh' -o -name '*.t' -o -name '*.inc' \) 2>/dev/null |
    sort | xargs -r awk '
FNR == 1 { if (name) file_end(); name = FILENAME; begins = 0 }
function file_end() {
    if (lines > 800) { printf "%s:%d: the file has more than 800 lines\n", name, lines; bad = 1 }
}
{ lines = FNR }
FILENAME !~ /\.[ch]$/ { next }
/^\{/ { begins = FNR }
/^\}/ && begins {
    if (FNR - begins + 1 > 70) {
        printf "%s:%d: the function has %d lines; 70 are a screen\n", name, begins, FNR - begins + 1
        bad = 1
    }
    begins = 0
}
END { if (name) file_end(); exit bad }'
