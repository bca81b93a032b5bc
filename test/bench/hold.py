"""Opens connections to an HTTP server, sends a request on each, and holds them until standard input ends:
hold.py ADDRESS PORT COUNT.  Prints how many are open."""
import resource, socket, sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, count + 64))
held = []
for _ in range(count):
    s = socket.create_connection((address, port), 20)
    s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
    while b"Hello, world!" not in s.recv(4096):
        pass
    held.append(s)
print(len(held), flush=True)
sys.stdin.read()
