# Shared by the benchmarks: the table, and figures.  Sourced by run.sh and net.sh, which set `table`.

say() { echo "$*" >&2; }
row() { printf '| %s | %s | %s | %s | %s |\n' "$@" | tee -a "$table"; }
head_row() {
    printf '\n| %s | Thunk | Linux | aim | met |\n|---|---|---|---|---|\n' "$1" | tee -a "$table"
}
met() { # met FIGURE RELATION AIM
    awk -v a="$1" -v r="$2" -v b="$3" 'BEGIN { if (a == "-" || b == "-") print "-"; else print ((r == "<=" ? a + 0 <= b + 0 : a + 0 >= b + 0) ? "yes" : "NO") }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }
