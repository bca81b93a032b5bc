"""Looks at a trace that `thunk run --trace` wrote: trace_check.py TRACE [STRACE].

Every span ends on its track, stamps rise, nothing was lost; with STRACE, the standard error of that
run under --strace too, the calls of both are the same in number.  The first complaint of each kind
is printed, and a summary: "name count" lines on standard output."""
import collections
import json
import re
import sys

complaints = []


def complain(text):
    if text not in complaints:
        complaints.append(text)


def spans(events):
    """Names by category; checks each track."""
    tracks = collections.defaultdict(list)
    last = collections.defaultdict(float)
    names = collections.Counter()
    for e in events:
        track = (e["pid"], e["tid"])
        if e["ph"] not in "BE":
            continue
        if e["ts"] < last[track]:
            complain(f"time goes back on track {track}")
        last[track] = e["ts"]
        if e["ph"] == "B":
            tracks[track].append(e)
            names[e["cat"], e["name"], e["pid"]] += 1
        elif not tracks[track]:
            complain(f"an end without a beginning on track {track}")
        elif tracks[track].pop()["name"] != e["name"]:
            complain(f"{e['name']} ends on track {track}, and something else was begun")
    for track, left in tracks.items():
        if left:
            complain(f"track {track}: {left[-1]['name']} does not end")
    return names


def requests(events):
    """Block requests: each begins and ends once, and takes time."""
    begun = {}
    done = 0
    for e in events:
        if e["ph"] == "b":
            begun[e["id"]] = e
        elif e["ph"] == "e":
            if e["id"] not in begun:
                complain("a block request ends that never began")
            elif not e["ts"] > begun.pop(e["id"])["ts"]:
                complain("a block request takes no time")
            done += 1
    if begun:
        complain("a block request does not end")
    return done


def calls_of_strace(path):
    """A call that was started again (it waited for a page) is one call."""
    calls = collections.Counter()
    waiting = set()
    for line in open(path, errors="replace"):
        begin = re.match(r"thunk: \[(\d+)\] (\w+)\(", line)
        end = re.match(r"thunk: \[(\d+)\] \.\.\. (\w+)", line)
        if end:
            waiting.discard(end[1])
        if begin:
            if begin[1] not in waiting:
                calls[begin[2]] += 1
            waiting.discard(begin[1])
            if line.rstrip().endswith("..."):
                waiting.add(begin[1])
    return calls


trace = json.load(open(sys.argv[1]))
events = trace["traceEvents"]
names = spans(events)
print("disk", requests(events))
print("lost", trace["otherData"]["lost"])
print("whole", trace["otherData"]["whole"])
calls = collections.Counter()
for (category, name, process), count in sorted(names.items()):
    if process == 1:
        print(category, name, count)
    elif category == "call":
        calls[name] += count
        print("thread-call", name, count)
if len(sys.argv) > 2:
    expected = calls_of_strace(sys.argv[2])
    for name in sorted(set(calls) | set(expected)):
        if calls[name] != expected[name]:
            complain(f"{name}: {calls[name]} times in the trace, {expected[name]} in strace")
for text in complaints:
    print("complaint:", text)
sys.exit(1 if complaints else 0)
