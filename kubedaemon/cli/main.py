"""The command ``kubedaemon`` and its verbs; each verb's module is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

_VERBS = {
    "dev": ("dev", "dev", "Run everything on this machine: no services, nothing to set up."),
    "send": ("send", "send", "Send a message to a queue; wait for its result."),
    "queues": ("queues", "queues", "The queues and their live numbers."),
    "top": ("queues", "top", "The queues, live."),
    "messages": ("messages", "messages", "Look at a queue's messages and their results."),
    "sessions": ("messages", "sessions", "Look at who holds which session."),
    "dead-letters": ("messages", "dead_letters", "Look at dead letters, send them back, purge them."),
    "apply": ("queues", "apply", "Create or change queues from manifests."),
    "delete": ("queues", "delete", "Delete a queue."),
    "pause": ("queues", "pause", "Start no deliveries of a queue for now."),
    "resume": ("queues", "resume", "Start deliveries of a queue again."),
}


class Verbs(click.Group):
    """The verbs, in the order in which one meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _VERBS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(import_module(f"kubedaemon.cli.{found[0]}"), found[1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("kubedaemon"), prog_name="kubedaemon")
def main() -> None:
    """Runs your program on work from a queue: in order per session, each with effects exactly once.

    \b
    Try it:
      kubedaemon dev --exec 'python handler.py'      one terminal
      kubedaemon send default hello --wait           another one
    """
