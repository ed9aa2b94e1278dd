"""Is the handler there, and does it know what it serves? /healthz, then /init, until both are well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from contracts.answers import Answer, NoAnswer
from contracts.errors import PermanentError
from contracts.handler import NO_OPTIONS, Options, read_options
from sidecar.ports import HandlerClient

_FINE_WITHOUT = frozenset({404, 405, 501})
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0
_CALL_SECONDS = 10.0
_FIRST_WORD_SECONDS = 5.0  # whoever mistook the port need not wait for the whole time to hear of it


def _trouble(path: str, answer: Answer | NoAnswer) -> str | None:
    """What is wrong with the answer, in words; None where it lets the handler go on."""
    if isinstance(answer, NoAnswer):
        return f"{path}: {answer.kind}{f' ({answer.detail})' if answer.detail else ''}"
    if 200 <= answer.status < 300 or answer.status in _FINE_WITHOUT:
        return None
    return f"{path} answered {answer.status}"


async def make_ready(
    client: HandlerClient, init: Callable[[], bytes], init_timeout_seconds: float, on_late: Callable[[str], None]
) -> Options:
    """Returns what the handler turned on, once it has passed; ``init`` writes the body of each try.

    ``on_late(reason)`` is called a first time after a few seconds, then each time ``init_timeout_seconds`` are over.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    patience = min(_FIRST_WORD_SECONDS, init_timeout_seconds)
    wait = _FIRST_WAIT_SECONDS
    while True:
        found = await _ask(client, init, began + init_timeout_seconds - loop.time())
        if isinstance(found, Options):
            return found
        if loop.time() >= began + patience:
            on_late(f"the handler is not ready after {patience:g} s: {found}")
            began = began if patience < init_timeout_seconds else loop.time()
            patience = init_timeout_seconds
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT_SECONDS)


async def _ask(client: HandlerClient, init: Callable[[], bytes], seconds: float) -> Options | str:
    """What it turned on, or what is wrong with it. /init may take what is left of its time: it may load much."""
    trouble = _trouble("/healthz", await client.request("GET", "/healthz", {}, b"", _CALL_SECONDS))
    if trouble is not None:
        return trouble
    headers = {"Content-Type": "application/json"}
    answer = await client.request("POST", "/init", headers, init(), max(seconds, _CALL_SECONDS))
    trouble = _trouble("/init", answer)
    if trouble is not None:
        return trouble
    if isinstance(answer, NoAnswer) or answer.status in _FINE_WITHOUT:
        return NO_OPTIONS
    try:
        return read_options(answer.body)
    except PermanentError as error:
        return f"/init answered {error}"
