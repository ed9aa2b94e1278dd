"""A client of the HTTP API: one namespace of one Kubedaemon, errors as exceptions that say what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from contracts.api import DEFAULT_LIMIT, MAX_LIMIT
from contracts.errors import KubedaemonError
from contracts.problems import BASE
from contracts.text import encode_header

Json = dict[str, Any]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""How long an answer may take, beyond what the call itself asks to wait."""

_ENDS = {"message-dead": "dead", "message-expired": "expired", "message-cancelled": "cancelled"}


class ApiError(KubedaemonError):
    """The API answered with a problem: ``problem`` is its object, ``queue`` the one that the call was about."""

    def __init__(
        self, problem: Json, status: int = 0, headers: Mapping[str, str] | None = None, queue: str | None = None
    ) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.problem = problem
        self.status = status or int(problem.get("status", 0))
        self.headers = headers or {}
        self.queue = queue

    @property
    def slug(self) -> str:
        """The last part of the problem's type; empty for an answer that is no problem of ours."""
        kind = str(self.problem.get("type", ""))
        return kind.removeprefix(BASE) if kind.startswith(BASE) else ""

    def __str__(self) -> str:
        title = str(self.problem.get("title") or f"the server answered {self.status}")
        named = f"{title} ({self.slug})" if self.slug else title
        detail = str(self.problem.get("detail") or "")
        return f"{named}: {detail}" if detail else named


class EndedBadly(ApiError):
    """The message was handled to its end, and that end is dead, expired or cancelled."""

    @property
    def state(self) -> str:
        return self.headers.get("Kubedaemon-Status") or _ENDS.get(self.slug, "dead")


class Unreachable(KubedaemonError):
    """No answer came from the address."""


class Answer(msgspec.Struct, frozen=True):
    """An answer of 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body as an object. Raises ``ApiError`` where it is none."""
        try:
            return msgspec.json.decode(self.body, type=Json)
        except msgspec.DecodeError as error:
            raise ApiError(_foreign(self.status, self.body)) from error


