#!/usr/bin/env bash
# Real programs of Debian 12, unmodified: their output, error output and exit status in the machine
# equal the host's, byte for byte.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
OPTIONS=()

# --- busybox -------------------------------------------------------------------------------------
mkdir -p "$WORK/big" "$WORK/tree" "$WORK/lines"
awk 'BEGIN { srand(1); for (i = 0; i < 1048576; i++) printf "%063d\n", int(rand() * 1e15) }' >"$WORK/big/file"
same "busybox sha256sum of a 64 MiB file" "$WORK/big" /dev/null /bin/busybox sha256sum file

(
    cd "$WORK/tree" || exit 1
    for d in $(seq 1 100); do
        mkdir "directory-$d"
        for f in $(seq 1 49); do echo "$d $f" >"directory-$d/file-$f"; done
        chmod 640 "directory-$d/file-1"
        ln -s "file-$d" "directory-$d/link"
    done
    ln directory-1/file-1 directory-2/hard
    find . -exec touch -h -d '2020-02-03 04:05:06' {} +
)
OPTIONS=(--add /etc/passwd --add /etc/group)
# How long a directory is, and how many blocks it has, is each filesystem's own affair; ext4's
# answer is ours too.
case $(stat -f -c %T "$WORK") in
ext*) NORMALISE= ;;
*) NORMALISE='s/^total [0-9]+$/total/; s/^(d[rwx-]{9} +[0-9]+ +[^ ]+ +[^ ]+) +[0-9]+ /\1 /' ;;
esac
same "busybox ls -lR of a tree of 5,000 files" "$WORK/tree" /dev/null /bin/busybox ls -lR .
OPTIONS=()
NORMALISE=
awk 'BEGIN { srand(2); for (i = 0; i < 100000; i++) print int(rand() * 1e9), "line", i }' >"$WORK/lines/in"
same "busybox sort of 100,000 lines from standard input" "$WORK/lines" "$WORK/lines/in" /bin/busybox sort
same "busybox sort -n -r of a file" "$WORK/lines" /dev/null /bin/busybox sort -n -r in
same "busybox awk" "$WORK/lines" "$WORK/lines/in" /bin/busybox awk \
    '{ n[$1 % 97] += $3 } END { for (i = 0; i < 97; i++) printf "%d %.3f\n", i, n[i] / 7 }'

# --- lua -------------------------------------------------------------------------------------------
mkdir -p "$WORK/lua"
cat >"$WORK/lua/sort.lua" <<'LUA'
local x, numbers = 1, {}
for i = 1, 1000000 do
    x = (x * 1103515245 + 12345) % 2147483648
    numbers[i] = x
