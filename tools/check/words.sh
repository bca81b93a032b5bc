#!/bin/sh
# Complains about notes to oneself, and about names of package hosts and of folders of one machine, in all
# files below the given root that git knows (or that are there, when git does not know the root).
# The words are put together here, so that this file does not hold them.
cd "${1:-.}" || exit 2
notes='TO''DO|FIX''ME|XX''X|HA''CK'
places='/home/[a-z]|(^|[^a-z._/-])/wo''rk/|(debian|ubuntu|pypi|kernel)\.(or''g|co''m)'
{ git ls-files 2>/dev/null || find . -type f; } | sort -u | {
    bad=0
    while read -r file; do
        [ -f "$file" ] || continue
        if grep -nIHEw "$notes" "$file"; then
            echo "$file: finish it, or write it down as an issue"
            bad=1
        fi
        if grep -nIHE "$places" "$file"; then
            echo "$file: names a package host or a folder of one machine"
            bad=1
        fi
    done
    exit $bad
}
