"""Is the handler there, and does it know what it serves? /healthz, then /init, until both are well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from contracts.answers import Answer, NoAnswer
from sidecar.ports import HandlerClient

_FINE_WITHOUT = frozenset({404, 405, 501})
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0
_CALL_SECONDS = 10.0


def _trouble(path: str, answer: Answer | NoAnswer) -> str | None:
    """What is wrong with the answer, in words; None where it lets the handler go on."""
    if isinstance(answer, NoAnswer):
        return f"{path}: {answer.kind}{f' ({answer.detail})' if answer.detail else ''}"
    if 200 <= answer.status < 300 or answer.status in _FINE_WITHOUT:
        return None
    return f"{path} answered {answer.status}"


async def make_ready(
    client: HandlerClient, init: bytes, init_timeout_seconds: float, on_late: Callable[[str], None]
) -> None:
    """Returns once the handler has passed. ``on_late(reason)`` is called each time ``init_timeout_seconds`` are over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + init_timeout_seconds
    wait = _FIRST_WAIT_SECONDS
    while True:
        trouble = await _ask(client, init)
        if trouble is None:
            return
        if loop.time() >= deadline:
            on_late(f"the handler is not ready after {init_timeout_seconds:g} s: {trouble}")
            deadline = loop.time() + init_timeout_seconds
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT_SECONDS)


async def _ask(client: HandlerClient, init: bytes) -> str | None:
    trouble = _trouble("/healthz", await client.request("GET", "/healthz", {}, b"", _CALL_SECONDS))
    if trouble is not None:
        return trouble
    headers = {"Content-Type": "application/json"}
    return _trouble("/init", await client.request("POST", "/init", headers, init, _CALL_SECONDS))
