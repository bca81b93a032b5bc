"""A client of memcached for memcached.t: memcached_client.py ADDRESS PORT version|keys|incr|large|connections|udp [PORT|in-turn]

in-turn: the next connection is opened when the one before has had an answer."""
import os, socket, struct, sys

ADDRESS, PORT, WHAT = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Memcached:
    def __init__(self):
        self.socket = socket.create_connection((ADDRESS, PORT), 20)
        self.file = self.socket.makefile("rb")

    def line(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.file.readline()

    def set(self, key, value):
        self.socket.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value))
        return self.file.readline()

    def get(self, key):
        head = self.line("get " + key)
        if head == b"END\r\n":
            return None
        value = self.file.read(int(head.split()[3]) + 2)[:-2]
        assert self.file.readline() == b"END\r\n"
        return value


def version(m):
    assert m.line("version").startswith(b"VERSION 1.")


def keys(m):
    for i in range(1000):
        assert m.set("key%d" % i, b"value %d" % i * (i % 50)) == b"STORED\r\n"
    for i in range(1000):
        assert m.get("key%d" % i) == b"value %d" % i * (i % 50)
    assert m.line("delete key7") == b"DELETED\r\n"
    assert m.get("key7") is None


def incr(m):
    m.set("n", b"0")
    for i in range(200):
        assert m.line("incr n 3") == b"%d\r\n" % (3 * (i + 1))
    assert m.line("decr n 600") == b"0\r\n"
    assert m.line("incr absent 1") == b"NOT_FOUND\r\n"


def large(m):
    value = os.urandom(1000000)
    assert m.set("large", value) == b"STORED\r\n"
    for _ in range(5):
        assert m.get("large") == value
    assert m.set("larger", bytes(2 << 20)).startswith(b"SERVER_ERROR")


def connections(m):
    m.set("shared", b"yes")
    others = []
    for _ in range(200):
        others.append(Memcached())
        assert "in-turn" not in sys.argv or others[-1].get("shared") == b"yes"
    for o in others:
        assert o.get("shared") == b"yes"
    for o in others:
        o.socket.sendall(b"get shared\r\n")
    for o in others:
        assert o.file.readline() == b"VALUE shared 0 3\r\n"


def udp(m):
    m.set("datagram", b"by UDP")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    for request in range(5):  # a datagram may be lost
        s.sendto(struct.pack("!4H", request, 0, 1, 0) + b"get datagram\r\n", (ADDRESS, int(sys.argv[4])))
        try:
            answer = s.recv(2000)
            break
        except socket.timeout:
            continue
    assert answer[:8] == struct.pack("!4H", request, 0, 1, 0), answer
    assert answer[8:] == b"VALUE datagram 0 6\r\nby UDP\r\nEND\r\n", answer


{f.__name__: f for f in (version, keys, incr, large, connections, udp)}[WHAT](Memcached())
