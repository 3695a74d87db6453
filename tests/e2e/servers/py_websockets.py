"""Echo server on Python `websockets`. The commands it understands are listed in ../servers.py."""
import asyncio
import http
import os
import time

import websockets

TIME_LOG = os.environ.get("TIME_LOG")


async def reply(ws, message, received_ns):
    """Echo, and log how long the client waited for it as this process sees it."""
    await ws.send(message)
    if TIME_LOG:
        with open(TIME_LOG, "a") as log:
            log.write(f"{time.monotonic_ns() - received_ns}\n")


async def close(ws, code):
    if code:
        await ws.close(int(code))
        return
    # The library always names a code; RFC 6455 allows none.
    await ws.write_close_frame(websockets.frames.Close(1005, ""), b"")
    await ws.wait_closed()


async def handler(ws, path):
    if path.startswith("/push/"):
        for i in range(int(path.split("/")[2])):
            await ws.send(f"push {i}")
    async for message in ws:
        received_ns = time.monotonic_ns()
        name, _, value = (message if isinstance(message, str) else "").partition(":")
        if name == "ignore":
            continue
        if name == "exit":
            os._exit(0)
        if name == "close":
            await close(ws, value)
            return
        if name == "sleep":
            await asyncio.sleep(int(value) / 1000)
        await reply(ws, message, received_ns)
        if name == "push":
            for i in range(int(value)):
                await ws.send(f"push {i}")
        if name == "ping":
            await ws.ping()


async def before_upgrade(path, headers):
    kind, _, value = path.strip("/").partition("/")
    if kind == "refuse":
        return http.HTTPStatus(int(value)), [], b"refused\n"
    if kind == "slow":
        await asyncio.sleep(int(value) / 1000)
    return None


async def main():
    async with websockets.serve(handler, os.environ["HOST"], int(os.environ["PORT"]), process_request=before_upgrade,
                                max_size=None, ping_interval=None, close_timeout=30):
        await asyncio.Future()


asyncio.run(main())
