"""Open to this machine's programs, and not to web pages that they show.

Without tokens, being on loopback is all the right that a caller has. A browser would lend it to any page: directly,
which shows in ``Origin``, or through a name that was made to point here (DNS rebinding), which shows in ``Host``.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler

from contracts.problems import Problem, ProblemError


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Is this host, as ``Host`` or a bind address names it, with or without a port, this machine and no other?"""
    name = host.lower()
    if name.startswith("["):
        name, bracket, rest = name[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return False
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what a web page may have sent."""
    host = request.headers.get("Host")
    if host is not None and not is_loopback(host):
        raise ProblemError(
            Problem.FORBIDDEN,
            "Without tokens this is open to this machine alone: name it localhost or 127.0.0.1 in the URL.",
        )
    origin = request.headers.get("Origin")
    if origin is not None and (host is None or origin.lower() != f"http://{host.lower()}"):
        raise ProblemError(
            Problem.FORBIDDEN, "Without tokens this is not open to web pages: the request names another Origin."
        )
    return await handler(request)
