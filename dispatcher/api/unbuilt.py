"""What the contract promises and is not here yet: it says so, and never looks like a misspelt path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from contracts.problems import Problem, ProblemError
from dispatcher.api.describing import Route


def _says(what: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise ProblemError(Problem.NOT_IMPLEMENTED, f"{what} not built yet; nothing was done.")

    return handler


def routes(namespace: str) -> list[Route]:
    """Below the path of a namespace. The document leaves them out."""
    unbuilt = [
        ("GET", f"{namespace}/callbacks", "Result callbacks are"),
        ("POST", f"{namespace}/callbacks/{{id}}/replay", "Result callbacks are"),
        ("GET", f"{namespace}/secrets", "Signing secrets are"),
        ("POST", f"{namespace}/secrets", "Signing secrets are"),
        ("DELETE", f"{namespace}/secrets/{{id}}", "Signing secrets are"),
    ]
    return [Route(method, path, _says(what), {}) for method, path, what in unbuilt]
