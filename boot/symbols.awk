# The kernel's symbol table for NASM, from `nm -n` of the first link: see kernel/x86/symbols.c.
# Addresses are hexadecimal and awk's numbers have 53 bits, so only the low 32 bits are looked at.

function low_bits(hex, i, value) {
    for (i = length(hex) - 7; i <= length(hex); i++)
        value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return value
}

BEGIN { count = 0 }
$3 == "image_start" { start = low_bits($1) }
$2 ~ /^[tT]$/ && $3 != "image_start" && $3 != "text_end" {
    address[count] = low_bits($1)
    name[count++] = $3
}

END {
    print "section .rodata"
    print "global symbol_offsets, symbol_count, symbol_names"
    print "align 4"
    print "symbol_count: dd " count + 0
    print "symbol_offsets:"
    for (i = 0; i < count; i++)
        printf "    dd %d\n", address[i] - start
    print "symbol_names:"
    for (i = 0; i < count; i++)
        print "    db '" name[i] "', 0"
}
