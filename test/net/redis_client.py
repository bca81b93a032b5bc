"""A client of redis-server for redis.t:
    redis_client.py ADDRESS PORT large | publish | block
    redis_client.py ADDRESS PORT load FILE ROUND     until the server is gone; FILE gets what was acknowledged
    redis_client.py ADDRESS PORT verify FILE         all of it is there
"""
import os, socket, sys, time

PIPELINED = 8


class Redis:
    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), 20)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def ask(self, *words):
        self.send(*words)
        return self.answer()


def large(at):
    value = os.urandom(20 << 20)
    r = Redis(*at)
    assert r.ask("SET", "large", value) == b"OK"
    assert r.ask("GET", "large") == value


def publish(at):
    hears, says = Redis(*at), Redis(*at)
    assert hears.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    for i in range(100):
        assert says.ask("PUBLISH", "news", "number %d" % i) == 1
    assert [hears.answer()[2] for _ in range(100)] == [b"number %d" % i for i in range(100)]


def block(at):
    waits, pushes = Redis(*at), Redis(*at)
    waits.send("BLPOP", "list", 10)
    time.sleep(0.2)
    pushes.ask("LPUSH", "list", "value")
    assert waits.answer() == [b"list", b"value"]
    begin = time.monotonic()
    assert waits.ask("BLPOP", "list", "0.3") is None
    assert 0.25 < time.monotonic() - begin < 5


def load(at, path, round_number):
    """Keys are written in order, so what is acknowledged is a count: one line ROUND COUNT."""
    r, acknowledged, sent = Redis(*at), 0, 0
    assert r.ask("SET", "key:%s:begins" % round_number, "") == b"OK"
    print("loading", flush=True)
    r.socket.settimeout(3)  # nobody says that the machine was killed
    try:
        while True:
            for _ in range(PIPELINED):
                r.send("SET", "key:%s:%d" % (round_number, sent), "value %d" % sent)
                sent += 1
            for _ in range(PIPELINED):
                assert r.answer() == b"OK"
                acknowledged += 1
    except (OSError, EOFError):
        pass
    with open(path, "a") as f:
        print(round_number, acknowledged, file=f)
    print("round", round_number, "acknowledged", acknowledged, "of", sent)
    assert acknowledged > 0


def verify(at, path):
    r, seen = Redis(*at), 0
    for round_number, count in (map(int, line.split()) for line in open(path)):
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            values = r.ask("MGET", *["key:%d:%d" % (round_number, i) for i in numbers])
            wrong = [i for i, v in zip(numbers, values) if v != b"value %d" % i]
            assert not wrong, "round %d: %d of %d are lost, first %d" % (round_number, len(wrong), count, wrong[0])
            seen += len(values)
    assert r.ask("DBSIZE") >= seen
    print("keys that were acknowledged and are there:", seen)


at, what = (sys.argv[1], int(sys.argv[2])), sys.argv[3]
{"large": large, "publish": publish, "block": block, "load": load, "verify": verify}[what](at, *sys.argv[4:])