end
table.sort(numbers)
for i = 2, #numbers do assert(numbers[i - 1] <= numbers[i]) end
print(#numbers, numbers[1], numbers[500000], numbers[#numbers])
print(string.format("%.10f", math.sin(numbers[1234])), os.getenv("HOME"))
LUA
same "lua5.4 allocates and sorts a million numbers" "$WORK/lua" /dev/null /usr/bin/lua5.4 sort.lua

# --- sqlite3 ---------------------------------------------------------------------------------------
mkdir -p "$WORK/sql"
sqlite3 "$WORK/sql/data.db" "create table t(id integer primary key, k text, v real);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
    insert into t select i, 'key' || (i * 7919 % 1009), (i * 104729 % 100003) / 7.0 from n;
    create index tk on t(k);"
chmod 444 "$WORK/sql/data.db"
OPTIONS=(--add /etc/passwd) # it asks for a home directory
same "sqlite3: an aggregate over a read-only database of 100,000 rows" "$WORK/sql" /dev/null \
    /usr/bin/sqlite3 -readonly data.db \
    "select k, count(*), round(avg(v), 6), max(id) from t group by k order by 3 desc limit 50; select count(distinct k) from t;"

OPTIONS=()

# --- jq, gzip, xz ----------------------------------------------------------------------------------
mkdir -p "$WORK/json" "$WORK/packed"
awk 'BEGIN { printf "["; for (i = 0; i < 122000; i++) printf "%s{\"id\":%d,\"name\":\"item number %d of the list\",\"tags\":[\"a%d\",\"b\"],\"price\":%.2f}", (i ? "," : ""), i, i, i % 10, i / 3; print "]" }' >"$WORK/json/in.json"
size=$(stat -c %s "$WORK/json/in.json")
[ "$size" -gt 9000000 ] || echo "# the document is only $size bytes"
same "jq over a 10 MiB document" "$WORK/json" /dev/null \
    /usr/bin/jq -c 'group_by(.tags[0]) | map({tag: .[0].tags[0], n: length, total: (map(.price) | add)})' in.json
cp "$WORK/lines/in" "$WORK/packed/lines"
gzip -9 <"$WORK/packed/lines" >"$WORK/packed/lines.gz"
xz -6 -T1 <"$WORK/json/in.json" >"$WORK/packed/in.json.xz"
same "gzip decompresses to standard output" "$WORK/packed" /dev/null /bin/gzip -dc lines.gz
same "xz decompresses to standard output" "$WORK/packed" /dev/null /usr/bin/xz -dc in.json.xz

# --- python ----------------------------------------------------------------------------------------
mkdir -p "$WORK/python"
cat >"$WORK/python/work.py" <<'PY'
import collections, decimal, hashlib, json, os, re, sys, zlib
decimal.getcontext().prec = 60
document = json.loads(json.dumps({str(i): [i, i * i, None, "\u00e9\u4e2d"] for i in range(2000)}))
print(len(document), hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest())
print(hashlib.md5(b"thunk").hexdigest(), hashlib.blake2b(b"thunk").hexdigest()[:32])
words = re.findall(r"\b(\w+?)(\d*)\b", "thunk1 merge22 scope333 closure " * 500)
print(collections.Counter(w for w, _ in words).most_common(3))
x = decimal.Decimal(2)
print(x.sqrt(), (decimal.Decimal(1) / 7).quantize(decimal.Decimal("1e-40")))
print(sum(i ** 3 for i in range(100000)), zlib.crc32(b"x" * 100000))
print(sorted(os.listdir(".")), sys.argv)
try:
    open("/data/absent")
except OSError as e:
    print(type(e).__name__, e.errno, e)
sys.exit(3)
PY
python=/usr/lib/python3.11
OPTIONS=(--add "$python" -m 512M -e PYTHONDONTWRITEBYTECODE=1 -e HOME=/root)
HOST_ENVIRONMENT="PYTHONDONTWRITEBYTECODE=1 HOME=/root"
[ -d /etc/python3.11 ] && OPTIONS+=(--add /etc/python3.11)
same "python3.11 with its library tree: json, hashlib, re, decimal" "$WORK/python" /dev/null /usr/bin/python3.11 work.py one two
OPTIONS=()
HOST_ENVIRONMENT=

# --- our own programs --------------------------------------------------------------------------------
mkdir -p "$WORK/empty"
OPTIONS=(-e COLOUR=green)
HOST_ENVIRONMENT=COLOUR=green
same "a static musl program: arguments, heap, clock, status 7" "$WORK/empty" /dev/null "$programs/musl_static" "an argument" ""
OPTIONS=()
HOST_ENVIRONMENT=
same "a C++ program throws and catches" "$WORK/empty" /dev/null "$programs/throws"
same "false: status 1" "$WORK/empty" /dev/null /bin/false
same "busybox cat copies 10 MiB from standard input" "$WORK/empty" "$WORK/json/in.json" /bin/busybox cat

# --- a program that dies of a signal: status 139, its output complete, and the kernel says where ------
for program in segv segv_pie; do
    status=0
    "$THUNK" run --timeout "$LIMIT" "$programs/$program" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -eq 139 ]
    ok $? "$program ends with status 139" || echo "# status $status"
    [ "$(cat "$WORK/out")" = "about to write to address 16" ]
    ok $? "$program: what it printed before is there"
    [ "$(grep -c . "$WORK/err")" -eq 1 ] && grep -q "^thunk: .*SIGSEGV.*0x10.*$program" "$WORK/err"
    ok $? "$program: one line says where" || diagnose "$WORK/err"
done

finish
