"""Waiting for the end of a message, longer than one call may last, and telling an end that is not a result."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from contracts.api import MAX_WAIT_SECONDS

if TYPE_CHECKING:
    from kubedaemon.client import Answer, Client, EndedBadly

_PAUSE_SECONDS = 0.5


def timeout_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--timeout, which becomes seconds."""
    return click.option(
        "--timeout",
        default="30s",
        show_default=True,
        callback=_seconds,
        metavar="DURATION",
        help="How long --wait waits, as 90s or 5m.",
    )(command)


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """``30s``, ``1.5m``; a bare number is seconds."""
    from contracts.duration import parse_duration
    from contracts.errors import PermanentError

    try:
        return parse_duration(f"{value}s" if value.strip().isdecimal() else value)
    except PermanentError as error:
        raise click.UsageError(f"--timeout: {error}.", ctx) from error


class Deadline:
    """How long there is still to wait; a call asks for whole seconds, at most what the server grants in one."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def portion(self) -> int:
        return min(MAX_WAIT_SECONDS, max(0, math.ceil(self.left)))


async def result_by(client: Client, queue: str, message_id: str, deadline: Deadline) -> Answer:
    """The result, asked for until it is there or the time has passed: then the last answer, a 202."""
    while True:
        asked, began = deadline.portion(), time.monotonic()
        answer = await client.result(queue, message_id, asked)
        if answer.status != 202 or deadline.left <= 0:
            return answer
        if time.monotonic() - began < min(asked, _PAUSE_SECONDS):
            await asyncio.sleep(min(_PAUSE_SECONDS, max(0.0, deadline.left)))


def tell_end(error: EndedBadly) -> str:
    """Why there is no result, with what the handler said."""
    problem = error.problem
    named = f"message {problem['id']}" if problem.get("id") else "the message"
    attempt = problem.get("attempt")
    tries = f" after {attempt} attempt{'' if attempt == 1 else 's'}" if attempt and error.state == "dead" else ""
    reason = problem.get("detail") or problem.get("title") or "no reason was given"
    body = str(problem.get("handler_body") or "").strip()
    said = f"; it said: {body}" if body and body not in str(reason) else ""
    return f"{named} is {error.state}{tries}: {reason}{said}"
