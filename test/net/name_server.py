"""A name server for names.t, over UDP and TCP: name_server.py ADDRESS"""
import socket, socketserver, struct, sys, threading

A, CNAME, AAAA = 1, 5, 28
TRUNCATED, NO_SUCH_NAME = 0x0200, 3
UDP_MOST = 512


def v4(text):
    return A, socket.inet_aton(text)


def wire(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


NAMES = {
    "one.thunk.test": [v4("192.0.2.1")],
    "both.thunk.test": [v4("192.0.2.2"), (AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::2"))],
    "alias.thunk.test": [(CNAME, wire("one.thunk.test"))],
    "many.thunk.test": [v4("192.0.2.%d" % i) for i in range(100, 160)],
}


def question(query):
    """The name that is asked for, the kind of record, and where the question ends."""
    at, parts = 12, []
    while query[at]:
        parts.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    return ".".join(parts).lower(), kind, at + 5


def answer(query, most):
    name, kind, end = question(query)
    records = b""
    count = 0
    for owner in [name, "one.thunk.test"] if name == "alias.thunk.test" else [name]:
        for record, data in NAMES.get(owner, []):
            if record in (kind, CNAME):
                records += wire(owner) + struct.pack("!HHIH", record, 1, 60, len(data)) + data
                count += 1
    flags = 0x8580 | (0 if name in NAMES else NO_SUCH_NAME)
    if end + len(records) > most:
        flags, records, count = flags | TRUNCATED, b"", 0
    return query[:2] + struct.pack("!5H", flags, 1, count, 0, 0) + query[12:end] + records


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(answer(self.request[0], UDP_MOST), self.client_address)


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            reply = answer(self.rfile.read(struct.unpack("!H", head)[0]), 65535)
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


socketserver.ThreadingTCPServer.allow_reuse_address = True
threading.Thread(target=socketserver.ThreadingTCPServer((sys.argv[1], 53), Stream).serve_forever, daemon=True).start()
server = socketserver.UDPServer((sys.argv[1], 53), Datagram)
print("ready", flush=True)
server.serve_forever()
