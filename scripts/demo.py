#!/usr/bin/python3
"""demo.py PORT: a small chat server (Debian's python3-websockets) with clients that behave like
people: they talk, ping, leave, come back, are refused, and sometimes vanish. For scripts/run --demo;
everything ends with this process."""
import asyncio
import http
import random
import signal
import sys

import websockets

PORT = int(sys.argv[1])
ROOMS = ["/chat/general", "/chat/support", "/game/lobby", "/ticker"]


async def refuse(path, headers):
    if path.startswith("/private") and "Authorization" not in headers:
        return http.HTTPStatus.UNAUTHORIZED, [], b"login first\n"
    return None


async def serve(socket, path=None):
    """Answers after some work; the ticker talks without being asked."""
    ticker = asyncio.create_task(tick(socket)) if socket.path == "/ticker" else None
    try:
        async for message in socket:
            await asyncio.sleep(random.lognormvariate(-5.0, 0.7))
            if message == "quit":
                await socket.close(random.choice([1000, 1000, 1011, 4001]), "goodbye")
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        if ticker:
            ticker.cancel()


async def tick(socket):
    while True:
        await asyncio.sleep(0.25)
        await socket.send(f"price {random.random():.4f}")


async def person():
    while True:
        room = random.choice(ROOMS) if random.random() < 0.9 else "/private/room"
        try:
            async with websockets.connect(
                f"ws://127.0.0.1:{PORT}{room}", ping_interval=5, close_timeout=1
            ) as socket:
                listener = asyncio.create_task(listen(socket))
                for _ in range(random.randrange(5, 60)):
                    await asyncio.sleep(random.expovariate(2.0))
                    await socket.send("x" * int(random.paretovariate(0.9) * 20) if random.random() < 0.98 else "quit")
                listener.cancel()
                if random.random() < 0.1:
                    socket.transport.abort()
        except (OSError, websockets.WebSocketException, asyncio.CancelledError):
            await asyncio.sleep(0.5)
        await asyncio.sleep(random.expovariate(1.0))


async def listen(socket):
    try:
        async for _ in socket:
            pass
    except websockets.ConnectionClosed:
        pass


async def main():
    random.seed(7)
    stop = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.cancel)
    async with websockets.serve(serve, "127.0.0.1", PORT, process_request=refuse, ping_interval=3):
        people = [asyncio.create_task(person()) for _ in range(25)]
        try:
            await stop
        except asyncio.CancelledError:
            pass
        for task in people:
            task.cancel()


asyncio.run(main())
