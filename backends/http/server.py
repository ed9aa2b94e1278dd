"""An aiohttp server on one address, with errors that say the way out."""

from __future__ import annotations

import errno

from aiohttp import web

from contracts.errors import ConfigurationError


class Server:
    """Serves an application until ``stop``."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        self._host = host
        self._port = port

    async def start(self) -> int:
        """The port that it listens on; 0 was asked for a free one. Raises ``ConfigurationError``."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(self._sentence(error)) from error
        port: int = self._runner.addresses[0][1]
        return port

    def _sentence(self, error: OSError) -> str:
        place = f"port {self._port} on {self._host}"
        if error.errno == errno.EADDRINUSE:
            return f"{place} is in use by another program; choose another with --port, or stop that program"
        if error.errno == errno.EACCES:
            return f"{place} may not be opened by this user; choose one above 1023 with --port"
        return f"{place} cannot be opened: {error.strerror}"

    async def stop(self) -> None:
        await self._runner.cleanup()