class Client:
    """Calls one Kubedaemon in one namespace. Use it as an async context manager."""

    def __init__(self, url: str, namespace: str = "default", token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._base = f"{self.url}/v1/namespaces/{_segment(namespace)}/queues"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        queue: str,
        body: bytes,
        *,
        content_type: str,
        session: str | None = None,
        key: str | None = None,
        meta: Mapping[str, str] | None = None,
        delay: str | None = None,
        deliver_at: str | None = None,
        ttl: str | None = None,
        wait_seconds: int | None = None,
    ) -> Answer:
        """Enqueues; with ``wait_seconds`` 200 is the handler's answer, and a bad end raises ``EndedBadly``.

        ``delay`` and ``ttl`` are durations as people write them, ``deliver_at`` is RFC 3339.
        """
        times = (("Kubedaemon-Delay", delay), ("Kubedaemon-Deliver-At", deliver_at), ("Kubedaemon-Ttl", ttl))
        headers = {"Content-Type": content_type} | {name: text for name, text in times if text is not None}
        if session is not None:
            headers["Kubedaemon-Session"] = encode_header(session)
        if key is not None:
            headers["Idempotency-Key"] = key
        for name, value in (meta or {}).items():
            headers[f"Kubedaemon-Meta-{name}"] = encode_header(value)
        if wait_seconds is not None:
            headers["Prefer"] = f"wait={wait_seconds}"
        return await self.call("POST", queue, "messages", headers=headers, body=body, wait_seconds=wait_seconds or 0)

    async def result(self, queue: str, message_id: str, wait_seconds: int = 0) -> Answer:
        """The handler's answer with 200, or 202 where the message has not ended. Raises ``EndedBadly``."""
        query = {"wait": str(wait_seconds)} if wait_seconds else None
        return await self.call("GET", queue, "messages", message_id, "result", query=query, wait_seconds=wait_seconds)

    async def get(self, *path: str, query: Mapping[str, str] | None = None) -> Json:
        return (await self.call("GET", *path, query=query)).json()

    async def post(self, *path: str, body: Json | None = None) -> Json:
        headers = {"Content-Type": "application/json"} if body is not None else None
        content = msgspec.json.encode(body) if body is not None else None
        return (await self.call("POST", *path, headers=headers, body=content)).json()

    async def put(self, queue: str, manifest: Json) -> Answer:
        """Creates the queue (201) or changes it (200)."""
        headers = {"Content-Type": "application/json"}
        return await self.call("PUT", queue, headers=headers, body=msgspec.json.encode(manifest))

    async def delete(self, *path: str, query: Mapping[str, str] | None = None) -> Answer:
        return await self.call("DELETE", *path, query=query)

    async def collect(
        self,
        *path: str,
        query: Mapping[str, str] | None = None,
        at_most: int | None = DEFAULT_LIMIT,
        after: str | None = None,
    ) -> Json:
        """A list over as many pages as it takes, in the shape of one; ``at_most`` None is everything."""
        items: list[Json] = []
        cursor: str | None = after
        async for page in self._pages(path, dict(query or {}), at_most, after):
            items += page["items"]
            cursor = page.get("next")
        return {"items": items, "next": cursor}

    async def _pages(
        self, path: Sequence[str], query: dict[str, str], at_most: int | None, after: str | None
    ) -> AsyncIterator[Json]:
        left = at_most
        while left is None or left > 0:
            query["limit"] = str(min(MAX_LIMIT, MAX_LIMIT if left is None else left))
            if after is not None:
                query["after"] = after
            page = await self.get(*path, query=query)
            yield page
            left = None if left is None else left - len(page["items"])
            after = page.get("next")
            if after is None or not page["items"]:
                return

    async def call(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        wait_seconds: float = 0,
    ) -> Answer:
        """One call below ``…/queues``; each part of the path is quoted. Raises ``ApiError`` or ``Unreachable``."""
        assert self._session is not None, "use the client as an async context manager"
        target = "/".join((self._base, *(_segment(part) for part in path)))
        target += f"?{urlencode(query)}" if query else ""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS + wait_seconds
        )
        try:
            async with self._session.request(
                method, URL(target, encoded=True), headers=headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                content = await response.read()
                if response.status < 300:
                    return Answer(response.status, response.headers, content)
                raise _refusal(response, content, path[0] if path else None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(_why(self.url, error)) from error


def _segment(text: str) -> str:
    """A part of a path that stays one part, whatever is in it."""
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _refusal(response: aiohttp.ClientResponse, content: bytes, queue: str | None) -> ApiError:
    if 300 <= response.status < 400:
        there = response.headers.get("Location", "elsewhere")
        return ApiError({"title": "The server sends us on", "detail": f"to {there}; name that with --url"})
    try:
        problem = msgspec.json.decode(content, type=Json)
    except msgspec.DecodeError:
        problem = {}
    if "type" not in problem and "title" not in problem:
        problem = _foreign(response.status, content)
    error = ApiError(problem, response.status, response.headers, queue)
    ended = error.slug in _ENDS or response.headers.get("Kubedaemon-Status") in _ENDS.values()
    return EndedBadly(problem, response.status, response.headers, queue) if ended else error


def _foreign(status: int, content: bytes) -> Json:
    said = " ".join(content[:200].decode("utf-8", "replace").split())
    detail = f"Is it Kubedaemon that listens there? It says: {said}" if said else "Is it Kubedaemon that listens there?"
    return {"title": f"The server answered {status}, and not as Kubedaemon does", "status": status, "detail": detail}


def _why(url: str, error: Exception) -> str:
    """What went wrong on the way, and what to do. The order matters: the narrow kinds come first."""
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return f"{url!r} is not an address; write --url http://HOST:PORT"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS with {url} failed: {error}; is it https there, with a certificate that this machine trusts?"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return f"nothing answers at {url}; is `kubedaemon dev` running? Another address is named with --url or KUBEDAEMON_URL."
    if isinstance(error, TimeoutError):
        return f"{url} takes calls but did not answer in time; look at its log, then try again"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"what listens at {url} does not speak HTTP; name Kubedaemon's address with --url or KUBEDAEMON_URL"
    return f"the connection to {url} broke off before the answer; whether the call was carried out is not known"
