"""The gate before every route: each is held to the token's namespaces and roles, or is not served."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dispatcher.core.access import NEEDS, Need, Open, Rights, read_bearer
from dispatcher.ports import Tokens

_RIGHTS: web.RequestKey[Rights] = web.RequestKey("rights", Rights)


def need_of(method: str, template: str) -> Need:
    """What a route asks for. Raises ``LookupError`` for one of which nobody has said it."""
    need = NEEDS.get(("GET" if method == "HEAD" else method, template))
    if need is None:
        raise LookupError(f"{method} {template}: say in dispatcher/core/access.py which role it takes")
    return need


def check_needs(app: web.Application) -> None:
    """Raises ``LookupError`` unless of every route it has been said what it asks for."""
    for route in app.router.routes():
        assert route.resource is not None
        need_of(route.method, route.resource.canonical)


def held(tokens: Tokens) -> Middleware:
    """Lets a request through that its token allows; paths that do not exist are told to holders of a token alone."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        match = request.match_info
        resource = match.route.resource if match.http_exception is None else None
        need = None if resource is None else need_of(match.route.method, resource.canonical)
        if isinstance(need, Open):
            return await handler(request)
        rights = await tokens.rights(read_bearer(request.headers.getall("Authorization", [])))
        if need is not None:
            rights.check(match["namespace"], need)
        request[_RIGHTS] = rights
        return await handler(request)

    return middleware


def withhold(request: web.Request, shown: dict[str, Any]) -> dict[str, Any]:
    """A message as this caller may see it: what handlers answered is not for viewers."""
    rights: Rights | None = request.get(_RIGHTS)
    if rights is None or rights.sees_answers:
        return shown
    return {**shown, "attempts": [{**attempt, "body": ""} for attempt in shown["attempts"]]}
