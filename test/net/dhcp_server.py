"""A DHCP server that is late: dhcp_server.py SECONDS ADDRESS ANSWER.

Answers from ADDRESS on port 67, SECONDS after the first question came, and offers ANSWER.
"""
import socket
import struct
import sys
import time

late, ours, offered = float(sys.argv[1]), sys.argv[2], sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0")
s.bind(("", 67))
first = None
asked = 0
while True:
    question = s.recv(2048)
    first = first or time.monotonic()
    asked += 1
    options, at, kind = question[240:], 0, 0
    while at + 2 < len(options) and options[at] != 255:
        if options[at] == 53:
            kind = options[at + 2]
        at += 1 if options[at] == 0 else 2 + options[at + 1]
    if time.monotonic() - first < late or kind not in (1, 3):
        continue
    answer = bytearray(question[:240])
    answer[0] = 2
    answer[16:20] = socket.inet_aton(offered)
    answer += struct.pack("BBB", 53, 1, 2 if kind == 1 else 5)
    answer += struct.pack("BB4s", 54, 4, socket.inet_aton(ours))
    answer += struct.pack("!BBI", 51, 4, 3600)
    answer += struct.pack("BB4s", 1, 4, socket.inet_aton("255.255.255.0"))
    answer += b"\xff"
    s.sendto(answer, ("255.255.255.255", 68))
    print(f"answered {kind} after {time.monotonic() - first:.1f} s and {asked} questions", flush=True)
