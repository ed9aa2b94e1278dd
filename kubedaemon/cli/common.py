"""What every verb shares: the options that go everywhere, output forms, and errors in one sentence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kubedaemon.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


def everywhere(command: _F) -> _F:
    """--namespace, --url, --token and --output."""
    options = (
        click.option("--namespace", default="default", show_default=True, help="The queue's namespace."),
        click.option(
            "--url", envvar="KUBEDAEMON_URL", default=DEFAULT_URL, show_default=True, help="Where it listens."
        ),
        click.option("--token", envvar="KUBEDAEMON_TOKEN", help="Bearer token; also KUBEDAEMON_TOKEN_FILE."),
        click.option("--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


def token_of(token: str | None) -> str | None:
    path = os.environ.get("KUBEDAEMON_TOKEN_FILE")
    if token is None and path:
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise click.ClickException(f"KUBEDAEMON_TOKEN_FILE: {path}: {error.strerror}") from error
    return token


def call(where: dict[str, Any], work: Callable[[Client], Awaitable[_T]]) -> _T:
    """Runs ``work`` with a client; what goes wrong becomes one sentence and exit status 1."""
    from contracts.errors import KubedaemonError
    from kubedaemon.client import Client

    async def run() -> _T:
        async with Client(where["url"], where["namespace"], token_of(where["token"])) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except KubedaemonError as error:
        raise click.ClickException(str(error)) from error


def emit(value: Any, output: str, columns: Sequence[str], row: Callable[[dict[str, Any]], Sequence[object]]) -> None:
    """A value of the API: as it is in JSON or YAML, or its items as a table."""
    if output == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
    else:
        from kubedaemon.display import show, table

        items = value["items"] if isinstance(value, dict) and "items" in value else [value]
        show(table(columns, [row(item) for item in items]))
        if isinstance(value, dict) and value.get("next"):
            click.echo(f"(more: --after {value['next']})", err=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr)
