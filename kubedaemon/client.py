"""A client of the HTTP API, as the command line uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from contracts.errors import KubedaemonError


class ApiError(KubedaemonError):
    """The API answered with a problem; ``problem`` is its object."""

    def __init__(self, problem: dict[str, Any], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"{problem.get('title', f'HTTP {status}')}: {problem.get('detail', '')}".rstrip(": "))
        self.problem = problem
        self.status = status
        self.headers = headers


class Unreachable(KubedaemonError):
    """Nothing answers at the address."""


class Answer(msgspec.Struct, frozen=True):
    """An answer of 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None


class Client:
    """Calls one Kubedaemon in one namespace. Use it as an async context manager."""

    def __init__(self, url: str, namespace: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._base = f"{self._url}/v1/namespaces/{quote(namespace, safe='')}/queues"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One call below ``…/queues``; each part of the path is quoted. Raises ``ApiError`` or ``Unreachable``."""
        assert self._session is not None
        url = "/".join((self._base, *(quote(part, safe="") for part in path)))
        try:
            async with self._session.request(
                method, url, params=query, headers=headers, data=body, allow_redirects=False
            ) as response:
                content = await response.read()
                if response.status >= 300:
                    raise ApiError(_problem(content), response.status, response.headers)
                return Answer(response.status, response.headers, content)
        except aiohttp.InvalidURL as error:
            raise Unreachable(f"{self._url!r} is no URL; write --url http://HOST:PORT") from error
        except (aiohttp.ClientError, OSError) as error:
            hint = "is `kubedaemon dev` running? Name another address with --url or KUBEDAEMON_URL"
            raise Unreachable(f"nothing answers at {self._url}; {hint}") from error


def _problem(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        found = None
    return found if isinstance(found, dict) else {"detail": content[:200].decode("utf-8", "replace")}
