"""Connections to an echo server, all open at once: echo_client.py ADDRESS PORT CONNECTIONS BYTES"""
import asyncio, os, sys

address, port, connections, length = sys.argv[1], *map(int, sys.argv[2:])


async def talk(everyone):
    reader, writer = await asyncio.open_connection(address, port)
    everyone["open"] += 1
    if everyone["open"] == connections:
        everyone["all"].set()
    await everyone["all"].wait()
    data = os.urandom(length)
    writer.write(data)
    assert await reader.readexactly(length) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def main():
    everyone = {"open": 0, "all": asyncio.Event()}
    await asyncio.wait_for(asyncio.gather(*[talk(everyone) for _ in range(connections)]), 50)


asyncio.run(main())
