"""Asks an ASGI app in this process, as a browser would."""

import asyncio

import httpx

__all__ = ["Browser"]


class Browser:
    """Asks an app at an address.

    Parameters
    ----------
    app : ASGI app
    address : str
        Such as ``http://127.0.0.1:40000``.
    """

    def __init__(self, app, address):
        self._app = app
        self._address = address

    def request(self, method, path, headers=None):
        async def ask():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=self._address) as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path, headers=None):
        return self.request("GET", path, headers)
