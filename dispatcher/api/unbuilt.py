"""What the contract promises and is not here yet: it says so, and never looks like a misspelt path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from backends.http.bodies import when_wanted
from contracts.problems import Problem, ProblemError


def _says(what: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise ProblemError(Problem.NOT_IMPLEMENTED, f"{what} not built yet; nothing was done.")

    return handler


def routes(namespace: str, queue: str) -> list[web.RouteDef]:
    """Below the path of a namespace and of a queue."""
    unbuilt = [
        ("GET", f"{namespace}/callbacks", "Result callbacks are"),
        ("POST", f"{namespace}/callbacks/{{id}}/replay", "Result callbacks are"),
        ("GET", f"{namespace}/secrets", "Signing secrets are"),
        ("POST", f"{namespace}/secrets", "Signing secrets are"),
        ("DELETE", f"{namespace}/secrets/{{id}}", "Signing secrets are"),
        ("GET", "/openapi.json", "The OpenAPI document is"),
        ("GET", "/docs", "The reference in the browser is"),
    ]
    return [web.route(method, path, _says(what), expect_handler=when_wanted) for method, path, what in unbuilt]
