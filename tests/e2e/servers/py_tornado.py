"""Echo server on Tornado. The commands it understands are listed in ../servers.py."""
import asyncio
import os

import tornado.web
import tornado.websocket


class Echo(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True

    async def get(self, kind, value):
        if kind == "refuse":
            raise tornado.web.HTTPError(int(value))
        if kind == "slow":
            await asyncio.sleep(int(value) / 1000)
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            self.write("plain\n")
            return
        await super().get(kind, value)

    def open(self, kind, value):
        self.set_nodelay(True)
        if kind == "push":
            self.push(int(value))

    def push(self, count):
        for i in range(count):
            self.write_message(f"push {i}")

    async def on_message(self, message):
        name, _, value = (message if isinstance(message, str) else "").partition(":")
        if name == "ignore":
            return
        if name == "exit":
            os._exit(0)
        if name == "close":
            self.close(int(value) if value else None)
            return
        if name == "sleep":
            await asyncio.sleep(int(value) / 1000)
        await self.write_message(message, binary=isinstance(message, bytes))
        if name == "push":
            self.push(int(value))
        if name == "ping":
            self.ping(b"beat")


async def main():
    application = tornado.web.Application([(r"/([^/]*)/?([^/]*)", Echo)], websocket_max_message_size=1 << 30,
                                          log_function=lambda handler: None)
    application.listen(int(os.environ["PORT"]), os.environ["HOST"])
    await asyncio.Event().wait()


asyncio.run(main())
