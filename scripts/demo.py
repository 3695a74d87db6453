#!/usr/bin/python3
"""demo.py PORT [--people N] [--trouble X] [--name COMM] [--rooms A,B]: a small chat server (Debian's
python3-websockets) with clients that behave like people: they talk, ping, leave, come back, are refused,
and sometimes vanish; X times as often as usual. SIGUSR1: most of them leave at once. For scripts/run
--demo and scripts/screenshots; everything ends with this process."""
import argparse
import asyncio
import http
import random
import signal

import websockets

arguments = argparse.ArgumentParser()
arguments.add_argument("port", type=int)
arguments.add_argument("--people", type=int, default=25)
arguments.add_argument("--trouble", type=float, default=1.0)
arguments.add_argument("--name")
arguments.add_argument("--rooms", default="/chat/general,/chat/support,/game/lobby,/ticker")
OPTIONS = arguments.parse_args()
PORT, TROUBLE = OPTIONS.port, OPTIONS.trouble
ROOMS = OPTIONS.rooms.split(",")


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


async def person(number):
    """From an address of its own, so that there is more than one user."""
    address = f"127.0.{1 + number // 200}.{1 + number % 200}"
    while True:
        room = random.choice(ROOMS) if random.random() >= 0.1 * TROUBLE else "/private/room"
        try:
            async with websockets.connect(
                f"ws://127.0.0.1:{PORT}{room}", ping_interval=5, close_timeout=1, local_addr=(address, 0)
            ) as socket:
                listener = asyncio.create_task(listen(socket))
                for _ in range(random.randrange(5, 60)):
                    await asyncio.sleep(random.expovariate(2.0))
                    await socket.send("x" * int(random.paretovariate(0.9) * 20) if random.random() >= 0.02 * TROUBLE else "quit")
                listener.cancel()
                if random.random() < 0.1 * TROUBLE:
                    socket.transport.abort()
        except (OSError, websockets.WebSocketException):
            await asyncio.sleep(0.5)
        await asyncio.sleep(random.expovariate(1.0))


async def listen(socket):
    try:
        async for _ in socket:
            pass
    except websockets.ConnectionClosed:
        pass


async def main():
    if OPTIONS.name:
        with open("/proc/self/comm", "w") as comm:
            comm.write(OPTIONS.name)
    random.seed(PORT)
    stop = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.cancel)
    async with websockets.serve(serve, "127.0.0.1", PORT, process_request=refuse, ping_interval=3):
        people = [asyncio.create_task(person(n)) for n in range(OPTIONS.people)]

        def leave():
            for task in people[len(people) // 5:]:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, leave)
        try:
            await stop
        except asyncio.CancelledError:
            pass
        for task in people:
            task.cancel()


asyncio.run(main())
