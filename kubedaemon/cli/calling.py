"""From a verb to the server and back: one client a call, and errors that know what this command line can do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from kubedaemon.cli.verb import Where

if TYPE_CHECKING:
    from kubedaemon.client import ApiError, Client

_T = TypeVar("_T")


def call(where: Where, work: Callable[[Client], Awaitable[_T]]) -> _T:
    """Runs ``work`` with a client. What goes wrong is a ``KubedaemonError`` whose text is meant for people."""
    from kubedaemon.client import ApiError, Client, EndedBadly

    async def run() -> _T:
        async with Client(where.url, where.namespace, where.token) as client:
            try:
                return await work(client)
            except EndedBadly:
                raise
            except ApiError as error:
                await explain(client, where, error)
                raise

    return asyncio.run(run())


async def explain(client: Client, where: Where, error: ApiError) -> None:
    """Tells a problem in the words of the command line: which queues there are, which option is meant."""
    problem = error.problem
    detail = str(problem.get("detail") or "").replace("?force=true", "--force")
    if error.slug == "unknown-queue" and error.queue is not None:
        detail = await _unknown(client, where, error.queue) or detail
    elif error.status == 401:
        detail = f"{detail} Give a token with --token, KUBEDAEMON_TOKEN or KUBEDAEMON_TOKEN_FILE.".strip()
    elif error.status == 403 and where.token:
        detail = f"{detail} Namespace {where.namespace!r} was asked for; --namespace names another.".strip()
    problem["detail"] = detail


async def _unknown(client: Client, where: Where, queue: str) -> str:
    """What to do about a queue that is not there; empty where the server would not say which there are."""
    from contracts.errors import KubedaemonError

    try:
        names = [str(item.get("name")) for item in (await client.get())["items"]]
    except (KubedaemonError, KeyError, TypeError):
        return ""
    missing = f"{queue!r} is not in namespace {where.namespace!r}"
    if not names:
        return f"{missing}, which has none yet; make one with `kubedaemon apply -f queue.yaml`."
    near = get_close_matches(queue, names, 1)
    return f"{missing}; {f'did you mean {near[0]!r}? There' if near else 'there'} are: {', '.join(sorted(names))}."
