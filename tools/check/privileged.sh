#!/bin/sh
# Disassembles the given object files and complains about instructions that touch the processor:
# those belong to kernel/x86/ and boot/, whose objects are not given to this.  What an inline function
# of a header in kernel/x86/ left in another object is where it belongs; the line numbers tell.
# Status 1 when there is a complaint.
status=0
for object in "$@"; do
    objdump -d -l --no-show-raw-insn -M intel "$object" | awk -v object="$object" '
    /^[0-9a-f]+ <.*>:$/ { where = $2; line = "" }
    /^[^ \t].*:[0-9]+( \(discriminator [0-9]+\))?$/ { line = $1; next }
    /^ *[0-9a-f]+:\t/ {
        split($0, field, "\t")
        count = split(field[2], word, /[ ,]+/)
        name = word[1]
        if (name ~ /^(rep|repz|repnz|lock|notrack)$/) name = word[2]
        forbidden = name ~ /^(cli|sti|hlt|rdmsr|wrmsr|invlpg|invpcid|lgdt|sgdt|lidt|sidt|ltr|str|lldt|sldt|lmsw|smsw|clts|swapgs|iret|iretd|iretq|sysret|sysretq|sysretd|sysexit|in|out|insb|insw|insd|outsb|outsw|outsd|ins|outs|stac|clac|xsetbv|wbinvd|invd|monitor|mwait|vmcall)$/
        if (name == "mov" && field[2] ~ /[ ,](cr[0-9]|dr[0-9])/) forbidden = 1
        if (name == "mov" && field[2] ~ /mov +[cdefgs]s,/) forbidden = 1
        if (forbidden && line !~ /(^|\/)kernel\/x86\/[a-z0-9_]+\.h:/) { printf "%s: %s %s: %s\n", object, where, line, field[2]; bad = 1 }
    }
    END { exit bad }' || status=1
done
exit $status
