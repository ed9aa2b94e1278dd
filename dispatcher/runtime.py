"""The dispatcher's shell: its parts put together, and the application on its address."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from backends.http.callback import CallbackApi
from backends.http.loopback import is_loopback
from backends.http.server import Server
from backends.ports import Attempts
from contracts.errors import ConfigurationError
from contracts.tokens import Keys
from dispatcher.adapters.outlet import HandlersOutlet
from dispatcher.adapters.queues import DirectQueues
from dispatcher.api.app import build_app
from dispatcher.api.context import Context
from dispatcher.catalogue import Catalogue
from dispatcher.feeds import Feeds
from dispatcher.ports import Broker, Queues, Store, Tokens
from dispatcher.sending import Sender
from dispatcher.telemetry import Telemetry
from dispatcher.waiting import Waits


class Dispatcher:
    """Serves the HTTP API over a broker and a store.

    ``keys`` are the installation's: ids and tokens depend on them. ``queues`` is where they are made, by default broker
    and store themselves. ``attempts`` are those that the callback API speaks to.
    ``tokens`` tell who may do what; without them it is open to loopback (``open_to_loopback``) or to nobody.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        store: Store,
        keys: Keys,
        registry: CollectorRegistry,
        queues: Queues | None = None,
        attempts: Attempts | None = None,
        tokens: Tokens | None = None,
        open_to_loopback: bool = True,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], bytes] = lambda: secrets.token_bytes(10),
    ) -> None:
        telemetry = Telemetry(registry)
        self._store = store
        self._tokens = tokens
        self._open_to_loopback = open_to_loopback
        feeds = Feeds(store, telemetry.listeners)

        def gone(namespace: str, queue: str) -> None:
            telemetry.forget(namespace, queue)
            feeds.gone(namespace, queue)

        self._catalogue = Catalogue(gone, names_namespaces=tokens is None)
        sender = Sender(broker, broker, store, telemetry=telemetry, secret=keys.ids, wall=wall, chance=chance)
        self._context = Context(
            broker=broker,
            store=store,
            queues=queues or DirectQueues(broker, store, store),
            catalogue=self._catalogue,
            sender=sender,
            waits=Waits(store, telemetry.waits_open),
            feeds=feeds,
            telemetry=telemetry,
            wall=wall,
            callbacks=CallbackApi(keys, attempts, HandlersOutlet(self._catalogue, sender), wall) if attempts else None,
        )
        self._server: Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens, and answers on which port; 0 asks for a free one. Raises ``ConfigurationError``."""
        if self._tokens is None and not (self._open_to_loopback and is_loopback(f"[{host}]" if ":" in host else host)):
            raise ConfigurationError(
                f"without tokens the API may only be open on loopback, not on {host}; "
                "choose 127.0.0.1, or set KUBEDAEMON_AUTH_JWKS"
            )
        try:
            if self._tokens is not None:
                await self._tokens.start()
            self._catalogue.follow(self._store)
            self._server = Server(build_app(self._context, self._tokens), host, port)
            return await self._server.start()
        except ConfigurationError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends every wait with what is known by then, and closes. Harmless to repeat."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
        self._catalogue.close()
        if self._tokens is not None:
            await self._tokens.stop()
