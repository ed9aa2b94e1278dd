"""``kubedaemon dev``: everything on one machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from kubedaemon.cli.verb import refuse_everywhere, verb

_NOT_HERE = {
    "namespace": "dev makes its queues in 'default'; a manifest with metadata.namespace (-f) makes one elsewhere",
    "url": "dev listens on this machine; choose its port with --port",
    "token": "dev itself needs none; KUBEDAEMON_AUTH_JWKS says with which keys it checks those of its callers",
    "output": "dev prints no answers; --log-format json is for its log",
}


@verb(
    "kubedaemon dev --exec 'python3 handler.py'",
    "kubedaemon dev -f queue.yaml --exec 'node handler.js' --data ./data",
    "kubedaemon dev --queue mails --handler http://127.0.0.1:3000",
    local=True,
)
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="A manifest; may be repeated, and hold several queues.",
)  # fmt: skip
@click.option("--queue", metavar="NAME", help="A queue with all defaults, beside those of -f.  [default: default]")
@click.option("--exec", "command", metavar="COMMAND", help="Starts a handler, which serves HTTP on $PORT.")
@click.option("--handler", "handler_url", metavar="URL", help="A handler that runs already; it is not scaled.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Where it listens; 0 takes a free one.",
)
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path),
    help="Keeps everything in this directory, over restarts and power cuts.  [default: in memory]",
)  # fmt: skip
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="Of the log that goes to standard error.",
)
def dev(
    files: tuple[Path, ...],
    queue: str | None,
    command: str | None,
    handler_url: str | None,
    port: int,
    data: Path | None,
    log_format: str,
) -> None:
    """Run everything on this machine: nothing to install or set up.

    Handlers are started when there is work, as many as it takes, each on a $PORT of its own, and stopped when there
    is none. Without --exec and --handler, messages are accepted and wait. Ctrl-C stops it.

    With --data, messages, results, session state and queues are in DIR, and each is on disk before it is confirmed:
    the next start with this DIR goes on from there, however this one ended. Queues that were made through the API
    are kept as they are; -f wins for those that it names.
    """
    refuse_everywhere(_NOT_HERE)
    if command is not None and handler_url is not None:
        raise click.UsageError("--exec and --handler exclude each other: either dev runs the handler, or you do.")
    words = _split(command)

    from kubedaemon.dev.options import DevOptions
    from kubedaemon.dev.runtime import run

    options = DevOptions(
        files=files,
        queue=queue,
        command=words,
        handler_url=handler_url,
        port=port,
        data=data,
        log_format="json" if log_format == "json" else "console",
    )
    sys.exit(run(options))


def _split(command: str | None) -> tuple[str, ...]:
    if command is None:
        return ()
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise click.UsageError(
            f"--exec: {command!r} cannot be split into words ({str(error).lower()}); balance its quotes."
        ) from error
    if not words or not words[0]:
        raise click.UsageError("--exec: the command is empty; write one such as 'python3 handler.py'.")
    return words
