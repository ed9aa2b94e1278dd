"""The page ``docs/cli.md``, out of the verbs themselves: ``python -m kubedaemon.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from kubedaemon.cli.main import main

_WIDTH = 100
_OPENING = """\
# The command line

What `--help` says, verb by verb. This page is written by `make reference`; change the verbs, not the page.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_OPENING, *(_section(context) for context in _contexts(main, None, "kubedaemon"))])


def _contexts(command: click.Command, parent: click.Context | None, name: str) -> Iterator[click.Context]:
    """The command itself, then its verbs, depth first."""
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent, name, **settings)
    yield context
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            assert found is not None, "a listed verb is there"
            yield from _contexts(found, context, verb)


def _section(context: click.Context) -> str:
    help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"## {context.command_path}\n\n```text\n{help_text}\n```\n"


if __name__ == "__main__":
    print(page(), end="")
