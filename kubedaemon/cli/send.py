"""``kubedaemon send``: a message to a queue, and its result."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from kubedaemon.cli.common import call, emit, everywhere


@click.command()
@click.argument("queue")
@click.argument("data", required=False)
@click.option("--session", help="Messages of one session are handled one at a time, in order.")
@click.option("--wait", is_flag=True, help="Wait for the end and print the handler's own answer.")
@click.option(
    "--timeout", default=30, show_default=True, type=click.IntRange(1, 300), help="Seconds that --wait waits."
)
@click.option("--content-type", help="Guessed from the data where it is not given.")
@click.option("--key", help="Idempotency key: the same key is handled once, however often it is sent.")
@click.option("--meta", multiple=True, metavar="NAME=VALUE", help="Metadata for the handler; repeatable.")
@everywhere
def send(
    queue: str,
    data: str | None,
    session: str | None,
    wait: bool,
    timeout: int,
    content_type: str | None,
    key: str | None,
    meta: tuple[str, ...],
    **where: Any,
) -> None:
    """Send DATA to QUEUE; with - or nothing, what stands on standard input.

    \b
    Examples:
      kubedaemon send default 'hello' --session me --wait
      kubedaemon send default '{"n": 1}' --key order-17
      cat photo.jpg | kubedaemon send photos - --content-type image/jpeg
    """
    body = sys.stdin.buffer.read() if data in (None, "-") else str(data).encode()
    headers = _headers(session, content_type or _guess(body), key, meta)
    if wait:
        headers["Prefer"] = f"wait={timeout}"

    from kubedaemon.client import Answer, ApiError, Client

    async def work(client: Client) -> Answer | ApiError:
        try:
            return await client.call("POST", queue, "messages", headers=headers, body=body)
        except ApiError as error:
            if "Kubedaemon-Status" in error.headers:
                return error
            raise

    answer = call(where, work)
    if isinstance(answer, ApiError):
        click.echo(f"{answer.headers['Kubedaemon-Status']}: {answer.problem.get('detail', '')}", err=True)
        sys.exit(1)
    if wait and answer.status == 200:
        sys.stdout.buffer.write(answer.body)
        sys.stdout.buffer.flush()
        return
    accepted = answer.json()
    if where["output"] == "table":
        click.echo(accepted["id"])
    else:
        emit(accepted, where["output"], (), lambda item: ())
    if wait:
        click.echo(
            f"not ended within {timeout} s; look with: kubedaemon messages result {queue} {accepted['id']}", err=True
        )
        sys.exit(1)


def _headers(session: str | None, content_type: str, key: str | None, meta: tuple[str, ...]) -> dict[str, str]:
    from contracts.text import encode_header

    headers = {"Content-Type": content_type}
    if session is not None:
        headers["Kubedaemon-Session"] = encode_header(session)
    if key is not None:
        headers["Idempotency-Key"] = key
    for entry in meta:
        name, sign, value = entry.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--meta {entry!r}: write NAME=VALUE")
        headers[f"Kubedaemon-Meta-{name}"] = encode_header(value)
    return headers


def _guess(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    try:
        return "application/json" if isinstance(json.loads(text), dict | list) else "text/plain; charset=utf-8"
    except ValueError:
        return "text/plain; charset=utf-8"
