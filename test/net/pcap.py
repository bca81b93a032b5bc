"""Reads a pcap file and prints a line for each frame; fails when it is no such file: pcap.py FILE"""
import socket, struct, sys

data = open(sys.argv[1], "rb").read()
magic, major, minor, _, _, most, link = struct.unpack_from("<IHHiIII", data)
assert (magic, major, link) == (0xA1B2C3D4, 2, 1), "no pcap of Ethernet frames"
assert most >= 1514
at, last = 24, 0.0
while at < len(data):
    seconds, micros, kept, length = struct.unpack_from("<IIII", data, at)
    frame = data[at + 16 : at + 16 + kept]
    assert len(frame) == kept == length >= 14, "frame at %d: %d of %d bytes" % (at, len(frame), length)
    assert seconds + micros / 1e6 >= last, "time runs backwards"
    last, at = seconds + micros / 1e6, at + 16 + kept
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and frame[23] in (6, 17):
        ports = struct.unpack_from("!HH", frame, 14 + 4 * (frame[14] & 15))
        ends = [socket.inet_ntoa(frame[a : a + 4]) for a in (26, 30)]
        print({6: "tcp", 17: "udp"}[frame[23]], "%s:%d > %s:%d" % (ends[0], ports[0], ends[1], ports[1]), length)
    else:
        print({0x0806: "arp", 0x86DD: "ipv6", 0x0800: "ip"}.get(kind, "%04x" % kind), length)
