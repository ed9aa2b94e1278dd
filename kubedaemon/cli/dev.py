"""``kubedaemon dev``: everything on one machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click


@click.command()
@click.option("-f", "--file", "files", multiple=True, type=click.Path(path_type=Path), help="A manifest; repeatable.")
@click.option("--queue", help="A queue with all defaults.  [default: default, where nothing else is named]")
@click.option("--exec", "command", help="The handler: a command that answers POST /message on $PORT.")
@click.option("--handler", "handler_url", help="A handler that runs already, as http://HOST:PORT; not scaled.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
def dev(
    files: tuple[Path, ...], queue: str | None, command: str | None, handler_url: str | None, port: int, log_format: str
) -> None:
    """Run everything on this machine: no services, nothing to set up.

    Handlers are started on a free $PORT when there is work, as many as it takes, and stopped when there is none.

    \b
    Examples:
      kubedaemon dev --exec 'python handler.py'
      kubedaemon dev -f queue.yaml --exec 'node handler.js'
      kubedaemon dev --handler http://127.0.0.1:3000
    """
    from kubedaemon.dev.options import DevOptions
    from kubedaemon.dev.runtime import run

    if command is not None and handler_url is not None:
        raise click.UsageError("--exec and --handler exclude each other: who runs the handler, dev or you?")
    try:
        words = tuple(shlex.split(command)) if command is not None else ()
    except ValueError as error:
        raise click.UsageError(f"--exec: {error}; the command is split into words as a shell would") from error
    if command is not None and not words:
        raise click.UsageError("--exec: the command is empty")
    options = DevOptions(
        files=files,
        queue=queue,
        command=words,
        handler_url=handler_url,
        port=port,
        log_format="json" if log_format == "json" else "console",
    )
    sys.exit(run(options))
