"""The command ``kubedaemon``. A verb's module is imported when it is used, so that help is there at once.

Exit statuses: 0 done, 1 failed, 2 wrong usage or a wrong manifest, 130 interrupted. A failure is a sentence on
standard error; with KUBEDAEMON_TRACEBACK set, what nobody expected shows where it happened.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from kubedaemon.cli.output import complain
from kubedaemon.cli.verb import Family

VERBS = {
    "dev": ("dev", "Run everything on this machine: nothing to install or set up."),
    "send": ("send", "Send a message to a queue, and wait for its result."),
    "queues": ("queues", "Show the queues and their live numbers."),
    "top": ("top", "Watch the queues, live."),
    "messages": ("messages", "Look at messages, their attempts and results; cancel what has not started."),
    "sessions": ("sessions", "Look at which replica holds which session, and get a stuck one going."),
    "dead-letters": ("dead_letters", "Look at dead letters, send them back, purge them."),
    "apply": ("apply", "Create or change queues from manifests."),
    "pause": ("pause", "Start no more deliveries of a queue; sending goes on."),
    "resume": ("pause", "Start deliveries of a queue again."),
    "delete": ("delete", "Delete a queue."),
}


class Root(Family):
    """The verbs in the order in which one meets them, and one way for every error to end."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"kubedaemon.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def purpose(self, ctx: click.Context, name: str) -> str:
        return VERBS[name][1]

    def main(  # type: ignore[override]  # narrower on purpose: this one always exits
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        extra.pop("standalone_mode", None)
        _never_fail_to_print()
        try:
            status = super().main(args, prog_name or "kubedaemon", standalone_mode=False, **extra)
        except (click.Abort, KeyboardInterrupt):
            status = 130
        except click.ClickException as error:
            status = _usage(error)
        except Exception as error:  # the outermost layer: people get a sentence
            status = _failure(error)
        sys.exit(status if isinstance(status, int) else 0)


def _never_fail_to_print() -> None:
    """What this terminal's encoding does not have is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    text = error.format_message()
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is not None:
        text = (text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}").rstrip()
        end = "" if text.endswith((".", "?")) else "."
        text = f"{text}{end} See `{ctx.command_path} --help`."
    complain(text)
    return error.exit_code


def _failure(error: Exception) -> int:
    from contracts.errors import ConfigurationError, KubedaemonError

    if isinstance(error, ConfigurationError):
        complain(str(error))
        return 2
    if isinstance(error, KubedaemonError):
        complain(str(error))
        return 1
    if os.environ.get("KUBEDAEMON_TRACEBACK"):
        raise error
    complain(
        f"this should not happen, and is a fault of ours: {type(error).__name__}: {error}."
        " KUBEDAEMON_TRACEBACK=1 shows where; please report it."
    )
    return 1


@click.command(
    "kubedaemon",
    cls=Root,
    examples=(
        "kubedaemon dev --exec 'python3 handler.py'    # in one terminal",
        "kubedaemon send default hello --wait         # in another one",
        "kubedaemon top",
    ),
)
@click.version_option(package_name="kubedaemon", prog_name="kubedaemon")
def main() -> None:
    """Run your program on work from a queue: in order per session, with effects exactly once.

    It answers POST /message, in any language; Kubedaemon starts it when there is work and stops it when there is none.
    """
