"""The dispatcher's shell: the application on its address."""

from __future__ import annotations

import secrets
import time

from prometheus_client import CollectorRegistry

from backends.http.server import Server
from dispatcher.api.app import build_app
from dispatcher.api.context import Context, FrontBroker, ReadStore
from dispatcher.telemetry import Telemetry


class Dispatcher:
    """Serves the HTTP API over a broker and a store. ``secret`` is the installation's: ids of keys depend on it."""

    def __init__(self, *, broker: FrontBroker, store: ReadStore, secret: bytes, registry: CollectorRegistry) -> None:
        self._context = Context(
            broker=broker,
            store=store,
            telemetry=Telemetry(registry),
            secret=secret,
            wall=time.time,
            chance=lambda: secrets.token_bytes(10),
        )
        self._server: Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens, and answers on which port. Raises ``ConfigurationError``."""
        self._server = Server(build_app(self._context), host, port)
        return await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
