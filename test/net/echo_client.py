"""Connections to an echo server, all open at once: echo_client.py ADDRESS PORT CONNECTIONS BYTES [in-turn]

in-turn: the next is opened when the one before has had an answer."""
import asyncio, os, sys

address, port, connections, length = sys.argv[1], *map(int, sys.argv[2:5])
in_turn = sys.argv[5:] == ["in-turn"]


async def connect(turn):
    if not in_turn:
        return await asyncio.open_connection(address, port)
    async with turn:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        return reader, writer


async def talk(everyone):
    reader, writer = await connect(everyone["turn"])
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
    everyone = {"open": 0, "all": asyncio.Event(), "turn": asyncio.Lock()}
    await asyncio.wait_for(asyncio.gather(*[talk(everyone) for _ in range(connections)]), 50)


asyncio.run(main())
