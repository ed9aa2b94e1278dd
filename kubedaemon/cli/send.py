"""``kubedaemon send``: a message to a queue, and its result."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import complain, done, note, raw
from kubedaemon.cli.verb import Where, queue_argument, verb, where
from kubedaemon.cli.waiting import Deadline, result_by, tell_end, timeout_option

if TYPE_CHECKING:
    from kubedaemon.client import Answer, Client


@verb(
    "kubedaemon send default hello --session me --wait",
    "kubedaemon send orders '{\"order\": 17}' --key order-17 --meta source=shop",
    "kubedaemon send photos --content-type image/jpeg --delay 1.5h < photo.jpg",
)
@queue_argument()
@click.argument("data", required=False, metavar="[DATA|-]")
@click.option("--session", metavar="TEXT", help="Messages of one session are handled one at a time, in order.")
@click.option("--wait", is_flag=True, help="Wait for the end, and print what the handler answered, raw.")
@timeout_option
@click.option("--content-type", metavar="TYPE", help="Of the data; guessed from it otherwise.")
@click.option("--key", metavar="TEXT", help="Idempotency key: sent twice with one key, it is handled once.")
@click.option("--meta", multiple=True, metavar="NAME=VALUE", help="Passed on to the handler; may be repeated.")
@click.option("--delay", metavar="DURATION", help="Handle it so much later, as 90s, 1.5h or 7d.")
@click.option("--deliver-at", metavar="TIME", help="Handle it at this time, as 2030-01-02T03:04:05Z, not before.")
@click.option("--ttl", metavar="DURATION", help="Start no attempt later than so long after it was due.")
def send(
    queue: str,
    data: str | None,
    session: str | None,
    wait: bool,
    timeout: float,
    content_type: str | None,
    key: str | None,
    meta: tuple[str, ...],
    delay: str | None,
    deliver_at: str | None,
    ttl: str | None,
) -> None:
    """Send a message to a queue, and wait for its result.

    DATA is the message; without it, or with -, standard input is. Prints the message's id, or with --wait the
    handler's answer; a message that ends dead, expired or cancelled says why, and exits with 1.
    """
    here = where()
    said = {"session": session, "key": key, "meta": _meta(meta), **_times(delay, deliver_at, ttl)}
    _check(session, key, content_type)
    body = _read(data)
    said["content_type"] = content_type or guess(body)
    if wait:
        _send_and_wait(here, queue, body, said, timeout)
        return
    accepted = call(here, lambda client: client.send(queue, body, **said)).json()  # type: ignore[arg-type]
    done(accepted, here.output, str(accepted.get("id")))


def _send_and_wait(here: Where, queue: str, body: bytes, said: dict[str, Any], timeout: float) -> None:
    from kubedaemon.client import EndedBadly

    deadline = Deadline(timeout)
    accepted: dict[str, Any] = {}

    async def work(client: Client) -> Answer:
        answer = await client.send(queue, body, **said, wait_seconds=deadline.portion())
        if answer.status == 202:
            accepted.update(answer.json())
            if deadline.left > 0:
                return await result_by(client, queue, str(accepted["id"]), deadline)
        return answer

    try:
        answer = call(here, work)
    except EndedBadly as error:
        complain(tell_end(error))
        sys.exit(1)
    if answer.status != 202:
        raw(answer.body)
        return
    later = here.again("messages", "result", queue, str(accepted["id"]), "--wait")
    complain(f"message {accepted['id']} has not ended in {timeout:g} s, and goes on. Look later with {later}.")
    sys.exit(1)


def _read(data: str | None) -> bytes:
    if data not in (None, "-"):
        return os.fsencode(str(data))
    stream = sys.stdin.buffer
    if stream.isatty():
        note("the message is what you type now; Ctrl-D on a line of its own ends it")
    return stream.read()


def guess(body: bytes) -> str:
    """The content type of data for which none is given."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    if text.lstrip()[:1] in ("{", "["):
        try:
            json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return "text/plain; charset=utf-8"
        return "application/json"
    return "text/plain; charset=utf-8"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check(session: str | None, key: str | None, content_type: str | None) -> None:
    """What the server would refuse, said before anything is sent and in the words of the options."""
    from contracts.errors import PermanentError
    from contracts.identity import check_key
    from contracts.text import check_session

    try:
        if session is not None:
            check_session(session, "--session")
        if key is not None:
            check_key(key)
    except PermanentError as error:
        raise click.UsageError(str(error).replace("Idempotency-Key", "--key")) from error
    if content_type is not None and (
        not content_type.strip() or not content_type.isascii() or not content_type.isprintable()
    ):
        raise click.UsageError(f"--content-type: {content_type!r} is none; write one such as application/json.")


def _times(delay: str | None, deliver_at: str | None, ttl: str | None) -> dict[str, str]:
    """Those that are given, checked like the rest."""
    from contracts.duration import parse_duration
    from contracts.errors import PermanentError
    from contracts.timestamps import parse_time

    if delay is not None and deliver_at is not None:
        raise click.UsageError("--delay and --deliver-at exclude each other.")
    given = {"delay": (delay, parse_duration), "deliver_at": (deliver_at, parse_time), "ttl": (ttl, parse_duration)}
    found: dict[str, str] = {}
    for name, (text, read) in given.items():
        if text is not None:
            try:
                read(text)
            except PermanentError as error:
                raise click.UsageError(f"--{name.replace('_', '-')}: {error}.") from error
            found[name] = text.strip()
    return found


def _meta(entries: tuple[str, ...]) -> dict[str, str]:
    from contracts.text import is_token

    found: dict[str, str] = {}
    for entry in entries:
        name, sign, value = entry.partition("=")
        if not sign or not is_token(name):
            raise click.UsageError(f"--meta: {entry!r}: write NAME=VALUE, with a name of letters, digits and '-'.")
        if name.lower() in found:
            raise click.UsageError(f"--meta: {name.lower()!r} is given twice.")
        found[name.lower()] = value
    return found
