"""Echo server on Django Channels, run by daphne. The commands it understands are listed in ../servers.py."""
import asyncio
import os

import django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", ROOT_URLCONF=__name__, INSTALLED_APPS=["channels"],
                   CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
django.setup()
urlpatterns = []

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 (Django wants its settings first)
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Echo(AsyncWebsocketConsumer):
    async def connect(self):
        kind, _, value = self.scope["path"].strip("/").partition("/")
        if kind == "refuse" and value == "403":
            await self.close()
            return
        if kind == "refuse":
            raise RuntimeError("an application that fails before it accepts is a 500")
        if kind == "slow":
            await asyncio.sleep(int(value) / 1000)
        await self.accept()
        if kind == "push":
            await self.push(int(value))

    async def push(self, count):
        for i in range(count):
            await self.send(text_data=f"push {i}")

    async def receive(self, text_data=None, bytes_data=None):
        name, _, value = (text_data or "").partition(":")
        if name == "ignore":
            return
        if name == "exit":
            os._exit(0)
        if name == "close" and value == "1011":
            raise RuntimeError("a consumer that fails closes with 1011")
        if name == "close":
            await self.close(int(value) if value else None)
            return
        if name == "sleep":
            await asyncio.sleep(int(value) / 1000)
        await self.send(text_data=text_data, bytes_data=bytes_data)
        if name == "push":
            await self.push(int(value))


async def plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"plain\n"})


app = ProtocolTypeRouter({"websocket": Echo.as_asgi(), "http": plain})
