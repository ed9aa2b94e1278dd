"""Request bodies: read up to a limit and never past it, and JSON whose errors say where they are."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import HttpVersion11, web

from contracts.jsontext import not_json
from contracts.problems import Problem, ProblemError

MAX_DEPTH = 64
"""How deep JSON may be nested: more than any resource of ours needs, less than any walk over it can bear."""


async def when_wanted(request: web.Request) -> None:
    """As ``expect_handler`` of a route: ``100 Continue`` is said once the body is wanted, and not before."""


async def read_body(request: web.Request, limit: int, what: str) -> bytes:
    """The body. Raises ``ProblemError`` 413 for one of more than ``limit`` bytes, the moment that it is known.

    ``what`` names the limit to people.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(length, limit, what)
    if "Expect" in request.headers and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    parts: list[bytes] = []
    size = 0
    try:
        while chunk := await request.content.readany():
            size += len(chunk)
            if size > limit:
                raise _too_large(None, limit, what)
            parts.append(chunk)
    except web.RequestPayloadError as error:
        raise ProblemError(
            Problem.MALFORMED_REQUEST, "The body broke off, or its chunks are not as HTTP says."
        ) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(length: int | None, limit: int, what: str) -> ProblemError:
    said = "" if length is None else f" of {length} bytes"
    return ProblemError(Problem.PAYLOAD_TOO_LARGE, f"The body{said} is larger than {what}, {limit} bytes.", limit=limit)


def decode_json(body: bytes) -> Any:
    """The value. Raises ``ProblemError`` 400 with line and column (in bytes, both from 1) of what is wrong."""
    too_deep = ProblemError(Problem.MALFORMED_REQUEST, f"The body is JSON nested deeper than {MAX_DEPTH} levels.")
    try:
        value = msgspec.json.decode(body)
    except RecursionError as error:
        raise too_deep from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(body, error) from error
    if _deeper(value, MAX_DEPTH):
        raise too_deep
    return value


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        inner: list[Any] = []
        for one in layer:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return False
        layer = inner
    return True
