"""The API's own description: the OpenAPI document, and a page that shows it to people."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from dispatcher.api.describing import Answer, Operation, Route
from dispatcher.api.document import describe

_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


def document(described: Iterable[Route]) -> dict[str, Any]:
    """Of these routes, and of those that show it."""
    return describe([*described, *routes([])])


def routes(described: Iterable[Route]) -> list[Route]:
    """The document of these routes, and the page."""
    body: list[bytes] = []

    async def openapi(request: web.Request) -> web.Response:
        if not body:  # made when it is first asked for: most dispatchers never are
            body.append(msgspec.json.encode(document(described)))
        return _served(body[0], {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"})

    async def page(request: web.Request) -> web.Response:
        return _served(_packaged("page.html"), _PAGE_HEADERS)

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info["asset"]
        if name not in _ASSETS:
            raise web.HTTPNotFound
        return _served(_packaged(name), {"Content-Type": _ASSETS[name], "X-Content-Type-Options": "nosniff"})

    return [
        Route.of("GET", "/openapi.json", openapi, _OPENAPI),
        Route.of("GET", "/docs", page, _DOCS),
        Route("GET", "/docs/{asset}", asset, {}),
    ]


def _packaged(name: str) -> bytes:
    return files("dispatcher.api").joinpath("page", name).read_bytes()


def _served(body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(body=body, headers={**headers, "Cache-Control": "no-cache"})


_OPENAPI = Operation(id="openapi", tag="service", summary="This document", answers={200: Answer(says="OpenAPI 3.1.")})
_DOCS = Operation(
    id="docs",
    tag="service",
    summary="The reference in the browser",
    answers={200: Answer(says="A page.", media="text/html")},
)
